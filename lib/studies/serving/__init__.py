"""Measure the service under load, and databases with the same vectors."""
