"""Sketches that find pictures, icons and pages, by a trained tower and by descriptors."""
