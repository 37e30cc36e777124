"""Small corpora with both kinds of queries: one with an end task and many ties, one imitation."""

import numpy as np

from lib.core.checks import unit_rows
from lib.core.qrels import Qrels
from lib.index.tuning.configs import Config
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


def two_cones(n, d, gap, *, n_queries=1_000, seed=0):
    """Imitate the modality gap: images in one cone, texts in another.

        x = normalise(0.75 m + 0.55 T_z + 0.45 u_sub + 0.25 u),  angle(m_image, m_text) = gap * 90
        degrees

    T_z is one of 64 topics in a subspace of d / 4 dimensions, topic z drawn with frequency z^-0.7,
    u_sub noise in that subspace and u noise in all dimensions, each of unit length.
    """
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.standard_normal((d, 2 + d // 4)))[0].T
    mean, other, subspace = directions[0], directions[1], directions[2:]
    topics = unit_rows(rng.standard_normal((64, len(subspace))), "topics") @ subspace
    frequency = np.arange(1, 65) ** -0.7

    def draw(count, centre):
        topic = topics[rng.choice(64, count, p=frequency / frequency.sum())]
        near = unit_rows(rng.standard_normal((count, len(subspace))), "noise") @ subspace
        far = unit_rows(rng.standard_normal((count, d)), "noise")
        return unit_rows(0.75 * centre + 0.55 * topic + 0.45 * near + 0.25 * far, "rows")

    turned = np.cos(gap * np.pi / 2) * mean + np.sin(gap * np.pi / 2) * other
    base = draw(n, mean)
    queries = {"image": draw(n_queries, mean), "text": draw(n_queries, turned)}
    name = f"two cones, gap {gap:g} (imitation)"
    return AnnCorpus(name, "cosine", base, queries, {"text": draw(n_queries, turned)})
