"""Inputs that a few lines describe and that libraries of metrics answer differently."""

from collections.abc import Mapping
from dataclasses import dataclass

GradesOf = Mapping[str, Mapping[str, int]]
ScoresOf = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Case:
    """One input and one metric of it.

    Args:
        name: what is special about the input.
        metric: a key of `disagreements.METRICS`.
        qrels: `{query: {document: grade}}`.
        run: `{query: {document: score}}`, documents in order of insertion.
        why: what the libraries make of it.
        not_asked: libraries in which the input cannot be written down.
        low_level: ask ranx's function on arrays instead of its `Qrels` and `Run`.
    """

    name: str
    metric: str
    qrels: GradesOf
    run: ScoresOf
    why: str
    not_asked: tuple[str, ...] = ()
    low_level: bool = False


def ranking(documents: str, best: float | None = None) -> dict[str, float]:
    """Scores that put the letters in this order."""
    best = len(documents) if best is None else best
    return {document: best - place for place, document in enumerate(documents)}


GRADED = {"q": {"a": 3, "b": 2, "c": 1}}
THREE_RELEVANT = {"q": dict.fromkeys("abc", 1)}
FIVE_RELEVANT = {"q": dict.fromkeys("acefg", 1)}
NEGATIVE = {"q": {"a": -0.1, "x": -0.2, "b": -0.3, "y": -0.4}}
TIED = {"q": dict.fromkeys("amz", 0.5)}
SIXTY = [f"d{i:02}" for i in range(60)]
PERFECT = {"a": 1.0, "b": 0.5}
BY_PAIRS = (
    "torchmetrics",
    "scikit-learn",
)  # they see scores and grades of pairs, and no set of queries

CASES = (
    Case(
        "grades 3, 2, 1",
        "nDCG",
        GRADED,
        {"q": ranking("cbxa")},
        "one name, two gains: 2^g - 1 in ours, g in all others",
    ),
    Case(
        "grades 3, 2, 1",
        "nDCG, gain 2^g - 1",
        GRADED,
        {"q": ranking("cbxa")},
        "by its own name in ranx (ndcg_burges); elsewhere the caller transforms the grades",
    ),
    Case(
        "grades 3, 2, 1",
        "nDCG, gain g",
        GRADED,
        {"q": ranking("cbxa")},
        "the same definition gives the same number",
    ),
    *(
        Case(
            "two of three relevant items were never retrieved",
            metric,
            THREE_RELEVANT,
            {"q": ranking("ax")},
            "who is handed only the list cannot know what is missing from it",
        )
        for metric in ("nDCG@10", "recall@10", "AP")
    ),
    *(
        Case(
            f"three tied items, the relevant one inserted {place}",
            metric,
            {"q": {document: 1}},
            TIED,
            f"an order nobody asked for decides, of insertion or of names backwards; {exception}",
        )
        for place, document in (("first", "a"), ("last", "z"))
        for metric, exception in (
            (
                "AP",
                "scikit-learn takes the whole group in one step, as if the relevant item came last",
            ),
            ("nDCG@10", "scikit-learn and torchmetrics take the mean over all orders"),
        )
    ),
    Case(
        "sixty tied items, the relevant one inserted first",
        "AP",
        {"q": {SIXTY[0]: 1}},
        {"q": dict.fromkeys(SIXTY, 0.5)},
        "an unstable sort keeps not even the order of insertion",
    ),
    *(
        Case(
            "all scores negative, as cosines may be",
            metric,
            {"q": {"a": 1, "b": 1}},
            NEGATIVE,
            "torchmetrics takes a score of 0 or less for an item that was not retrieved",
        )
        for metric in ("AP", "RR", "recall@1", "R@1")
    ),
    Case(
        "five relevant items, hits at 1 and 3 of the first three",
        "AP@3",
        FIVE_RELEVANT,
        {"q": ranking("abcdefg")},
        "divided by the relevant items, or by those that were found",
    ),
    Case(
        "five relevant items, hits at 1 and 3 of the first three",
        "AP@3 over min(R, k)",
        FIVE_RELEVANT,
        {"q": ranking("abcdefg")},
        "the denominator of recommender contests",
    ),
    Case(
        "a list of two, one of them relevant",
        "P@10",
        {"q": {"a": 1}},
        {"q": ranking("ax")},
        "a place that stays empty is a wrong one",
    ),
    Case(
        "a list of two, one of them relevant",
        "P@10 of what is there",
        {"q": {"a": 1}},
        {"q": ranking("ax")},
        "an option of torchmetrics (adaptive_k) divides by the length of the list",
    ),
    Case(
        "a judged query without relevant items",
        "AP",
        {"q1": {"a": 1}, "q2": {"a": 0}},
        {"q1": PERFECT, "q2": PERFECT},
        "a zero in the mean; ours asks whether to skip it or to count it",
    ),
    Case(
        "a judged query that is not in the run",
        "AP",
        {"q1": {"a": 1}, "q2": {"a": 1}},
        {"q1": PERFECT},
        "dropped without a word, which is a way to score better by answering less",
        not_asked=BY_PAIRS,
    ),
    Case(
        "a query in the run that nobody judged",
        "AP",
        {"q1": {"a": 1}},
        {"q1": PERFECT, "q2": PERFECT},
        "dropped by one, a failure for another, refused by two",
        not_asked=("scikit-learn",),
    ),
    Case(
        "a query with an empty row of judgements",
        "AP",
        {"q1": {"a": 1}, "q2": {}},
        {"q1": PERFECT, "q2": PERFECT},
        "the same fact as a grade of 0, yet not the same answer in every library",
        not_asked=BY_PAIRS,
    ),
    Case(
        "a grade of -1 at rank 1, of 2 at rank 2",
        "nDCG, gain g",
        {"q": {"a": -1, "b": 2}},
        {"q": ranking("ab")},
        "worth nothing, or less than nothing",
    ),
    Case(
        "the score of a wrong item is NaN",
        "AP",
        {"q": {"a": 1}},
        {"q": {"a": 1.0, "x": float("nan")}},
        "NaN has no place in an order; whoever sorts it gives it one",
    ),
    Case(
        "grades 1 and 2 at ranks 1 and 2, of which 2 counts as relevant",
        "RR from grade 2",
        {"q": {"a": 1, "b": 2}},
        {"q": ranking("ab")},
        "a level that can be asked for, or not",
    ),
    Case(
        "two float64 scores that float32 cannot tell apart",
        "AP",
        {"q": {"z": 1}},
        {"q": {"a": 0.30000001, "z": 0.30000000}},
        "trec_eval keeps float32, so that they tie, and then it orders them by name",
    ),
    Case(
        "judgements not in order of grade, through arrays",
        "nDCG, gain g",
        {"q": {"a": 1, "b": 3}},
        {"q": ranking("ba")},
        "ranx's function on arrays takes the order given for the ideal one, and passes 1",
        low_level=True,
    ),
)
