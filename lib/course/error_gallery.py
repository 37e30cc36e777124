"""Wrong metric code beside the library's call, on the smallest input on which they differ.

error_gallery.error_rows("ranks")     one row per exhibit of a family, with both values
error_gallery.EXHIBITS                {name: Exhibit}
error_gallery.ROUNDS[0].suspects      a round of the game: which error printed this number?
"""

import inspect
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lib import metrics
from lib.core.checks import RetrievalInputError, check_choice
from lib.core.qrels import Qrels
from lib.course import wrong_code


@dataclass(frozen=True)
class Exhibit:
    """One error.

    Args:
        name: the error in a few words.
        wrong: the function as published; its docstring says where.
        right: the library's function of the same arguments.
        case: arguments on which the two differ.
        clue: what shows the error to a reader of the number or of the code.
        family: one of `FAMILIES`.
    """

    name: str
    wrong: Callable[..., float]
    right: Callable[..., float]
    case: tuple
    clue: str
    family: str

    def outcome(self) -> tuple[float, float | None]:
        """Return (wrong value, right value); the latter is None where the library refuses."""
        right = None if self.refusal is not None else float(self.right(*self.case))
        return float(self.wrong(*self.case)), right

    @property
    def input(self) -> str:
        """The arguments of the case as text: `ranked [2, 7, 8], relevant [0, 1, 2], k 1`."""
        names = inspect.signature(self.wrong).parameters
        return ", ".join(f"{name} {_as_text(value)}" for name, value in zip(names, self.case))

    @property
    def deed(self) -> str:
        """The error in a sentence: the docstring of the wrong function up to "Seen in"."""
        return (self.wrong.__doc__ or "").split(" Seen in:")[0].rstrip(".")

    @property
    def refusal(self) -> str | None:
        """The library's error message for an input that it refuses, else None."""
        try:
            self.right(*self.case)
        except RetrievalInputError as error:
            return str(error)
        return None


def error_rows(family: str | None = None) -> list[dict]:
    """Return tidy rows of one family or of all: the error, its input, both values, the clue."""
    if family is not None:
        check_choice(family, FAMILIES, "family")
    rows = []
    for exhibit in EXHIBITS.values():
        if family in (None, exhibit.family):
            wrong, right = exhibit.outcome()
            clue = exhibit.clue if right is not None else f"{exhibit.clue} (the library refuses)"
            row = {"error": exhibit.name, "input": exhibit.input, "wrong": wrong, "right": right}
            rows.append(row | {"what gives it away": clue})
    return rows


@dataclass(frozen=True)
class Round:
    """One round of the game: which of some errors printed a number?

    Args:
        culprit: the name of the exhibit that printed it.
        others: names of exhibits with functions of the same arguments.
    """

    culprit: str
    others: tuple[str, ...]

    @property
    def input(self) -> str:
        """The arguments, as text."""
        return EXHIBITS[self.culprit].input

    @property
    def printed(self) -> float:
        """The value of the wrong code."""
        return EXHIBITS[self.culprit].outcome()[0]

    @property
    def right(self) -> float | None:
        """The value of the library."""
        return EXHIBITS[self.culprit].outcome()[1]

    @property
    def suspects(self) -> dict[str, Exhibit]:
        """The exhibit of each suspect by its error in a sentence, in alphabetical order."""
        exhibits = (EXHIBITS[name] for name in (self.culprit, *self.others))
        return dict(sorted((exhibit.deed, exhibit) for exhibit in exhibits))

    def rows(self) -> list[dict]:
        """Return what each suspect prints for the arguments of the round."""
        case = EXHIBITS[self.culprit].case
        return [
            {"suspect": deed, "prints": float(exhibit.wrong(*case))}
            for deed, exhibit in self.suspects.items()
        ]


def _as_text(value) -> str:
    """Write an argument: a matrix row by row, four or more equal values in a row as `1 x4`."""
    if np.ndim(value) == 0 or isinstance(value, dict):
        return str(value)
    if np.ndim(value) == 2 and isinstance(value, np.ndarray):
        return "[" + "; ".join(_as_text(row)[1:-1] for row in value) + "]"
    if np.ndim(value) == 2:
        return str(value)
    parts = []
    for each, run in itertools.groupby(f"{number:g}" for number in value):
        n = len(list(run))
        parts += [f"{each} x{n}"] if n > 3 else [each] * n
    return f"[{', '.join(parts)}]"


def _for_one_list(metric: Callable) -> Callable[..., float]:
    """Return a metric of `lib.metrics` as a function of one list and its relevant ids."""
    return lambda ranked, relevant, *k: metric([list(ranked)], [list(relevant)], *k)[0]


_recall, _precision = map(_for_one_list, (metrics.recall_at_k, metrics.precision_at_k))
_hit_rate, _ap = map(_for_one_list, (metrics.hit_rate_at_k, metrics.average_precision))
_reciprocal_rank = _for_one_list(metrics.reciprocal_rank)


def _padded(ranked: Sequence[int], k: int) -> list[int]:
    return [*ranked, *[-1] * (k - len(ranked))]


def _padded_precision(ranked: Sequence[int], relevant: Sequence[int], k: int) -> float:
    return _precision(_padded(ranked, k), relevant, k)


def _median_rank(ranks: Sequence[int]) -> float:
    """Compute the median over lists with the relevant item, 0, at these ranks."""
    depth = max(ranks)
    lists = [[*range(1, rank), 0, *range(rank, depth)] for rank in ranks]
    return metrics.median_rank(lists, [0] * len(ranks))


def _ndcg(ranked: Sequence[int], grades: dict[int, int], k: int) -> float:
    items, n_items = list(grades), 1 + max([*ranked, *grades])
    qrels = Qrels.from_pairs([0] * len(items), items, list(grades.values()), shape=(1, n_items))
    return metrics.ndcg_at_k([_padded(ranked, k)], qrels, k)[0]


def _r1(scores: np.ndarray, qrels: Qrels) -> float:
    return metrics.ranks_in_scores(scores, qrels).hit_rate_at_k(1, "expected").mean()


def _r1_of_diagonal(scores: np.ndarray) -> float:
    return _r1_by_owner(scores, np.arange(len(scores)))


def _r1_by_owner(scores: np.ndarray, owner: Sequence[int]) -> float:
    return _r1(scores, Qrels.from_owner(owner, len(scores)))


def _r1_by_ids(scores: np.ndarray, query_ids: Sequence[int], item_ids: Sequence[int]) -> float:
    return _r1(scores, Qrels.from_ids({id: [id] for id in query_ids}, query_ids, item_ids))


def _ap_of_scores(scores: Sequence[float], relevant: Sequence[int]) -> float:
    return _ap(metrics.unadjusted(np.array([scores], float), depth=len(scores)).ids[0], relevant)


def _p_value(differences: Sequence[float], n_resamples: int) -> float:
    zero = np.zeros(len(differences))
    return metrics.paired_randomization(differences, zero, n_resamples=n_resamples).p_value


_ROLLED = np.roll(np.eye(4), 1, axis=1)  # a perfect model, its gallery on file in another order
_RAGGED = np.repeat([0, 1, 2], [4, 6, 5])  # owners of 15 captions; all that n / 5 needs is the sum
_PERFECT = (np.arange(3)[:, None] == _RAGGED).astype(float)  # (3 images, 15 captions)
_TIED = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
_BROKEN = np.array([[np.nan, np.nan], [0.2, 0.9]])
_ONE_WAY = np.array([[0.9, 0.1, 0.2], [0.8, 0.5, 0.1], [0.7, 0.3, 0.6]])

# family: (name, wrong, right, case, clue)
_EXHIBITS_BY_FAMILY = {
    "what is counted": [
        ("hit rate called recall", wrong_code.recall_that_is_hit_rate, _recall,
         ([2, 7, 8], [0, 1, 2, 3, 4], 1), "it is above min(k, R) / R, the highest recall"),
        ("k above the gallery", wrong_code.hit_rate_in_what_there_is, _hit_rate,
         ([3, 1, 2, 0], [0], 10), "chance is 100%"),
        ("precision over the list's length", wrong_code.precision_over_what_there_is,
         _padded_precision, ([0, 5], [0], 10), "it rises when the system returns fewer items"),
        ("an item counted twice", wrong_code.precision_with_repeats, _precision,
         ([0, 0, 0], [0, 1, 2], 3), "one right answer, repeated, is a perfect list"),
        ("AP from sets", wrong_code.average_precision_of_sets, _ap,
         ([5, 6, 0], [0], 3), "a reversed list gets the same value"),
        ("AP over the hits", wrong_code.average_precision_over_hits, _ap,
         ([0, 8, 1], [0, 1, 2, 3, 4], 3), "one more item found can lower it"),
        ("AP over k", wrong_code.average_precision_over_k, _ap,
         (list(range(10)), [0], 10), "a perfect list does not reach 1"),
    ],
    "ranks": [
        ("argmax of nothing", wrong_code.reciprocal_rank_by_argmax, _reciprocal_rank,
         ([5, 6, 7], [0]), "MRR is above R@k for every k"),
        ("missing answers dropped", wrong_code.mean_reciprocal_rank_of_found,
         metrics.mean_reciprocal_rank, ([[0, 5], [5, 6]], [0, 1]), "fewer queries than were asked"),
        ("ranks from 0, cut-off from 1", wrong_code.hit_rate_from_zero, _hit_rate,
         ([5, 0], [0], 1), "R@1 equals what should be R@2"),
        ("the lower middle as median", wrong_code.median_rank_below_middle, _median_rank,
         ([1, 2, 4, 10],), "it never ends in .5"),
    ],
    "gain": [
        ("ideal over the list", wrong_code.ndcg_of_what_was_found, _ndcg,
         ([0, 3], {0: 1, 1: 1, 2: 1}, 10), "1.0 although two of three are missing"),
        ("linear gain, exponential name", wrong_code.ndcg_exponential_in_name, _ndcg,
         ([2, 1, 3, 0], {0: 3, 1: 2, 2: 1}, 4), "it shows only with grades above 1"),
        ("gain 2^(g-1), or 2^g", wrong_code.ndcg_of_shifted_exponent, _ndcg,
         ([1, 2], {0: 1}, 2), "a list of wrong items scores above 0"),
        ("discount from rank 0", wrong_code.ndcg_from_rank_zero, _ndcg,
         ([0, 1], {0: 1}, 2), "it is NaN: infinity divided by infinity"),
    ],
    "scores": [
        ("ties are wins", wrong_code.r1_counting_above, _r1_of_diagonal,
         (np.zeros((4, 4)),), "a constant model gets 1"),
        ("ties grow the denominator", wrong_code.r1_sorted_equals_diagonal, _r1_of_diagonal,
         (_TIED,), "more ranks than queries"),
        ("NaN is a hit", wrong_code.r1_counting_above, _r1_of_diagonal,
         (_BROKEN,), "queries with NaN count as hits"),
        ("negative is irrelevant", wrong_code.average_precision_of_positives, _ap_of_scores,
         ([-0.1, -0.2, -0.3, -0.4], [0, 2]), "adding 1 to every score changes it"),
        ("columns for rows", wrong_code.r1_of_columns, _r1_of_diagonal,
         (_ONE_WAY,), "it is the number of the other direction"),
    ],
    "whose answer": [
        ("the diagonal, shuffled", wrong_code.r1_on_the_diagonal, _r1_by_ids,
         (_ROLLED, [10, 11, 12, 13], [13, 10, 11, 12]), "another file order, another score"),
        ("five captions each", wrong_code.r1_five_captions_each, _r1_by_owner,
         (_PERFECT, _RAGGED), "a perfect model is not perfect"),
    ],
    "statistics": [
        ("p without the +1", wrong_code.p_value_without_the_data, _p_value,
         ([1.0] * 20, 99), "p = 0"),
    ],
}  # fmt: skip
FAMILIES = tuple(_EXHIBITS_BY_FAMILY)
EXHIBITS = {
    fields[0]: Exhibit(*fields, family)
    for family, exhibits in _EXHIBITS_BY_FAMILY.items()
    for fields in exhibits
}
ROUNDS = (
    Round("AP over the hits", ("AP from sets", "AP over k", "hit rate called recall")),
    Round(
        "linear gain, exponential name",
        ("ideal over the list", "gain 2^(g-1), or 2^g", "discount from rank 0"),
    ),
    Round("ties grow the denominator", ("ties are wins", "columns for rows")),
)
