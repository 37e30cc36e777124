"""List the compared systems: models, task, and how they search."""

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
from lib.models.artifact_files import WEIGHTS
from lib.models.trained_models import Model, load_model
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
from lib.studies.architectures.rerank_depth import RerankScores, best_weight, weight_rows

N_IMAGES = 1000  # of the scenes test; a cross-encoder cannot read more pairs in reasonable time
N_SAMPLED = 250
IMAGES = np.arange(N_SAMPLED) * (N_IMAGES // N_SAMPLED)


def one_caption_each(images: np.ndarray) -> np.ndarray:
    """Return the position of one caption of each image or scene, the five kinds in turn."""
    return images * scenes.N_CAPTIONS + np.arange(len(images)) % scenes.N_CAPTIONS


# Queries of a cross-encoder: captions of every fourth image, and of every scene of the hard split.
SAMPLES = {
    "scenes": one_caption_each(IMAGES),
    "scenes, hard": one_caption_each(np.arange(scenes.N_HARD)),
}
RUN_DEPTH = 100  # items of a run that is evaluated
DEPTHS = (20, 50)
NPROBE = 2
TASKS: dict[str, Callable[[str], RetrievalTask]] = {
    "scenes": lambda split: scenes.task(split, n_images=N_IMAGES),
    "scenes, hard": scenes.hard_task,
    "icons": icons.task,
}


@dataclass(frozen=True)
class ArchitectureSystem:
    """Describe one architecture on one task."""

    task: str  # a key of `TASKS`
    name: str
    models: tuple[str, ...]  # artifacts, the first stage first
    depths: tuple[int, ...] = ()  # of the rerank by a second model, each a row of the table
    indexed: bool = False  # late interaction over candidates of a 2-bit `TokenIndex`
    mixed: bool = False  # mix the scores of both stages by the best weight on validation
    queries_at_once: int | None = None  # queries per cached part
    sampled: bool = False  # search only the queries of `SAMPLES`

    @property
    def queries(self) -> np.ndarray:
        """Return the positions of its queries in the test task."""
        return (
            SAMPLES[self.task]
            if self.sampled
            else np.arange(len(load_test_task(self.task).queries))
        )

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the names of its rows in the table."""
        return tuple(f"{self.name}, best {depth}" for depth in self.depths) or (self.name,)


BASELINE = "dual encoder"
CROSS = "dual, then cross-encoder"
ALL_SYSTEMS = (
    *(
        system
        for task in ("scenes", "scenes, hard")
        for system in (
            ArchitectureSystem(task, BASELINE, ("scenes",)),
            ArchitectureSystem(task, "dual encoder, trained on twins", ("scenes_twins",)),
            ArchitectureSystem(task, "late interaction", ("scenes_late",)),
            ArchitectureSystem(
                task, "late interaction, 2-bit index", ("scenes_late",), indexed=True
            ),
            ArchitectureSystem(
                task, CROSS, ("scenes", "scenes_cross"), DEPTHS, queries_at_once=50, sampled=True
            ),
        )
    ),
    ArchitectureSystem("icons", BASELINE, ("icons",)),
    ArchitectureSystem("icons", "late interaction", ("icons_late",)),
    ArchitectureSystem(
        "icons", "dual, mixed with late interaction", ("icons", "icons_late"), (50,), mixed=True
    ),
    ArchitectureSystem("icons", CROSS, ("icons", "icons_cross"), (50,)),
    ArchitectureSystem(
        "icons", "dual, mixed with cross-encoder", ("icons", "icons_cross"), (50,), mixed=True
    ),
)


def systems() -> list[ArchitectureSystem]:
    """List the systems with all models on disk."""
    return [
        system
        for system in ALL_SYSTEMS
        if all((artifacts_dir() / name / WEIGHTS).exists() for name in system.models)
    ]


def system_of(task: str, row: str) -> ArchitectureSystem:
    """Find the system of a row of the table."""
    for system in systems():
        if system.task == task and row in system.rows:
            return system
    known = "; ".join(f"{system.task}: {row}" for system in systems() for row in system.rows)
    raise RetrievalInputError(
        f"`row` must be a system of its task, got {row!r} of {task!r}; known: {known}"
    )


@cache
def model(name: str) -> Model:
    """Load a committed model, once."""
    return load_model(name)


def weights_of(names: Sequence[str]) -> str:
    """Join the first digits of the models' checksums, as part of a cache key."""
    digests = []
    for name in names:
        path = artifacts_dir() / name / (WEIGHTS + CHECKSUM_SUFFIX)
        digests.append(recorded_digest(path, f"Run: crossmodal train {name}"))
    return "-".join(digest[:8] for digest in digests)


@cache
def load_test_task(name: str) -> RetrievalTask:
    """Make the test task of a key of `TASKS`, once."""
    return TASKS[name]("test")


@cache
def retriever(system: ArchitectureSystem) -> Retriever:
    """Build the retriever of a system over its test gallery."""
    task, models = load_test_task(system.task), [model(name) for name in system.models]
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


def encode_queries(system: Retriever, queries, modality: str):
    """Encode queries for a retriever; int8 tokens where its items are int8 tokens."""
    if isinstance(system, TwoStageRetriever):
        stages = system.first, system.second
        return StagedQueries(*(encode_queries(stage, queries, modality) for stage in stages))
    encoded = system.encode(queries, modality)
    # Scores of int8 tokens are whole numbers, the same on every machine.
    int8 = isinstance(system, LateInteractionRetriever) and isinstance(system.items, Tokens)
    return encoded.as_int8() if int8 else encoded


def search(system: ArchitectureSystem, task: RetrievalTask) -> dict[str, Run]:
    """Search a task, `load_test_task` or some of its queries; return runs by name of the row."""
    searcher = retriever(system)
    queries = encode_queries(searcher, task.queries, task.query_modality)
    k = min(RUN_DEPTH, len(task.gallery))
    if system.depths:
        runs = searcher.search_depths(queries, k, system.depths)
    else:
        runs = [searcher.search(queries, k)]
    return dict(zip(system.rows, runs, strict=True))


@cache
def mixing_weight(task_name: str, models: tuple[str, str], depth: int) -> float:
    """Choose the weight of the second stage with the best R@1 on the validation split."""
    task = TASKS[task_name]("validation")
    stages = two_stages_over(task, *(model(name) for name in models), depth)
    queries = encode_queries(stages, task.queries, task.query_modality)
    run = stages.first.search(queries.first, stages.depth)
    scores = stages.second.score(queries.second, run.ids)
    reranking = RerankScores(task, run, scores, stages.second.score_names[-1])
    return best_weight(weight_rows(reranking, stages.depth))
