"""Measure the pictures that one core reads, decodes and encodes in a second, to plan large runs."""

import statistics
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from lib.core.checks import check_count
from lib.core.result_store import ResultStore
from lib.datasets import pictures
from lib.datasets.media.pictures import MAX_PIXELS
from lib.search.collection.encoding import Encoding, Step, encode_step, look_at
from lib.search.collection.sources import Item, find_items, roots_of
from lib.studies.peers.harness import Arrays, Job, measure_alone

STORE = ResultStore("encode_rate", "crossmodal bench encode-rate")
TABLE = "rates.csv"
MODEL = pictures.NAME
SIZE, QUALITY = (640, 480), 90  # of the JPEG files
BATCH = 64


def write_pictures(folder: str | Path, n: int) -> None:
    """Write n test icons and emoji as JPEG files of 640 x 480 pixels."""
    corpus = pictures.load_pictures()
    chosen = np.resize(corpus.positions("test", pictures.GALLERIES), n)
    for number, pixels in enumerate(corpus.pixels(chosen)):
        picture = Image.fromarray(pixels).resize(SIZE, Image.Resampling.BICUBIC)
        picture.save(Path(folder, f"{number:05d}.jpg"), quality=QUALITY)


def encode_rate_rows(n: int = 512, repeats: int = 3) -> list[dict]:
    """Measure the work of a worker on n pictures, in a new process with one thread of BLAS.

    Returns:
        One row: model, dim, width, height, pictures, repeats, seconds of processor time (median,
        least, most) and pictures_per_s of one core.
    """
    n, repeats = check_count(n, "n"), check_count(repeats, "repeats")
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(folder, n)
        arrays = {"folder": np.array(folder), "n": np.array(n)}
        cost = measure_alone(__name__, "encode", arrays, repeats=repeats)
    seconds = statistics.median(cost.run)
    row = {"model": MODEL, "dim": round(cost.values["dim"]), "width": SIZE[0], "height": SIZE[1]}
    row |= {"pictures": round(cost.values["encoded"]), "repeats": repeats, "seconds": seconds}
    row |= {"fastest_s": min(cost.run), "slowest_s": max(cost.run)}
    return [row | {"pictures_per_s": row["pictures"] / seconds}]


def write_committed() -> None:
    """Measure and store the committed rate."""
    STORE.save_table(TABLE, encode_rate_rows())


def measured_rate() -> dict:
    """Return the row of the committed measurement."""
    return STORE.table(TABLE).iloc[0].to_dict()


def rate_note(row: dict) -> str:
    """Describe the measured rate in a sentence."""
    return (
        f"{row['pictures_per_s']:.0f} pictures a second and core: {row['model']}, JPEG files of"
        f" {row['width']} x {row['height']} pixels, read, decoded and encoded; processor time,"
        f" median of {row['repeats']} runs over {row['pictures']:,} pictures"
    )


def _load(arrays: Arrays) -> tuple[list[Item], Encoding]:
    from lib.models.encoder import load_encoder  # torch, in the process that measures alone

    encoder = load_encoder(MODEL, batch_size=BATCH)
    roots = list(enumerate(roots_of([str(arrays["folder"])])))
    items = list(find_items(roots, lambda failure: None))[: int(arrays["n"])]
    return items, Encoding(encoder, dict(encoder.identity), MAX_PIXELS, BATCH)


def _encode(prepared: tuple[list[Item], Encoding]) -> dict[str, float]:
    items, encoding = prepared
    found = list(zip(items, look_at(items), strict=True))
    encoded = encode_step(Step(found, found), encoding)
    return {"encoded": len(encoded), "dim": encoding.encoder.dim}


JOBS = {
    "encode": Job(_load, _encode, lambda arrays: arrays | {"n": np.array(BATCH)}, ("folder", "n"))
}
