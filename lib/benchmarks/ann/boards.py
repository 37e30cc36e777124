"""Published results, quoted beside where they stand; nothing here was measured by this suite."""

from __future__ import annotations

# NeurIPS'23 Big-ANN challenge, out-of-distribution track: Text2Image-10M, texts as queries, 8 virtual CPUs,
# queries per second at 90% recall@10. From neurips23/ongoing_leaderboard/ood in
# harsha-simhadri/big-ann-benchmarks.
OOD_2023 = (
    {"entry": "hanns", "source": "closed", "qps": 46_034},
    {"entry": "scann", "source": "open", "qps": 42_854},
    {"entry": "pinecone-ood", "source": "closed", "qps": 38_088},
    {"entry": "zilliz", "source": "closed", "qps": 33_241},
    {"entry": "mysteryann (RoarANN)", "source": "open", "qps": 22_555},
    {"entry": "pyanns", "source": "open", "qps": 22_296},
    {"entry": "puck", "source": "open", "qps": 8_700},
    {"entry": "vamana", "source": "open", "qps": 6_753},
    {"entry": "diskann", "source": "open", "qps": 4_133},
)
