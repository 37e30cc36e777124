"""Contrastive losses compared: what each costs, what it trains, and what the field says about
it.
"""
