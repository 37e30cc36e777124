"""Indexes small enough to read: the algorithms of faiss and ScaNN in numpy, for the notebooks.

Each is tested against the library it explains. For work use `lib.index.VectorSearchIndex`.
"""
