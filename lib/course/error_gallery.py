"""The error gallery: wrong metric code beside the right call, on the smallest input that tells them
apart.

    error_gallery.rows("ranks")       one row per exhibit of a family: both values, and what gives
    it away
    error_gallery.EXHIBITS            {name: Exhibit}

Both values are computed when they are asked for. Where the library refuses an input, none is right.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lib import metrics
from lib.core.checks import RetrievalInputError, check_choice
from lib.core.qrels import Qrels
from lib.course import wrong_metrics as wild

FAMILIES = ("what is counted", "ranks", "gain", "scores", "whose answer", "statistics")


@dataclass(frozen=True)
class Exhibit:
    """One error.

    Args:
        name: what is done wrong, in a few words.
        family: one of `FAMILIES`.
        wrong: the function as found; its docstring says where.
        right: the library's answer to the same arguments.
        case: arguments on which the two differ.
        clue: what gives the error away to somebody who sees only the number or the code.
    """

    name: str
    family: str
    wrong: Callable[..., float]
    right: Callable[..., float]
    case: tuple
    clue: str

    def outcome(self) -> tuple[float, float | None]:
        """`(wrong value, right value)`, the latter None where the library refuses the input."""
        return float(self.wrong(*self.case)), self._right()

    @property
    def refusal(self) -> str | None:
        """What the library says to an input that it refuses."""
        try:
            self.right(*self.case)
        except RetrievalInputError as error:
            return str(error)
        return None

    def _right(self) -> float | None:
        return None if self.refusal is not None else float(self.right(*self.case))


def rows(family: str | None = None) -> list[dict]:
    """Tidy rows of one family, or of all: the error, the value it gives, the right one, the clue.

    Raises:
        RetrievalInputError: an unknown family.
    """
    if family is not None:
        check_choice(family, FAMILIES, "family")
    table = []
    for exhibit in EXHIBITS.values():
        if family in (None, exhibit.family):
            wrong, right = exhibit.outcome()
            clue = exhibit.clue if right is not None else f"{exhibit.clue} (the library refuses)"
            table.append(
                {"error": exhibit.name, "wrong": wrong, "right": right, "what gives it away": clue}
            )
    return table


def _one(metric: Callable) -> Callable[..., float]:
    """A metric of `lib.metrics` for one list and its relevant ids."""
    return lambda ranked, relevant, *k, **how: metric([list(ranked)], [list(relevant)], *k, **how)[
        0
    ]


def _padded_precision(ranked: Sequence[int], relevant: Sequence[int], k: int) -> float:
    return metrics.precision_at_k([[*ranked, *[-1] * (k - len(ranked))]], [list(relevant)], k)[0]


def _median_rank(ranks: Sequence[int]) -> float:
    """The median over lists whose relevant item, 0, is at these ranks."""
    depth = max(ranks)
    lists = [[*range(1, rank), 0, *range(rank, depth)] for rank in ranks]
    return metrics.median_rank(lists, [0] * len(ranks))


def _ndcg(ranked: Sequence[int], grades: dict[int, int], k: int) -> float:
    items, n_items = list(grades), 1 + max([*ranked, *grades])
    qrels = Qrels.from_pairs([0] * len(items), items, list(grades.values()), shape=(1, n_items))
    return metrics.ndcg_at_k([[*ranked, *[-1] * (k - len(ranked))]], qrels, k)[0]


def _first_of_own(scores: np.ndarray, ties: str = "expected") -> float:
    qrels = Qrels.from_owner(np.arange(len(scores)), len(scores))
    return metrics.ranks_in_scores(scores, qrels).hit_rate_at_k(1, ties).mean()


def _by_ids(scores: np.ndarray, query_ids: Sequence[int], item_ids: Sequence[int]) -> float:
    qrels = Qrels.from_ids({query: [query] for query in query_ids}, query_ids, item_ids)
    return metrics.ranks_in_scores(scores, qrels).hit_rate_at_k(1).mean()


def _by_owner(scores: np.ndarray, owner: Sequence[int]) -> float:
    return (
        metrics.ranks_in_scores(scores, Qrels.from_owner(owner, len(scores)))
        .hit_rate_at_k(1)
        .mean()
    )


def _ap_of_scores(scores: Sequence[float], relevant: Sequence[int]) -> float:
    run = metrics.unadjusted(np.array([scores], float), depth=len(scores)).ids
    return metrics.average_precision(run, [list(relevant)])[0]


def _p_value(differences: Sequence[float], n_resamples: int) -> float:
    zero = np.zeros(len(differences))
    return metrics.paired_randomization(differences, zero, n_resamples=n_resamples).p_value


_ROLLED = np.roll(np.eye(4), 1, axis=1)  # a perfect model, its gallery on file in another order
_RAGGED = np.repeat([0, 1, 2], [4, 6, 5])  # owners of 15 captions; all that n / 5 needs is the sum
_OWN = (np.arange(3)[:, None] == _RAGGED).astype(float)  # (3 images, 15 captions): a perfect model
_TIED = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
_BROKEN = np.array([[np.nan, np.nan], [0.2, 0.9]])
_ONE_WAY = np.array([[0.9, 0.1, 0.2], [0.8, 0.5, 0.1], [0.7, 0.3, 0.6]])

EXHIBITS = {
    exhibit.name: exhibit
    for exhibit in (
        Exhibit(
            "hit rate called recall", FAMILIES[0], wild.recall_that_is_hit_rate, _one(metrics.recall_at_k),
            ([2, 7, 8], [0, 1, 2, 3, 4], 1), "above the ceiling min(k, R) / R of any recall",
        ),
        Exhibit(
            "k above the gallery", FAMILIES[0], wild.hit_rate_in_what_there_is, _one(metrics.hit_rate_at_k),
            ([3, 1, 2, 0], [0], 10), "chance is 100%",
        ),
        Exhibit(
            "precision over the list's length", FAMILIES[0], wild.precision_over_what_there_is,
            _padded_precision, ([0, 5], [0], 10), "rises when the system returns less",
        ),
        Exhibit(
            "an item counted twice", FAMILIES[0], wild.precision_with_repeats, _one(metrics.precision_at_k),
            ([0, 0, 0], [0, 1, 2], 3), "one right answer, repeated, is a perfect list",
        ),
        Exhibit(
            "AP from sets", FAMILIES[0], wild.average_precision_of_sets, _one(metrics.average_precision),
            ([5, 6, 0], [0], 3), "the list backwards scores the same",
        ),
        Exhibit(
            "AP over the hits", FAMILIES[0], wild.average_precision_over_hits,
            _one(metrics.average_precision), ([0, 8, 1], [0, 1, 2, 3, 4], 3), "finding one more can lower it",
        ),
        Exhibit(
            "AP over k", FAMILIES[0], wild.average_precision_over_k, _one(metrics.average_precision),
            (list(range(10)), [0], 10), "a perfect list does not reach 1",
        ),
        Exhibit(
            "argmax of nothing", FAMILIES[1], wild.reciprocal_rank_by_argmax, _one(metrics.reciprocal_rank),
            ([5, 6, 7], [0]), "MRR is above R@k for every k",
        ),
        Exhibit(
            "missing answers dropped", FAMILIES[1], wild.mean_reciprocal_rank_of_found,
            metrics.mean_reciprocal_rank, ([[0, 5], [5, 6]], [0, 1]), "fewer queries than were asked",
        ),
        Exhibit(
            "ranks from 0, cut-off from 1", FAMILIES[1], wild.hit_rate_from_zero, _one(metrics.hit_rate_at_k),
            ([5, 0], [0], 1), "R@1 equals what should be R@2",
        ),
        Exhibit(
            "the lower middle as median", FAMILIES[1], wild.median_rank_below_middle, _median_rank,
            ([1, 2, 4, 10],), "never ends in .5, whatever the data",
        ),
        Exhibit(
            "ideal over the list", FAMILIES[2], wild.ndcg_of_what_was_found, _ndcg,
            ([0, 3], {0: 1, 1: 1, 2: 1}, 10), "1.0 although two of three are missing",
        ),
        Exhibit(
            "linear gain, exponential name", FAMILIES[2], wild.ndcg_exponential_in_name, _ndcg,
            ([2, 1, 3, 0], {0: 3, 1: 2, 2: 1}, 4), "only grades above 1 show it: test with some",
        ),
        Exhibit(
            "gain 2^(g-1), or 2^g", FAMILIES[2], wild.ndcg_of_shifted_exponent, _ndcg,
            ([1, 2], {0: 1}, 2), "a list of wrong items scores above 0",
        ),
        Exhibit(
            "discount from rank 0", FAMILIES[2], wild.ndcg_from_rank_zero, _ndcg,
            ([0, 1], {0: 1}, 2), "infinity divided by infinity",
        ),
        Exhibit(
            "ties are wins", FAMILIES[3], wild.r1_counting_above, _first_of_own,
            (np.zeros((4, 4)),), "a model that says the same to everything is perfect",
        ),
        Exhibit(
            "ties grow the denominator", FAMILIES[3], wild.r1_sorted_equals_diagonal, _first_of_own,
            (_TIED,), "more ranks than queries",
        ),
        Exhibit(
            "NaN is a hit", FAMILIES[3], wild.r1_counting_above, _first_of_own,
            (_BROKEN,), "broken queries beat working ones",
        ),
        Exhibit(
            "negative is irrelevant", FAMILIES[3], wild.average_precision_of_positives, _ap_of_scores,
            ([-0.1, -0.2, -0.3, -0.4], [0, 2]), "adding 1 to every score changes it",
        ),
        Exhibit(
            "columns for rows", FAMILIES[3], wild.r1_of_columns, _first_of_own,
            (_ONE_WAY,), "it is the other direction's number",
        ),
        Exhibit(
            "the diagonal, shuffled", FAMILIES[4], wild.r1_on_the_diagonal, _by_ids,
            (_ROLLED, [10, 11, 12, 13], [13, 10, 11, 12]), "another file order, another score",
        ),
        Exhibit(
            "five captions each", FAMILIES[4], wild.r1_five_captions_each, _by_owner,
            (_OWN, _RAGGED), "a perfect model is not perfect",
        ),
        Exhibit(
            "p without the +1", FAMILIES[5], wild.p_value_without_the_data, _p_value,
            ([1.0] * 20, 99), "p = 0",
        ),
    )
}  # fmt: skip
