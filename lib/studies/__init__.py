"""Run experiments with committed tables, one folder a question."""
