"""Splits of the scenes by composition, and endless reproducible streams of scenes."""

from functools import lru_cache

import numpy as np

from lib.core.checks import check_choice, check_count, check_seed
from lib.datasets.scenes.world import DOMAIN, SceneBatch, composition_key, exchange_groups, mix64

SPLITS = ("train", "validation", "test", "test_unseen")
# One (shape, colour) pair for each shape and each colour occurs in the split test_unseen only.
UNSEEN_PAIRS = tuple((s, (3 * s + 2) % 8) for s in range(8))
# Shares of the seen families, in percent: train 80, validation 5, test 15.
_TRAIN_BELOW, _VALIDATION_BELOW = 80, 85


@lru_cache(maxsize=1)
def compositions() -> dict[str, np.ndarray]:
    """Return all 8,064 compositions: `code` (see `composition_key`), `pair`, `axis` and `split`.

    A family is the same two shapes and the same two colours in any binding, relation and order. A
    hash sends a whole family to one split. A composition of test is then new to a trained model,
    and its swapped bindings and relations are in test with it, where they confuse a model that
    ignores word order.
    """
    first, second, axis = (a.ravel() for a in np.mgrid[:64, :64, :2])
    keep = first != second
    pair, axis = np.stack([first, second], axis=1)[keep], axis[keep]
    shape, colour = np.sort(pair // 8, axis=1), np.sort(pair % 8, axis=1)
    family = ((shape[:, 0] * 8 + shape[:, 1]) * 8 + colour[:, 0]) * 8 + colour[:, 1]
    percent = mix64(family + 1) % np.uint64(100)
    split = np.where(percent < _TRAIN_BELOW, 0, np.where(percent < _VALIDATION_BELOW, 1, 2))
    unseen = np.isin(pair, [s * 8 + c for s, c in UNSEEN_PAIRS]).any(axis=1)
    split[unseen] = 3
    code = (pair[:, 0] * 64 + pair[:, 1]) * 2 + axis
    return {"code": code, "pair": pair, "axis": axis, "split": split}


def split_of(scenes: SceneBatch) -> np.ndarray:
    """Return the split of each scene's composition, (n,) positions in SPLITS."""
    table = compositions()  # its codes ascend
    return table["split"][np.searchsorted(table["code"], composition_key(scenes))]


def _below(words: np.ndarray, bits: int, n_values: int) -> np.ndarray:
    """Scale words of `bits` random bits to 0..n_values-1: floor(word * n_values / 2^bits)."""
    return ((words * np.uint64(n_values)) >> np.uint64(bits)).astype(np.int64)


def sample(split: str, n: int, seed: int = 0, *, start: int = 0) -> SceneBatch:
    """Draw scenes `start` to `start + n - 1` of the endless stream named by `split` and `seed`.

    Scene i is a function of (split, seed, i) alone, so chunks, batches and resumed runs agree.
    Compositions are uniform in the split, all other attributes uniform in their domains. The bits
    are raw words of the counter-based generator Philox, which numpy keeps stable (it does not keep
    `Generator.integers`), turned into values by integer arithmetic: a seed gives the same scenes on
    every machine.

    Args:
        split: one of SPLITS.
        n: number of scenes, at least 1.
        seed: 0 to 2^63 - 1.
        start: number of the first scene, at least 0.

    Reference:
        Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox).
    """
    split_code = SPLITS.index(check_choice(split, SPLITS, "split"))
    n, seed = check_count(n, "n"), check_seed(seed)
    start = check_count(start, "start", least=0)
    # Two Philox blocks of four 64-bit words for a scene.
    bits = np.random.Philox(key=(split_code << 64) | seed, counter=2 * start)
    words = bits.random_raw(8 * n).reshape(n, 8)
    # Word 0 picks the composition, word 7 the wording, words 1 to 6 are 24 fields of 16 bits.
    shifts = np.array([0, 16, 32, 48], dtype=np.uint64)
    small = (words[:, 1:7, None] >> shifts & np.uint64(0xFFFF)).reshape(n, 24)

    def draw(name: str, column: int) -> np.ndarray:
        entry, n_values, smallest = DOMAIN[name]
        width = int(np.prod(entry, dtype=int))
        return _below(small[:, column : column + width], 16, n_values).reshape(n, *entry) + smallest

    table = compositions()
    rows = np.flatnonzero(table["split"] == split_code)
    chosen = rows[_below(words[:, 0] >> np.uint64(32), 32, len(rows))]
    scenes = SceneBatch(
        shape=table["pair"][chosen] // 8,
        colour=table["pair"][chosen] % 8,
        relation=2 * table["axis"][chosen],
        size=draw("size", 0),
        texture=draw("texture", 2),
        count=draw("count", 4),
        layout=draw("layout", 6),
        jitter=draw("jitter", 8),
        background=draw("background", 12),
        motion=draw("motion", 13),
        wording=(words[:, 7] >> np.uint64(1)).astype(np.int64),
    )
    # The table is canonical; a coin exchanges the groups, or "right of" would never come first.
    return exchange_groups(scenes, small[:, 14] & np.uint64(1) == 1)
