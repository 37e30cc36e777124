"""The systems whose architectures are compared: which models search which task, and how."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.paths import artifacts_dir
from lib.core.reading import recorded_digest
from lib.core.task import RetrievalTask
from lib.core.token_vectors import Tokens
from lib.core.writing import CHECKSUM_SUFFIX
from lib.datasets import icons, scenes
from lib.index import TokenIndex
from lib.models.trained_models import WEIGHTS, Model, load_model
from lib.search import (
    Interpolate,
    LateInteractionRetriever,
    Retriever,
    Run,
    StagedQueries,
    TwoStageRetriever,
    encode_side,
    retriever_over,
    two_stages_over,
)
from lib.studies.architectures.rerank_depth import Reading, best_weight, by_weight

N_IMAGES = (
    1000  # of the ordinary scenes test; a cross-encoder reads no more than that in reasonable time
)
N_SAMPLED = 250
IMAGES = np.arange(N_SAMPLED) * (N_IMAGES // N_SAMPLED)


def one_caption_each(images: np.ndarray) -> np.ndarray:
    """Positions of one caption of each image or scene, the five kinds in turn."""
    return images * scenes.N_CAPTIONS + np.arange(len(images)) % scenes.N_CAPTIONS


# What a cross-encoder is asked: captions of every fourth image, and of every scene of the hard
# split.
SAMPLES = {
    "scenes": one_caption_each(IMAGES),
    "scenes, hard": one_caption_each(np.arange(scenes.N_HARD)),
}
KEPT = 100  # items of a run that is judged
DEPTHS = (20, 50)
NPROBE = 2
TASKS: dict[str, Callable[[str], RetrievalTask]] = {
    "scenes": lambda split: scenes.task(split, n_images=N_IMAGES),
    "scenes, hard": scenes.hard_task,
    "icons": icons.task,
}


@dataclass(frozen=True)
class System:
    """One architecture on one task.

    Args:
        task: a key of `TASKS`.
        name: of the architecture.
        models: artifacts, the first stage first.
        depths: of the rerank by a second model; a row of the table each.
        indexed: whether late interaction compares only candidates of a `TokenIndex`, with 2 bits a
            dimension.
        mixed: whether the scores of both stages are mixed, with the weight that was best on
            validation.
        queries_at_once: how many are searched before what was found is kept; all when None.
        sampled: whether it is asked with the queries of `SAMPLES` alone.
    """

    task: str
    name: str
    models: tuple[str, ...]
    depths: tuple[int, ...] = ()
    indexed: bool = False
    mixed: bool = False
    queries_at_once: int | None = None
    sampled: bool = False

    @property
    def queries(self) -> np.ndarray:
        """Positions in its test task of what it is asked."""
        return SAMPLES[self.task] if self.sampled else np.arange(len(test_task(self.task).queries))

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows it fills."""
        return tuple(f"{self.name}, best {depth}" for depth in self.depths) or (self.name,)


BASELINE = "dual encoder"
ALL_SYSTEMS = (
    *(
        System(task, *rest)
        for task in ("scenes", "scenes, hard")
        for rest in (
            (BASELINE, ("scenes",)),
            ("dual encoder, trained on twins", ("scenes_twins",)),
            ("late interaction", ("scenes_late",)),
            ("late interaction, 2-bit index", ("scenes_late",), (), True),
            (
                "dual, then cross-encoder",
                ("scenes", "scenes_cross"),
                DEPTHS,
                False,
                False,
                50,
                True,
            ),
        )
    ),
    System("icons", BASELINE, ("icons",)),
    System("icons", "late interaction", ("icons_late",)),
    System(
        "icons", "dual, mixed with late interaction", ("icons", "icons_late"), (50,), mixed=True
    ),
    System("icons", "dual, then cross-encoder", ("icons", "icons_cross"), (50,)),
    System("icons", "dual, mixed with cross-encoder", ("icons", "icons_cross"), (50,), mixed=True),
)


def systems() -> list[System]:
    """Those whose models are there."""
    return [
        system
        for system in ALL_SYSTEMS
        if all((artifacts_dir() / name / WEIGHTS).exists() for name in system.models)
    ]


def system_of(task: str, row: str) -> System:
    """The system that fills a row; the error lists what there is."""
    for system in systems():
        if system.task == task and row in system.rows:
            return system
    known = "; ".join(f"{system.task}: {row}" for system in systems() for row in system.rows)
    raise RetrievalInputError(f"no system {row!r} for {task!r}; there are {known}")


@cache
def model(name: str) -> Model:
    """A committed model, read once."""
    return load_model(name)


def weights_of(names: Sequence[str]) -> str:
    """The beginnings of the checksums of models, to keep what they said apart from what others
    say.
    """
    sums = [artifacts_dir() / name / (WEIGHTS + CHECKSUM_SUFFIX) for name in names]
    return "-".join(
        recorded_digest(path, f"Run: crossmodal train {path.parent.name}")[:8] for path in sums
    )


@cache
def test_task(name: str) -> RetrievalTask:
    """The test task of a key of `TASKS`, made once."""
    return TASKS[name]("test")


@cache
def retriever(system: System) -> Retriever:
    """Over the test gallery of the system's task."""
    task, models = test_task(system.task), [model(name) for name in system.models]
    if system.indexed:
        index = TokenIndex(models[0].dim, "residual", bits=2)
        index.add(encode_side(models[0], task.gallery, task.gallery_modality))
        return LateInteractionRetriever(models[0], index, nprobe=NPROBE)
    if not system.depths:
        return retriever_over(task, models[0])
    staged = two_stages_over(task, *models, max(system.depths))
    if not system.mixed:
        return staged
    weight = mixing_weight(system.task, system.models, staged.depth)
    return TwoStageRetriever(staged.first, staged.second, staged.depth, combine=Interpolate(weight))


def encoded(found: Retriever, queries, modality: str):
    """Queries as a retriever searches with them; int8 where late interaction keeps int8 tokens.

    Then its scores are whole numbers, the same on every machine.
    """
    if isinstance(found, TwoStageRetriever):
        return StagedQueries(
            *(encoded(stage, queries, modality) for stage in (found.first, found.second))
        )
    made = found.encode(queries, modality)
    whole = isinstance(found, LateInteractionRetriever) and isinstance(found.items, Tokens)
    return made.as_int8() if whole else made


def search(system: System, task: RetrievalTask) -> dict[str, Run]:
    """What a system finds for a task, `test_task` or some of its queries, by name of the row."""
    found = retriever(system)
    queries = encoded(found, task.queries, task.query_modality)
    k = min(KEPT, len(task.gallery))
    runs = (
        found.search_depths(queries, k, system.depths)
        if system.depths
        else [found.search(queries, k)]
    )
    return dict(zip(system.rows, runs, strict=True))


@cache
def mixing_weight(task_name: str, models: tuple[str, str], depth: int) -> float:
    """The weight of the second stage with the best R@1 on the validation split, see `best_weight`.

    Args:
        task_name: a key of `TASKS`.
        models: artifacts of the two stages.
        depth: of the rerank.
    """
    task = TASKS[task_name]("validation")
    stages = two_stages_over(task, *(model(name) for name in models), depth)
    queries = encoded(stages, task.queries, task.query_modality)
    run = stages.first.search(queries.first, stages.depth)
    scores = stages.second.score(queries.second, run.ids)
    reading = Reading(task, run, scores, stages.second.score_names[-1])
    return best_weight(by_weight(reading, stages.depth))
