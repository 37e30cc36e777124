"""Recipe of `hums`: a contour encoder that brings hums and windows of tunes together."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from lib.core.task import RetrievalTask
from lib.datasets.tunes import hum_task, load_corpus
from lib.losses.infonce import infonce_loss
from lib.models.contour_encoder import CONFIG, KIND, ContourEncoder
from lib.search import evaluate_run
from lib.search.melody.learned import LearnedContourMatcher
from lib.training.hum_batches import HumBatch, HumStream
from lib.training.recipe import Recipe

NAME = "hums"
LEVELS = ("medium", "hard")
SECONDS = (6.0, 8.0, 11.0)  # of the tune that a hum holds
N_VALIDATION, N_TEST = 150, 500  # hums a level
METRICS = ("R@1", "R@10", "R@100", "MRR")
DEPTH = 100


def hum_objective(network: nn.Module, batch: HumBatch) -> Tensor:
    """Compute InfoNCE between hums and windows in both directions, with a learnt temperature."""
    hums, windows = (
        F.normalize(network(side).float(), dim=1) for side in (batch.hums, batch.windows)
    )
    return infonce_loss(hums, windows, 1 / network.logit_scale.exp(), direction="both")


def validation_tasks(level: str) -> list[RetrievalTask]:
    """Return tasks from hums of the validation split to the tunes of that split, one a length."""
    places = load_corpus().positions("validation")
    tasks = []
    for seconds in SECONDS:
        task = hum_task("validation", level, n_queries=N_VALIDATION, seconds=seconds)
        gallery = [task.gallery[place] for place in places.tolist()]
        qrels = task.qrels.T.take_queries(places).T
        tasks.append(replace(task, gallery=gallery, qrels=qrels))
    return tasks


@dataclass(frozen=True, kw_only=True)
class HumRecipe(Recipe):
    """Recipe of the contour encoder, on hums of the training families."""

    bits: int = 8

    def start(self) -> tuple[ContourEncoder, HumStream]:
        encoder = ContourEncoder({"name": NAME, "kind": KIND, **CONFIG})
        return encoder, HumStream(self.batch_size, self.plan.seed)

    def objective(self) -> Callable[[nn.Module, HumBatch], Tensor]:
        return hum_objective

    def validation(self) -> Callable[[ContourEncoder], dict[str, float]]:
        """Search hums of the validation split among the tunes of that split, means over lengths."""
        tasks = {level: validation_tasks(level) for level in LEVELS}

        def validate(encoder: ContourEncoder) -> dict[str, float]:
            results = {}
            matcher = LearnedContourMatcher(tasks["hard"][0].gallery, encoder)
            for level, of_lengths in tasks.items():
                reports = [
                    evaluate_run(matcher.search(task.queries, DEPTH), task, metrics=METRICS)
                    for task in of_lengths
                ]
                results |= {
                    f"{name} {level}": float(np.mean([report.mean(name) for report in reports]))
                    for name in ("R@1", "MRR")
                }
            return {**results, "score": sum(results.values())}

        return validate

    def measure(self, encoder: ContourEncoder) -> tuple[list[dict], dict]:
        rows, matcher = [], None
        for level, seconds in product(LEVELS, SECONDS):
            task = hum_task("test", level, n_queries=N_TEST, seconds=seconds)
            matcher = matcher or LearnedContourMatcher(task.gallery, encoder)
            report = evaluate_run(matcher.search(task.queries, DEPTH), task, metrics=METRICS)
            rows += [{"level": level, "seconds": seconds, **row} for row in report.rows()]
        return rows, {}
