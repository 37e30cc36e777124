"""Small corpora in the file formats of the published benchmarks, generated for tests and
notebooks.
"""
