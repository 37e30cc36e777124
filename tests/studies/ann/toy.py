"""A small corpus with both kinds of queries, an end task and many ties."""

import numpy as np

from lib.core.qrels import Qrels
from lib.studies.ann.configs import Config
from lib.studies.ann.corpora import AnnCorpus

N, DIM = 400, 8
IVF = Config("IVF4", "IVF", {"nlist": 4}, ({"nprobe": 1}, {"nprobe": 4}))


def toy(metric="cosine", **changes):
    rng = np.random.default_rng(0)
    base = rng.integers(-9, 10, (N, DIM), dtype=np.int8)
    base[:, 0] = 10  # no row of zeros
    parts = {
        "queries": {
            "image": rng.standard_normal((12, DIM)),
            "text": base[:20] + rng.standard_normal((20, DIM)),
        },
        "learn": {"text": rng.standard_normal((50, DIM))},
        "relevant": {"text": Qrels.from_pairs(np.arange(20), np.arange(20), shape=(20, N))},
    }
    return AnnCorpus("toy", metric, base, **(parts | changes))
