"""A miniature of the CxC ratings: real pairs, with scores made up to agree with the published
positives.
"""

import csv
from pathlib import Path

import numpy as np

from lib.core.writing import atomic_folder
from lib.datasets import coco_judgements
from lib.datasets.completeness import write_miniature_card
from lib.datasets.cxc import HEADER

HIGH, LOW = (
    (5.0, 4.2, 3.0, 3.5, 4.5),
    (2.99, 0.0, 2.5, 0.4, 1.5),
)  # scores of positives, and of others
N_LOW = 30  # rated pairs of a caption and another image that do not belong together


def write_ratings(folder: str | Path, images: np.ndarray) -> None:
    """Writes ratings of captions and images among some test images of COCO.

    Rated are every caption with its own image, every caption with another image here that CxC calls
    positive, and `N_LOW` captions with an image that it does not. A positive gets a score of at
    least 3, another pair a lower one, so that a threshold of 3 gives the published positives again.

    Args:
        folder: gets `sits_test.csv`, `sits_val.csv` (a few rows) and `miniature.json`.
        images: positions in the test split.

    Relations: the miniature of COCO holds it in its folder `cxc/`.
    """
    known = coco_judgements.load_judgements()
    texts = np.flatnonzero(np.isin(known.owner, images))
    owner = known.owner[texts]
    published = known.qrels("cxc", "text_to_image")
    judged = published.take_queries(texts)
    further = np.isin(judged.items, images) & (judged.items != owner[judged.query_index])
    shifted = np.roll(owner, 7)[:N_LOW]  # the image of the caption that stands seven places before
    groups = [
        ("c2i_original", texts, owner),
        ("c2i_intrasim", texts[judged.query_index[further]], judged.items[further]),
        ("c2i_intrasim", texts[:N_LOW], shifted),
    ]
    rows, pairs = [], set()
    for method, captions, items in groups:
        positive = published.take_queries(captions).grades_of(items[:, None])[:, 0] > 0
        for at, (caption, item, is_positive) in enumerate(
            zip(captions, items, positive, strict=True)
        ):
            if (caption, item) in pairs:
                continue
            pairs.add((caption, item))
            rows.append(
                [
                    f"COCO_val2014:sentid:{known.caption_ids[caption]}",
                    f"COCO_val2014_{known.image_ids[item]:012d}.jpg",
                    str((HIGH if is_positive else LOW)[at % len(HIGH)]),
                    method,
                ]
            )
    with atomic_folder(folder) as root:
        _write(root / "sits_test.csv", rows)
        _write(root / "sits_val.csv", rows[:5])
        counts = {"ratings": len(rows), "ratings of original pairs": texts.size}
        write_miniature_card(root, "cxc", {"test": counts, "val": {}})


def _write(path: Path, rows: list[list[str]]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([HEADER, *rows])
