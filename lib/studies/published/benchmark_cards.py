"""Describe the published benchmarks: task, sizes, terms of the files, known flaws."""

from dataclasses import dataclass

from lib.datasets import activitynet, audioset, coco, flickr30k, msrvtt, vggsound
from lib.datasets.download.sources import load_sources
from lib.studies.published.leaderboard import half_width


@dataclass(frozen=True)
class Card:
    """Describe one benchmark; sizes come from its loader, terms from its download sources.

    Args:
        name: name on the command line.
        asks: query and item.
        split: split that papers report on.
        n_queries, n_gallery: sizes of the direction in `asks`; None where there is no test set.
        metrics: metrics that papers print.
        rot: known missing files.
        flaw: the most important flaw.
        remark: the choice of protocol that makes two papers differ.
    """

    name: str
    asks: str
    split: str
    n_queries: int | None
    n_gallery: int | None
    metrics: str
    rot: str
    flaw: str
    remark: str

    @property
    def terms(self) -> str:
        """Return the first sentence of the terms that a download shows."""
        return load_sources()[self.name].terms.partition(". ")[0].removesuffix(".")


def cards() -> list[Card]:
    """List the seven corpora, images first. LAION is not a benchmark."""
    of_coco, of_flickr = coco.PUBLISHED["test"], flickr30k.PUBLISHED["test"]
    of_msrvtt, of_activitynet = msrvtt.PUBLISHED["1k-A"], activitynet.PUBLISHED["val_1"]
    of_audioset, of_vggsound = audioset.PUBLISHED["retrieval"], vggsound.PUBLISHED["retrieval"]
    repeated = of_msrvtt["captions"] - of_msrvtt["distinct sentences"]
    return [
        Card(
            "coco", "a caption for its image, and back", "test (Karpathy)",
            of_coco["captions, all"], of_coco["images"], "R@1, R@5, R@10, rsum",
            "none known: the images are one archive",
            "captions fit other images than their own, and count as wrong there",
            f"{of_coco['captions, all']:,}, {of_coco['captions, first 5']:,} or "
            f"{of_coco['captions, unique']:,} captions; 5K or 1K",
        ),
        Card(
            "flickr30k", "a caption for its image, and back", "test (Karpathy)",
            of_flickr["captions"], of_flickr["images"], "R@1, R@5, R@10, rsum",
            "images only on request", "small, and near its ceiling",
            "typed sentences, or those of the release with punctuation apart",
        ),
        Card(
            "msrvtt", "a sentence for its clip, and back", "1k-A",
            of_msrvtt["captions"], of_msrvtt["videos"], "R@1, R@5, R@10, MedR",
            "the page is gone; copies are shared",
            f"{repeated} sentences repeat another one's words; there is no validation split, so "
            "some choose the epoch on the test",
            "1k-A, 1k-B or full; with a dual softmax or without",
        ),
        Card(
            "activitynet", "a paragraph for its video, and back", "val_1",
            of_activitynet["captions"], of_activitynet["videos"], "R@1, R@5, R@50, MedR",
            "videos vanish from YouTube; loaders that skip them print higher numbers",
            "the validation split is the test",
            "val_1 or val_2: other annotators, a few videos less",
        ),
        Card(
            "audioset", "a sound for its pictures, and back", "five clips per class (CAV-MAE)",
            of_audioset["clips"], of_audioset["clips"], "R@1, R@5, R@10",
            "clips vanish from YouTube", "other clips of the same classes count as wrong",
            "there is no official retrieval split: say whose subset",
        ),
        Card(
            "vggsound", "a sound for its pictures, and back", "five clips per class (CAV-MAE)",
            of_vggsound["clips"], of_vggsound["clips"], "R@1, R@5, R@10",
            "clips vanish from YouTube", "four other clips of each class count as wrong",
            "the subset, or the whole test set by class",
        ),
        Card(
            "laion", "nothing: pairs to train on", "none", None, None, "none",
            "links die; each download is another corpus",
            "captions are what stood beside a picture on some page",
            "no score on it can be compared with another",
        ),
    ]  # fmt: skip


def size_rows(of: list[Card] | None = None) -> list[dict]:
    """List sizes, the R@1 of chance and the half interval of an R@1 of 50, in percent."""
    rows = []
    for card in cards() if of is None else of:
        row = {"benchmark": card.name, "asks": card.asks, "split": card.split}
        row |= {"queries": card.n_queries, "gallery": card.n_gallery, "metrics": card.metrics}
        row["chance"] = 100 / card.n_gallery if card.n_gallery else None
        row["half_interval"] = half_width(50, card.n_queries) if card.n_queries else None
        rows.append(row)
    return rows


def caveat_rows(of: list[Card] | None = None) -> list[dict]:
    """List terms, missing files, flaws, and the choice of protocol that papers differ in."""
    return [
        {
            "benchmark": c.name,
            "terms": c.terms,
            "files": c.rot,
            "flaw": c.flaw,
            "say_which": c.remark,
        }
        for c in (cards() if of is None else of)
    ]
