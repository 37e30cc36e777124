"""Benchmarks: each file turns models and corpora into one tidy table."""
