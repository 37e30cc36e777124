"""The published benchmarks by name: how each is loaded, and how its miniature is written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lib.datasets import activitynet, audioset, coco, flickr30k, laion, msrvtt, vggsound
from lib.datasets.audio_video import RELEVANCE, SUBSETS, AudioVideoClips
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.miniatures import activitynet as miniature_of_activitynet
from lib.datasets.miniatures import audioset as miniature_of_audioset
from lib.datasets.miniatures import coco as miniature_of_coco
from lib.datasets.miniatures import flickr30k as miniature_of_flickr30k
from lib.datasets.miniatures import laion as miniature_of_laion
from lib.datasets.miniatures import msrvtt as miniature_of_msrvtt
from lib.datasets.miniatures import vggsound as miniature_of_vggsound


@dataclass(frozen=True)
class Corpus:
    """One benchmark, as the command line knows it.

    Args:
        name: what the user types.
        splits: the splits that `load` takes; the first is the one papers report.
        load: `load(root, split, *, allow_partial, **options)`.
        write_miniature: `write_miniature(folder)` writes a small corpus in the same format.
        options: the keyword arguments of `load` that name a protocol, with the values they take;
            the first is the default.
    """

    name: str
    splits: tuple[str, ...]
    load: Callable[..., CaptionedMedia | AudioVideoClips]
    write_miniature: Callable[[str | Path], None]
    options: Mapping[str, tuple] = field(default_factory=dict)


_ALL = (
    Corpus(
        coco.NAME,
        tuple(coco.SPLITS),
        coco.load_coco,
        miniature_of_coco.write_miniature,
        {"captions": coco.CAPTIONS},
    ),
    Corpus(
        flickr30k.NAME,
        flickr30k.SPLITS,
        flickr30k.load_flickr30k,
        miniature_of_flickr30k.write_miniature,
        {"captions": flickr30k.CAPTIONS},
    ),
    Corpus(
        msrvtt.NAME,
        msrvtt.SPLITS,
        msrvtt.load_msrvtt,
        miniature_of_msrvtt.write_miniature,
        {"captions": msrvtt.CAPTIONS},
    ),
    Corpus(
        activitynet.NAME,
        activitynet.SPLITS,
        activitynet.load_activitynet,
        miniature_of_activitynet.write_miniature,
        {"paragraph": activitynet.PARAGRAPHS},
    ),
    Corpus(
        audioset.NAME,
        audioset.SPLITS,
        audioset.load_audioset,
        miniature_of_audioset.write_miniature,
        {"relevance": RELEVANCE, "subset": SUBSETS},
    ),
    Corpus(
        vggsound.NAME,
        vggsound.SPLITS,
        vggsound.load_vggsound,
        miniature_of_vggsound.write_miniature,
        {"relevance": RELEVANCE, "subset": SUBSETS},
    ),
    # Not a benchmark: a training corpus, here for its formats. What it scores is nobody's published
    # number.
    Corpus(laion.NAME, laion.SPLITS, laion.load_laion, miniature_of_laion.write_miniature),
)
CORPORA: dict[str, Corpus] = {corpus.name: corpus for corpus in _ALL}
