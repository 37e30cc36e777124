"""Schematic figures: how a model, a loss or an index works, drawn from the values given.

One style for all: text is blue, images are purple, a score or a right answer is green, a wrong one
is orange. Every function returns the figure; `description(figure)` is the sentence about it.
"""
