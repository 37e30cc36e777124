"""Tunes: folk melodies as notes, from the ABC files inside the package `music21`.

`load_corpus` has the tunes with families, splits and judgements, `load_tunes` the notes alone, and
`read_abc` reads any other ABC file. `hum_task` makes queries of them as singers hum them.
`data/README.md` describes the corpus.
"""

from lib.datasets.tunes.abc_files import parse_abc, read_abc
from lib.datasets.tunes.collections import (
    COLLECTIONS,
    ESSEN,
    FREE,
    load_tunes,
    read_collection,
    title_of_collection,
)
from lib.datasets.tunes.corpus import TuneCorpus, load_corpus, task
from lib.datasets.tunes.hums import excerpt, hum, hum_task
from lib.datasets.tunes.melody import Melody
from lib.datasets.tunes.singing import LEVELS, SingingErrors, SungNotes, sing
from lib.datasets.tunes.variants import RELATED, SAME, VARIANT
