"""Corpora that load as retrieval tasks, one module each; import the module you need."""
