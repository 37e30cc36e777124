"""Metrics compared: what libraries answer and what they cost, and how far one model's numbers go
apart.
"""
