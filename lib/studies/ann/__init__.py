"""Measure nearest-neighbour indexes with image and with text queries: recall, work, time."""
