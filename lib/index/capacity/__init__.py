"""Indexes of billions of vectors before they are built: bytes, work, machines, and what was
published.
"""
