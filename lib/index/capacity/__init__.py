"""Bytes, work and machines of an index before it is built, and published figures to check them."""
