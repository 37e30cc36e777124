"""Corpora, one module each, that give `RetrievalTask`s; nothing is imported until it is asked
for.
"""
