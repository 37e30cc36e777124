"""Fit a hand to how twenty people draw one character, and test how human its drawings are."""
