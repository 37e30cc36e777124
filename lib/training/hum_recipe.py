"""Recipe of `hums`: a contour encoder that brings hums and windows of tunes together."""

from collections.abc import Callable
from dataclasses import dataclass, replace

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
N_VALIDATION, N_TEST = 200, 500  # hums a level
METRICS = ("R@1", "R@10", "R@100", "MRR")
DEPTH = 100


def hum_objective(network: nn.Module, batch: HumBatch) -> Tensor:
    """Compute InfoNCE between hums and windows in both directions, with a learnt temperature."""
    hums, windows = (
        F.normalize(network(side).float(), dim=1) for side in (batch.hums, batch.windows)
    )
    return infonce_loss(hums, windows, 1 / network.logit_scale.exp(), direction="both")


def validation_task(level: str) -> RetrievalTask:
    """Return the task from hums of the validation split to the tunes of that split alone."""
    task = hum_task("validation", level, n_queries=N_VALIDATION)
    places = load_corpus().positions("validation")
    gallery = [task.gallery[place] for place in places.tolist()]
    return replace(task, gallery=gallery, qrels=task.qrels.T.take_queries(places).T)


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
        """Search hums of the validation split among the tunes of that split."""
        tasks = {level: validation_task(level) for level in LEVELS}

        def validate(encoder: ContourEncoder) -> dict[str, float]:
            results = {}
            matcher = LearnedContourMatcher(tasks["hard"].gallery, encoder)
            for level, task in tasks.items():
                report = evaluate_run(matcher.search(task.queries, DEPTH), task, metrics=METRICS)
                results |= {f"{name} {level}": report.mean(name) for name in ("R@1", "MRR")}
            return {**results, "score": sum(results.values())}

        return validate

    def measure(self, encoder: ContourEncoder) -> tuple[list[dict], dict]:
        rows, matcher = [], None
        for level in LEVELS:
            task = hum_task("test", level, n_queries=N_TEST)
            matcher = matcher or LearnedContourMatcher(task.gallery, encoder)
            report = evaluate_run(matcher.search(task.queries, DEPTH), task, metrics=METRICS)
            rows += [{"level": level, **row} for row in report.rows()]
        return rows, {}
