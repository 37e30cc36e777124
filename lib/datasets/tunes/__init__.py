"""Tunes: folk melodies as notes, from the ABC files inside the package `music21`.

`load_tunes` reads the collections, `read_abc` any other ABC file. `data/README.md` describes the
corpus.
"""

from lib.datasets.tunes.abc_files import parse_abc, read_abc
from lib.datasets.tunes.collections import COLLECTIONS, ESSEN, FREE, load_tunes, read_collection
from lib.datasets.tunes.melody import Melody
