"""A cross-encoder that reads every image of a gallery, for some captions: what two stages lose
against it.
"""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np

from lib.core.paths import artifacts_dir, cache_dir
from lib.core.reading import cached_arrays, load_arrays
from lib.core.task import RetrievalTask
from lib.core.writing import save_arrays
from lib.index import VectorSearchIndex
from lib.search import DualEncoderRetriever, Run, Work, best_first, retriever_over
from lib.studies import readme_results
from lib.studies.architectures.registry import (
    N_IMAGES,
    N_SAMPLED,
    SAMPLES,
    model,
    test_task,
    weights_of,
)
from lib.studies.architectures.rerank_depth import Reading, share_kept

AT_ONCE = 25
Log, Progress = Callable[[str], None], Callable[[int, int], None]
MODEL = "scenes_cross"
LOGITS = "cross-encoder logit"
FILE = "scenes_cross_exhaustive.npz"
REBUILD = "Restore it with git, or run: crossmodal bench architectures"


QUERIES = SAMPLES["scenes"]


@cache
def task() -> RetrievalTask:
    """The captions `QUERIES` of the scenes test with 1,000 images."""
    return test_task("scenes").take_queries(QUERIES)


def collect(log: Log = print, progress: Progress = lambda done, of: None) -> None:
    """Reads all 250,000 pairs and writes their logits (float16); goes on where it stopped."""
    model(MODEL)  # says how to make it where it is missing
    found = cache(
        lambda: retriever_over(task(), model(MODEL))
    )  # made only where pairs are left to read

    def read(now: slice) -> dict[str, np.ndarray]:
        queries = found().encode(task().queries[now], "text")
        every = np.broadcast_to(np.arange(N_IMAGES), (len(queries), N_IMAGES))
        return {"logits": found().score(queries, every)}

    name = f"exhaustive-{weights_of([MODEL])}"
    arrays = read_in_parts(name, N_SAMPLED, read, log, progress)
    save_arrays(_path(), logits=arrays["logits"].astype(np.float16))


def read_in_parts(
    name: str, n: int, read: Callable[[slice], dict[str, np.ndarray]], log: Log, progress: Progress
) -> dict[str, np.ndarray]:
    """What is read for n captions, `AT_ONCE` at a time; parts kept under that name are not read
    again.
    """
    paths = {at: cache_dir() / "architectures" / f"{name}-{at}.npz" for at in range(0, n, AT_ONCE)}
    parts, done = [], sum(min(AT_ONCE, n - at) for at, path in paths.items() if path.is_file())
    progress(done, n)
    for at, path in paths.items():
        now = slice(at, min(at + AT_ONCE, n))
        done += 0 if path.is_file() else now.stop - at
        parts.append(cached_arrays(path, partial(read, now)))
        log(f"every pair read: {now.stop} of {n} captions")
        progress(done, n)
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def exhaustive() -> Run:
    """The whole gallery in the order of the stored logits."""
    logits = load_arrays(_path(), rebuild=REBUILD)["logits"].astype(np.float32)
    every = np.broadcast_to(np.arange(N_IMAGES), logits.shape)
    work = Work("cross-encoder", logits.size, 0)
    return Run.of_one_stage(*best_first(logits, every, N_IMAGES), LOGITS, work)


def reading() -> Reading:
    """The dual encoder's order of the whole gallery, from stored embeddings, and the logits in that
    order.
    """
    run = _first()
    logits = load_arrays(_path(), rebuild=REBUILD)["logits"].astype(np.float32)
    return Reading(task(), run, np.take_along_axis(logits, run.ids, axis=1), LOGITS)


def kept(depths: tuple[int, ...] = (0, 5, 10, 20, 50)) -> list[dict]:
    """What two stages keep of the mAP of reading everything, and of its work; see `share_kept`."""
    return share_kept(reading(), exhaustive(), depths)


@cache
def _first() -> Run:
    texts, images = readme_results.stored_embeddings("scenes", "text_to_image")
    encoder = model("scenes")
    index = VectorSearchIndex(encoder.dim, "Flat", metric="cosine")
    index.add(images[:N_IMAGES])
    return DualEncoderRetriever(encoder, index).search(texts[QUERIES], N_IMAGES)


def _path() -> Path:
    return artifacts_dir() / "architectures" / FILE
