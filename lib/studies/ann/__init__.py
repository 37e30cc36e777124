"""Nearest-neighbour indexes measured: the same index asked with images and with texts, work beside
time.
"""
