"""Pictures in one folder a class, for zero-shot classification: ImageNet's form, and anybody's.

    root/val/n01440764/ILSVRC2012_val_00000293.JPEG     a split with class folders
    root/cat/1.jpg                                      the split "all": class folders in the root

A class is a text in several templates; its vector is the normalised mean of their unit vectors. In
terms of retrieval, pictures are the queries and the classes are the gallery.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, unit_rows
from lib.core.qrels import Qrels
from lib.core.reading import MissingFileError
from lib.core.task import entries_at
from lib.datasets.class_prompts import SLOT, load_class_names, load_templates
from lib.datasets.completeness import Count, check_counts, published_counts
from lib.datasets.judged import JudgedCorpus
from lib.datasets.media.files import PictureFiles

NAME = "class-folders"
SPLITS = ("all", "val", "test", "train")
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif",
     ".heic", ".heif")
)  # fmt: skip
LONGEST_SHOWN = 200  # characters of a template
NO_FILES = ("thumbs.db", "desktop.ini")  # of Windows; names with a dot in front are hidden anyway


@dataclass(frozen=True, eq=False, repr=False)
class ClassifiedPictures(JudgedCorpus):
    """Hold pictures, each of one class, and the names and templates of the classes.

    Args:
        texts, text_ids: the pictures, and their paths under the split: `"cat/1.jpg"`.
        media, item_ids: the names of the classes, and their folders.
        templates: texts with `{}` for the name.
    """

    templates: tuple[str, ...] = (SLOT,)

    def __post_init__(self) -> None:
        # The protocol shows it; the base class has one for all.
        object.__setattr__(self, "relevance", templates_line(self.templates))

    @property
    def pictures(self) -> Sequence:
        return self.texts

    @property
    def labels(self) -> np.ndarray:
        """`(n_pictures,)` position of the class of each picture."""
        return self.qrels.items

    @property
    def prompts(self) -> tuple[str, ...]:
        """All texts to encode: every template of the first class, then those of the second."""
        return tuple(
            template.replace(SLOT, name) for name in self.media for template in self.templates
        )

    def class_rows(self, prompt_rows) -> np.ndarray:
        """Average the unit vectors of the templates of each class, and normalise the means.

            v_c = sum_t u_ct / |u_ct|,  then v_c / |v_c|

        Args:
            prompt_rows: `(n_classes * n_templates, d)`, in the order of `prompts`.

        Returns:
            `(n_classes, d)` float32.

        Reference: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
        Supervision", section 3.1.4.
        """
        rows = unit_rows(prompt_rows, "prompt rows").astype(np.float64)
        if len(rows) != len(self.media) * len(self.templates):
            raise RetrievalInputError(
                f"{len(rows)} prompt rows for {len(self.media)} classes in"
                f" {len(self.templates)} templates"
            )
        grouped = rows.reshape(len(self.media), len(self.templates), -1)
        return unit_rows(grouped.mean(axis=1), "the mean of a class's templates")

    def without_pictures(self, positions: Sequence[int]) -> "ClassifiedPictures":
        """Leave out damaged pictures; all classes stay in the gallery."""
        lost = set(positions)
        kept = [at for at in range(len(self.text_ids)) if at not in lost]
        if not kept:
            raise RetrievalInputError(f"{self.name}: no picture is left")
        counts = tuple(
            replace(one, found=len(kept), published=len(self.text_ids))
            if one.what == "pictures" else one for one in self.counts
        )  # fmt: skip
        return replace(
            self,
            texts=entries_at(self.texts, kept),
            text_ids=tuple(self.text_ids[at] for at in kept),
            qrels=self.qrels.take_queries(kept),
            counts=counts,
            missing=(*self.missing, *(self.text_ids[at] for at in sorted(lost))),
        )

    def without_items(self, positions: Sequence[int]) -> "ClassifiedPictures":
        if len(positions):
            raise RetrievalInputError(
                f"{self.name}: no class can be left out, {self.item_ids[positions[0]]!r} has no"
                " row; give a row for every class"
            )
        return self

    def checksum(self, *, media: bool = True) -> str:
        """Return the SHA-256 of everything that a score, and, with media, an embedding needs."""
        facts = [super().checksum(media=media), list(self.media), self.templates]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def describe(self) -> str:
        """Describe the corpus in one line."""
        return (
            f"{self.name}, {self.split} split: {len(self.text_ids):,} pictures of"
            f" {len(self.item_ids):,} classes, {self.relevance}"
        )


def templates_line(templates: Sequence[str]) -> str:
    """Describe templates in a few words: the one, or their number and a checksum."""
    if len(templates) == 1 and len(templates[0]) <= LONGEST_SHOWN:
        return f"names in {templates[0]!r}"
    digest = hashlib.sha256(json.dumps(list(templates)).encode()).hexdigest()
    return f"names in {len(templates)} templates ({digest[:8]})"


def load_class_folders(
    root: str | Path,
    split: str = "all",
    *,
    templates: str = "found",
    classes: str = "found",
    allow_partial: bool = False,
    need_media: bool = True,
) -> ClassifiedPictures:
    """Load pictures in one folder a class.

    Args:
        root: the folder; see `load_class_names` and `load_templates` for the files beside the
            class folders.
        split: `"all"`: the class folders are in the root itself; or the name of the folder that
            holds them.
        templates: `"found"`, `"photo"`, `"openai"` (80) or `"simple"` (7).
        classes: `"found"`, `"folders"` or `"imagenet"`.
        allow_partial: accept class folders without a picture, other counts than those that a
            miniature states, and names of folders that do not exist.
        need_media: has no effect: the list of pictures is that of the files.

    Returns:
        Classes in sorted order of their folders, pictures in sorted order within each.
    """
    del need_media
    root = Path(root)
    top = root if check_choice(split, SPLITS, "split") == "all" else root / split
    folders = _class_folders(root, top)
    label, stated = published_counts(
        root, NAME, split, {split: dict.fromkeys(("pictures", "classes"))}
    )
    label = f"{NAME}: {root.resolve().name}" + label.removeprefix(NAME)
    names = load_class_names(root, folders, classes, allow_partial=allow_partial)
    prompts = load_templates(root, templates)
    files = [_pictures_of(top / folder, split) for folder in folders]
    empty = [folder for folder, found in zip(folders, files, strict=True) if not found]
    if empty and not (allow_partial and len(empty) < len(folders)):
        raise MissingFileError(
            f"{top}: {len(empty):,} of {len(folders):,} class folders have no picture, first"
            f" {empty[0]!r}. allow_partial=True (--allow-partial) keeps them as classes"
        )
    paths = [f"{folder}/{name}" for folder, found in zip(folders, files) for name in found]
    owner = np.repeat(np.arange(len(folders)), [len(found) for found in files])
    found = {"pictures": len(paths), "classes": len(folders)}
    counts = tuple(Count(what, n, stated[what]) for what, n in found.items())
    check_counts(counts, f"{label}, {split} split", allow_partial)
    return ClassifiedPictures(
        name=label, split=split, query_modality="image", modality="text",
        texts=PictureFiles(top, paths), text_ids=tuple(paths),
        media=names, item_ids=tuple(folders),
        qrels=Qrels.from_pairs(np.arange(len(paths)), owner, shape=(len(paths), len(folders))),
        counts=counts, datasheet=NAME, templates=prompts,
    )  # fmt: skip


def _class_folders(root: Path, top: Path) -> list[str]:
    """List the class folders in sorted order."""
    if not top.is_dir():
        known = [name for name in SPLITS[1:] if (root / name).is_dir()]
        has = f"it has {' and '.join(known)}: name one with --split" if known else "Check the path"
        raise MissingFileError(f"{top} is not a folder. {has}")
    folders = sorted(
        path.name for path in top.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    if top == root and folders and set(folders) <= set(SPLITS):
        raise RetrievalInputError(
            f"{root} has the folders {' and '.join(folders)}, which are splits: name one with"
            " --split (in --corpora class-folders:val)"
        )
    if len(folders) < 2:
        raise MissingFileError(
            f"{top} has {len(folders)} folders; it must have one for each class, two at least"
        )
    for folder in folders:
        try:
            folder.encode()
        except UnicodeEncodeError as error:
            raise RetrievalInputError(
                f"{top}: the name of the folder {folder!r} is no UTF-8; rename it"
            ) from error
    return folders


def _pictures_of(folder: Path, split: str) -> list[str]:
    """List the pictures of a class in sorted order; anything else in it is an error."""
    names = []
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.startswith(".") or path.name.lower() in NO_FILES:
            continue
        if path.is_dir():
            advice = "name it with --split" if folder.name in SPLITS and split == "all" else ""
            raise RetrievalInputError(
                f"{folder} holds the folder {path.name!r}; a class folder holds pictures alone"
                + (f". If {folder.name!r} is a split, {advice}" if advice else "")
            )
        if path.suffix.lower() not in SUFFIXES:
            raise RetrievalInputError(
                f"{path} is no picture ({', '.join(sorted(SUFFIXES))}); move it away"
            )
        names.append(path.name)
    return names
