"""Describe the protocol of an evaluation: the columns that make two numbers comparable."""

from dataclasses import asdict, dataclass, fields

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.metrics.hubness import INFERENCE

GALLERIES = ("whole", "mean of folds", "first fold")
JUDGEMENTS = ("original", "cxc", "eccv", "cxc-grades")

PLURAL = {"audio": "sounds"}


@dataclass(frozen=True)
class Protocol:
    """Describe an evaluation in the columns of a results table.

    Args:
        benchmark: the corpus, `"coco"`; a miniature says so.
        split: `"test"`, `"1k-A"`.
        sizes: `((modality, items), ...)` of the two sides, of one fold where there are folds.
        captions: texts that were kept: `"all"`, `"first 5"`, `"unique"`; for pairs without texts
            the relevance: `"same clip"`, `"labels"`.
        gallery: `"whole"`, `"mean of folds"` (the papers' COCO 1K), or `"first fold"` (a smaller
            sample, which is not what papers call 1K).
        n_folds: number of folds; 1 for the whole.
        judgements: `"original"`, `"cxc"` or `"eccv"` (extended positives), or `"cxc-grades"`.
        inference: `"inductive"`, `"querybank"` or `"transductive"`, see `lib.metrics.hubness`.
        method: the method against hubs with its settings, or `"none"`.
        prompt: template around the texts, `"a photo of {}"`; empty for none.
        precision: precision of the encoder, `"fp32"`.
        counts: `((what, found, published), ...)` of the corpus.
        judged_counts: the same of the queries and positives of extended judgements.
    """

    benchmark: str
    split: str
    sizes: tuple[tuple[str, int], tuple[str, int]]
    captions: str = "all"
    gallery: str = "whole"
    n_folds: int = 1
    judgements: str = "original"
    inference: str = "inductive"
    method: str = "none"
    prompt: str = ""
    precision: str = "fp32"
    counts: tuple[tuple[str, int, int], ...] = ()
    judged_counts: tuple[tuple[str, int, int], ...] = ()

    def __post_init__(self) -> None:
        check_choice(self.gallery, GALLERIES, "gallery")
        check_choice(self.judgements, JUDGEMENTS, "judgements")
        check_choice(self.inference, INFERENCE, "inference")
        check_count(self.n_folds, "n_folds")
        if (self.gallery == "whole") != (self.n_folds == 1):
            raise RetrievalInputError(
                f"gallery {self.gallery!r} does not go with {self.n_folds} folds"
            )

    @property
    def title(self) -> str:
        """Name corpus, split, sizes, captions and gallery, in one line."""
        sizes = " x ".join(
            f"{n:,} {PLURAL.get(modality, modality + 's')}" for modality, n in self.sizes
        )
        folds = {"whole": "", "mean of folds": f", mean of {self.n_folds} folds"}
        part = folds.get(self.gallery, f", first of {self.n_folds} folds")
        return f"{self.benchmark} {self.split}: {sizes}, captions: {self.captions}{part}"

    @property
    def is_complete(self) -> bool:
        """Tell whether everything that is published was found."""
        return all(found == published for _, found, published in self.counts)

    def columns(self) -> dict:
        """Return the fields by name, ready for JSON."""
        return asdict(self)


def protocol_differences(a: Protocol, b: Protocol) -> list[str]:
    """List the columns in which two protocols differ, `"captions: 'all' and 'first 5'"`."""
    pairs = (
        (field.name, getattr(a, field.name), getattr(b, field.name)) for field in fields(Protocol)
    )
    return [
        f"{name}: {_as_words(mine)} and {_as_words(other)}"
        for name, mine, other in pairs
        if mine != other
    ]


def _as_words(value) -> str:
    if isinstance(value, tuple):
        return " ".join(" ".join(map(str, part)) for part in value) or "none"
    return repr(value)
