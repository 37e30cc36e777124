"""Small generated corpora in the file formats of the published benchmarks.

`lib.datasets.registry.CORPORA[name].write_miniature(folder)` writes one.
"""
