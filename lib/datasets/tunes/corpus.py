"""The corpus of tunes: melodies with families, splits, and judgements of who is a variant of whom.

A family, tunes that share melody or title, lies in one split as a whole: no test tune has a variant
in training. Songs of Essen, where they are added, are distractors: they are found, never asked for
and never trained on.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from lib.core.checks import check_choice
from lib.core.memo import memoized
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.datasets.concept_splits import SPLITS, thousandth_of
from lib.datasets.tunes.collections import ESSEN, load_tunes
from lib.datasets.tunes.melody import Melody
from lib.datasets.tunes.variants import VARIANT, families, judge, shared_pieces

NAME = "tunes"
DISTRACTOR = "distractor"
# The hash of a family, in thousandths, chooses its split.
TEST_BELOW, VALIDATION_BELOW = 250, 350


@dataclass(frozen=True, eq=False, repr=False)
class TuneCorpus:
    """Tunes, aligned by position; the free ones first.

    Args:
        melodies: the written notes of each tune, each once.
        families: int64 (n,), family of each free tune; -1 for a distractor.
        splits: split of each tune: `"train"`, `"validation"`, `"test"` or `"distractor"`.
        shares: `(n, n)` share of melody between tunes, see `variants.shared_pieces`.
    """

    melodies: tuple[Melody, ...]
    families: np.ndarray
    splits: np.ndarray
    shares: csr_array

    def __len__(self) -> int:
        return len(self.melodies)

    def positions(self, split: str) -> np.ndarray:
        """Return the positions of a split's tunes, in order."""
        return np.flatnonzero(self.splits == check_choice(split, SPLITS, "split"))

    def judge(self, queries: np.ndarray) -> Qrels:
        """Grade every tune for queries made from the tunes at these positions."""
        return judge(self.shares, queries, np.arange(len(self)))


@memoized(maxsize=2)
def load_corpus(*, essen: bool = False) -> TuneCorpus:
    """Load the free tunes; arrays are shared and read-only.

    Args:
        essen: add the songs of Essen as distractors. They may be used for non-commercial purposes
            only.
    """
    free = load_tunes()
    melodies = free + load_tunes((ESSEN,)) if essen else free
    shares = shared_pieces(melodies)
    n = len(free)
    group = families(free, shares[:n, :n].tocsr())
    key = {}  # the first source of a family stands for it in the hash
    for family, melody in zip(group.tolist(), free, strict=True):
        key[family] = min(key.get(family, melody.source), melody.source)
    splits = [_split_of(key[family]) for family in group.tolist()]
    rest = len(melodies) - n
    group = np.concatenate([group, np.full(rest, -1)])
    split = np.array([*splits, *[DISTRACTOR] * rest])
    for array in (group, split):
        array.setflags(write=False)
    return TuneCorpus(melodies, group, split, shares)


def _split_of(key: str) -> str:
    thousandth = thousandth_of(key)
    if thousandth < TEST_BELOW:
        return "test"
    return "validation" if thousandth < VALIDATION_BELOW else "train"


def task(split: str = "test", *, essen: bool = False) -> RetrievalTask:
    """Return the task from tunes to their variants among all tunes.

    The query itself is in the gallery, with grade 3, as for a hum of it; for a search of other
    variants, leave it out. `query_groups` is the family, the unit of splits and intervals.

    Args:
        split: `"train"`, `"validation"` or `"test"`, without shared families.
        essen: as in `load_corpus`.
    """
    corpus = load_corpus(essen=essen)
    positions = corpus.positions(split)
    return RetrievalTask(
        name=f"{NAME} with Essen" if essen else NAME,
        split=split,
        direction="melody_to_melody",
        queries=[corpus.melodies[position] for position in positions],
        gallery=list(corpus.melodies),
        qrels=corpus.judge(positions),
        query_groups=corpus.families[positions],
        hit_grade=VARIANT,
        datasheet=NAME,
    )
