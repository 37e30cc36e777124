"""Dual encoders, late interaction, cross-encoders and two stages compared: quality, bytes, work,
time.
"""
