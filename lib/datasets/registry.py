"""The published benchmarks by name: loader, splits, protocol options and miniature of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lib.datasets import (
    activitynet,
    audiocaps,
    audioset,
    cirr,
    class_folders,
    class_prompts,
    clotho,
    coco,
    didemo,
    docci,
    fashioniq,
    flickr30k,
    flickr30k_cn,
    judged,
    laion,
    lsmdc,
    msrvtt,
    msvd,
    sugarcrepe,
    urban1k,
    vatex,
    vggsound,
    winoground,
    xflickrco,
    xm3600,
    xtd10,
    youcook2,
)
from lib.datasets.audio_video import RELEVANCE, SUBSETS, AudioVideoClips
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.choices import ChoiceCorpus
from lib.datasets.composed import COMPOSITIONS, REFERENCES, ComposedQueries
from lib.datasets.miniatures import (
    choices,
    clips,
    composed,
    descriptions,
    films,
    images,
    languages,
    sounds,
)
from lib.datasets.miniatures.class_folders import write_class_folders
from lib.datasets.miniatures.judged import write_judged
from lib.datasets.miniatures.laion import write_laion
from lib.datasets.miniatures.writing import Miniature, write_miniature

# What is searched, or what is hard about it.
FAMILIES = (
    "pictures and sentences",
    "films and sentences",
    "sound and films",
    "sound and sentences",
    "long descriptions",
    "many languages",
    "composition",
    "composed queries",
    "training",
    "any data set in one form",
)


@dataclass(frozen=True)
class Corpus:
    """One benchmark, as the command line knows it.

    Args:
        name: the name that the user types.
        family: one of `FAMILIES`, by which `crossmodal data list` groups the benchmarks.
        splits: the splits of `load`; the first is the one that papers report.
        load: `load(root, split, *, allow_partial, need_media, **options)`.
        write_files: writes annotations and pictures of a miniature under a root.
        options: keyword arguments of `load` that name a protocol, with their values; the first
            value is the default. A `range` stands for all its whole numbers.
    """

    name: str
    family: str
    splits: tuple[str, ...]
    load: Callable[
        ...,
        CaptionedMedia | AudioVideoClips | judged.JudgedCorpus | ComposedQueries | ChoiceCorpus,
    ]
    write_files: Callable[[Path], Miniature]
    options: Mapping[str, tuple | range] = field(default_factory=dict)

    def write_miniature(self, folder: str | Path, *, media: bool = True) -> None:
        """Write a small corpus in the same format; an existing folder is replaced as a whole.

        Args:
            folder: the root of the miniature.
            media: write clips and sounds, which needs PyAV; False for all other files.
        """
        write_miniature(folder, self.name, self.write_files, media=media)


_FRAMES = range(1, 1001)  # of a clip
_LABELLED = {"relevance": RELEVANCE, "subset": SUBSETS, "trimmed": (True, False)}
_LABELLED |= {"n_frames": _FRAMES}
# (family, module, loader, writer of the miniature, options)
_ALL = (
    ("pictures and sentences", coco, coco.load_coco, images.write_coco,
     {"captions": coco.CAPTIONS}),
    ("pictures and sentences", flickr30k, flickr30k.load_flickr30k, images.write_flickr30k,
     {"captions": flickr30k.CAPTIONS}),
    ("films and sentences", msrvtt, msrvtt.load_msrvtt, clips.write_msrvtt,
     {"captions": msrvtt.CAPTIONS, "n_frames": _FRAMES}),
    ("films and sentences", activitynet, activitynet.load_activitynet, clips.write_activitynet,
     {"paragraph": activitynet.PARAGRAPHS, "n_frames": _FRAMES}),
    ("films and sentences", msvd, msvd.load_msvd, films.write_msvd,
     {"sentences": msvd.SENTENCES, "n_frames": _FRAMES}),
    ("films and sentences", didemo, didemo.load_didemo, films.write_didemo,
     {"paragraph": didemo.PARAGRAPHS, "trimmed": (False, True), "n_frames": _FRAMES}),
    ("films and sentences", lsmdc, lsmdc.load_lsmdc, films.write_lsmdc, {"n_frames": _FRAMES}),
    ("films and sentences", vatex, vatex.load_vatex, films.write_vatex,
     {"language": vatex.LANGUAGES, "trimmed": (True, False), "n_frames": _FRAMES}),
    ("films and sentences", youcook2, youcook2.load_youcook2, films.write_youcook2,
     {"n_frames": _FRAMES}),
    ("sound and films", audioset, audioset.load_audioset, clips.write_audioset, _LABELLED),
    ("sound and films", vggsound, vggsound.load_vggsound, clips.write_vggsound, _LABELLED),
    ("sound and sentences", audiocaps, audiocaps.load_audiocaps, sounds.write_audiocaps,
     {"captions": audiocaps.CAPTIONS, "trimmed": (True, False)}),
    ("sound and sentences", clotho, clotho.load_clotho, sounds.write_clotho, {}),
    ("long descriptions", urban1k, urban1k.load_urban1k, descriptions.write_urban1k, {}),
    ("long descriptions", docci, docci.load_docci, descriptions.write_docci, {}),
    ("many languages", xtd10, xtd10.load_xtd10, languages.write_xtd10,
     {"language": xtd10.LANGUAGES}),
    ("many languages", xm3600, xm3600.load_xm3600, languages.write_xm3600,
     {"language": xm3600.LANGUAGES, "captions": xm3600.CAPTIONS}),
    ("many languages", xflickrco, xflickrco.load_xflickrco, languages.write_xflickrco,
     {"language": xflickrco.LANGUAGES}),
    ("many languages", flickr30k_cn, flickr30k_cn.load_flickr30k_cn, languages.write_flickr30k_cn,
     {}),
    ("composed queries", cirr, cirr.load_cirr, composed.write_cirr,
     {"reference": REFERENCES, "query": COMPOSITIONS}),
    ("composed queries", fashioniq, fashioniq.load_fashioniq, composed.write_fashioniq,
     {"category": ("all", *fashioniq.CATEGORIES), "captions": fashioniq.CAPTIONS,
      "gallery": fashioniq.GALLERIES, "reference": REFERENCES[::-1], "query": COMPOSITIONS}),
    ("composition", sugarcrepe, sugarcrepe.load_sugarcrepe, choices.write_sugarcrepe, {}),
    ("composition", winoground, winoground.load_winoground, choices.write_winoground, {}),
    # A training corpus, included for its formats: no score on it can be compared with a paper.
    ("training", laion, laion.load_laion, write_laion, {}),
)  # fmt: skip
# Readers of a form in which many corpora are given away, by the name of the form.
FORMS = {
    judged.NAME: Corpus(
        judged.NAME, "any data set in one form", judged.SPLITS, judged.load_judged, write_judged,
        {"queries": judged.SIDES, "corpus": judged.SIDES, "language": judged.LANGUAGES},
    ),
    class_folders.NAME: Corpus(
        class_folders.NAME, "any data set in one form", class_folders.SPLITS,
        class_folders.load_class_folders, write_class_folders,
        {"templates": class_prompts.TEMPLATES, "classes": class_prompts.CLASSES},
    ),
}  # fmt: skip
CORPORA: dict[str, Corpus] = {
    module.NAME: Corpus(module.NAME, family, tuple(module.SPLITS), load, write_files, options)
    for family, module, load, write_files, options in _ALL
}
