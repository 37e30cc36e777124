"""SugarCrepe: which of two captions of a photograph is right, where they differ in one idea."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from lib.core.checks import RetrievalInputError, check_choice
from lib.datasets.annotations import field_of, read_json, require_file
from lib.datasets.choices import OF, ChoiceCorpus, Example, caption_of, choice_corpus
from lib.datasets.completeness import published_counts
from lib.datasets.media.files import PictureFiles, find_names

NAME = "sugarcrepe"
SPLITS = ("test",)
# Examples of each file. Their sum, 7,511, is also that of MTEB's statistics of the benchmark.
FILES = {
    "add_att": 692,
    "add_obj": 2_062,
    "replace_att": 788,
    "replace_obj": 1_652,
    "replace_rel": 1_406,
    "swap_att": 666,
    "swap_obj": 245,
}
PUBLISHED = {
    "test": {"examples": sum(FILES.values())} | {OF + name: n for name, n in FILES.items()}
}
ANNOTATIONS = ("data", "annotations")
# COCO's images of 2017 are among those of 2014, under longer names.
FOLDERS = ("val2017", "images/val2017", "data/coco/images/val2017", "val2014", "images/val2014")
_OLD_NAME = "COCO_val2014_"


def load_sugarcrepe(
    root: str | Path, split: str = "test", *, allow_partial: bool = False, need_media: bool = True
) -> ChoiceCorpus:
    """Load the seven files of SugarCrepe: one image, a right and a wrong caption an example.

    Args:
        root: holds `add_att.json` and the six others, itself or in `data/`, and COCO's images in
            `val2017/` or `images/val2017/`, or those of 2014 in `val2014/`.
        split: there is one.
        allow_partial: leave out examples whose image does not exist, and say so.
        need_media: False reads the annotations alone.

    Returns:
        Image ids are file names without suffix ("000000544519"), example ids name file and key
        ("swap_obj/0"), text ids add "/caption" or "/negative_caption".

    Reference: Hsieh et al. 2023, "SugarCrepe: fixing hackable benchmarks for vision-language
    compositionality" (NeurIPS, datasets and benchmarks).
    """
    check_choice(split, SPLITS, "split")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    examples = [
        example
        for name in FILES
        for example in _examples(require_file(root, f"{name}.json", ANNOTATIONS, NAME), name)
    ]
    stems = list(dict.fromkeys(example.images[0] for example in examples))
    spellings = [(stem, _OLD_NAME + stem) for stem in stems]
    files = find_names(root, spellings, FOLDERS, (".jpg",))
    return choice_corpus(
        examples,
        stems,
        PictureFiles(root, files),
        name=label,
        split=split,
        published=published,
        by_subset=True,
        datasheet=NAME,
        allow_partial=allow_partial,
        need_media=need_media,
    )


def _examples(path: Path, name: str) -> list[Example]:
    """Read one file: `{key: {"filename", "caption", "negative_caption"}}`, keys with gaps."""
    data = read_json(path, keyed=True)
    if not isinstance(data, Mapping):
        raise RetrievalInputError(
            f"{path} must hold an entry for each key, got a {type(data).__name__}"
        )
    examples = []
    for key, entry in data.items():
        where, example_id = f"{path}, entry {key!r}", f"{name}/{key}"
        filename = field_of(entry, "filename", str, where)
        stem, suffix = filename.removesuffix(".jpg"), ".jpg"
        if stem + suffix != filename or not stem or PurePosixPath(filename).name != filename:
            raise RetrievalInputError(
                f"{where}: 'filename' must be the name of a .jpg file, got {filename!r:.80}"
            )
        captions = tuple(
            (f"{example_id}/{side}", caption_of(entry, side, where))
            for side in ("caption", "negative_caption")
        )
        examples.append(Example(example_id, name, (stem,), captions))
    return examples
