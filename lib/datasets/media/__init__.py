"""Decode pictures, clips and sounds, one file at a time and within limits."""
