"""Describe the protocol of an evaluation: the columns that make two numbers comparable."""

from dataclasses import asdict, dataclass, fields

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.metrics.hubness import INFERENCE

GALLERIES = ("whole", "mean of folds", "first fold")
# "eccv-published" counts the two positives that lie in no gallery, as the authors do.
JUDGEMENTS = ("original", "cxc", "eccv", "eccv-published", "cxc-grades")
# What is ranked where media seek texts: every text, or the items, each by the best of its texts.
BEST_OF_ITEM = "best of item"
TEXT_GALLERIES = ("every text", BEST_OF_ITEM)

PLURAL = {"audio": "sounds", "query": "queries", "both": "pictures with texts"}


@dataclass(frozen=True)
class Protocol:
    """Describe an evaluation in the columns of a results table."""

    benchmark: str  # name of the corpus, "coco"; a miniature has its own name
    split: str
    sizes: tuple[tuple[str, int], tuple[str, int]]  # (modality, items) of both sides of a fold
    captions: str = "all"  # or "first 5", "unique"; without texts "same clip", "labels"
    # "mean of folds" is the papers' COCO 1K; "first fold" is a smaller sample.
    gallery: str = "whole"
    n_folds: int = 1
    judgements: str = "original"  # or another of `JUDGEMENTS`
    inference: str = "inductive"  # or "querybank", "transductive", see `lib.metrics.hubness`
    method: str = "none"  # method against hubs with its settings
    prompt: str = ""  # template around the texts, "a photo of {}"
    precision: str = "fp32"  # of the encoder
    counts: tuple[tuple[str, int, int], ...] = ()  # (name, found, published) of the corpus
    judged_counts: tuple[tuple[str, int, int], ...] = ()  # the same of extended judgements
    text_gallery: str = "every text"  # or "best of item", see `lib.metrics.evaluate_by_best_text`

    def __post_init__(self) -> None:
        check_choice(self.gallery, GALLERIES, "gallery")
        check_choice(self.judgements, JUDGEMENTS, "judgements")
        check_choice(self.inference, INFERENCE, "inference")
        check_choice(self.text_gallery, TEXT_GALLERIES, "text_gallery")
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
        if self.text_gallery == BEST_OF_ITEM:
            media = next(modality for modality, _ in self.sizes if modality != "text")
            part += f", {media} to text by the best sentence of each {media}"
        sides = {modality for modality, _ in self.sizes}
        word = "captions" if "text" in sides else "protocol"  # composed queries; sound and film
        return f"{self.benchmark} {self.split}: {sizes}, {word}: {self.captions}{part}"

    @property
    def is_complete(self) -> bool:
        """Tell whether the corpus has all published items."""
        return all(n_items == published for _, n_items, published in self.counts)

    def columns(self) -> dict:
        """Return the fields by name, ready for JSON."""
        return asdict(self)


def check_best_of_item(corpus, simple: bool) -> None:
    """Refuse "best of item" for a corpus without media that have texts, and beside other options.

    Args:
        corpus: the corpus.
        simple: the whole gallery, original judgements, inductive inference, no TREC files.
    """
    if not hasattr(corpus, "owners"):
        raise RetrievalInputError(
            f"'{BEST_OF_ITEM}' needs media with texts of their own; {corpus.name} has none"
        )
    if not simple:
        raise RetrievalInputError(
            f"'{BEST_OF_ITEM}' goes with the whole gallery, original judgements and inductive"
            " inference, and writes no TREC files; leave the other options out"
        )


def positives_of(judgements: str) -> str:
    """Return the set of positives of judgements: the two kinds of eccv have one."""
    return "eccv" if judgements == "eccv-published" else judgements


def protocol_differences(a: Protocol, b: Protocol) -> list[str]:
    """List the columns in which two protocols differ, `"captions: 'all' and 'first 5'"`."""
    names = [field.name for field in fields(Protocol)]
    return [
        f"{name}: {_as_words(getattr(a, name))} and {_as_words(getattr(b, name))}"
        for name in names
        if getattr(a, name) != getattr(b, name)
    ]


def _as_words(value) -> str:
    if isinstance(value, tuple):
        return " ".join(" ".join(map(str, part)) for part in value) or "none"
    return repr(value)
