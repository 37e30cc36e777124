"""Indexes small enough to read: what faiss and ScaNN do, a page each, for the notebooks.

Every one is checked against the library it explains. For work use `lib.index.VectorSearchIndex`.
"""
