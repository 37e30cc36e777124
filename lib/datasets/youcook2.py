"""YouCook2: steps of cooking films, each with one sentence and its times."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.paths import is_file_name
from lib.datasets.annotations import Record, captioned_media, field_of, read_json, require_file
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import published_counts
from lib.datasets.csv_files import read_table
from lib.datasets.media.files import VIDEO_SUFFIXES, ClipFiles, find_names

NAME = "youcook2"
SPLITS = ("val_3350", "val", "train")
# LuoweiZhou/YouCook2-Leaderboard, README.md: 3,350 of the 3,492 validation clips. Those of training
# are not stated there.
PUBLISHED = {
    "val_3350": {"videos": 3_350, "captions": 3_350},
    "val": {"videos": 3_492, "captions": 3_492},
    "train": {},
}
CSV = "validation_youcook.csv"
CSV_HEADER = ("end", "start", "task", "text", "video_id")
OFFICIAL = "youcookii_annotations_trainval.json"
_PARTS = {"val": "validation", "train": "training"}
FOLDERS = ("videos", "raw_videos")
_ANNOTATIONS = ("annotations", "csv")
MOST_SECONDS = 10**6  # of a film; JSON can hold numbers that no float can


class CookingStep(NamedTuple):
    """One step of a film: its recipe, start and end in seconds, and the sentence."""

    film: str
    recipe: str
    start: float
    end: float
    sentence: str


def load_youcook2(
    root: str | Path,
    split: str = "val_3350",
    *,
    n_frames: int = 12,
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load YouCook2 as retrieval of clips: the steps of a film are clips with given times.

    Args:
        root: holds `validation_youcook.csv` of MIL-NCE and `youcookii_annotations_trainval.json`
            (or has them in `annotations/` or `csv/`), and whole films, `<id>.mp4` (.mkv, .webm and
            .avi too): in `videos/` or `raw_videos/`, or in `validation/<recipe>/` and
            `training/<recipe>/`, there or in the root.
        split: `"val_3350"`, the validation clips of films that HowTo100M does not have, on which
            papers report; `"val"`, all of them; `"train"`.
        n_frames: frames of each clip.
        allow_partial: evaluate what exists, and say so.
        need_media: False reads the annotations alone.

    Returns:
        Item ids and text ids are the film and the number of the step (`"xHr8X2Wpmno#0"`).

    Reference: Zhou et al. 2018, "Towards automatic learning of procedures from web instructional
    videos"; Miech et al. 2020, "End-to-end learning of visual representations from uncurated
    instructional videos" (3,350 clips).
    """
    check_choice(split, SPLITS, "split")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    if split == "val_3350":
        steps = read_steps_table(require_file(root, CSV, _ANNOTATIONS, NAME))
    else:
        steps = read_steps(require_file(root, OFFICIAL, _ANNOTATIONS, NAME), _PARTS[split])
    files = _find_films(root, steps, _PARTS.get(split, "validation"))
    n_before: dict[str, int] = {}
    records = []
    for step in steps:
        number = n_before[step.film] = n_before.get(step.film, -1) + 1
        id_ = f"{step.film}#{number}"
        records.append(Record(files[step.film], id_, ((id_, step.sentence),)))
    return captioned_media(
        records,
        root,
        partial(ClipFiles, segments=[(s.start, s.end) for s in steps], n_frames=n_frames),
        name=label,
        split=split,
        modality="video",
        published=published,
        captions="own step",
        datasheet=NAME,
        allow_partial=allow_partial,
        need_media=need_media,
    )


def read_steps_table(path: str | Path) -> list[CookingStep]:
    """Read the steps of a table `end,start,task,text,video_id`; end comes before start."""
    steps = []
    for line, row in read_table(path, CSV_HEADER):
        where = f"{path}, line {line}"
        if not all(row[time].isascii() and row[time].isdecimal() for time in ("start", "end")):
            raise RetrievalInputError(
                f"{where}: start and end must be whole seconds, got {row['start']!r:.20} and"
                f" {row['end']!r:.20}"
            )
        times = float(row["start"]), float(row["end"])
        steps.append(
            _checked(CookingStep(row["video_id"], row["task"], *times, row["text"]), where)
        )
    return steps


def read_steps(path: str | Path, part: str) -> list[CookingStep]:
    """Read the steps of one part of the release: `{"database": {film: {"subset", ...}}}`.

    Args:
        path: a film has `recipe_type` and `annotations`, `{"segment": [start, end], "sentence"}`.
        part: `"training"` or `"validation"`.
    """
    database = field_of(read_json(path, keyed=True), "database", dict, str(path))
    steps = []
    for film, entry in database.items():
        where = f"{path}, film {film!r}"
        if field_of(entry, "subset", str, where) != part:
            continue
        recipe = field_of(entry, "recipe_type", str, where)
        for number, step in enumerate(field_of(entry, "annotations", list, where)):
            place = f"{where}, step {number}"
            times = field_of(step, "segment", list, place)
            numbers = all(
                type(time) is float or (type(time) is int and abs(time) < MOST_SECONDS)
                for time in times
            )
            if len(times) != 2 or not numbers:
                raise RetrievalInputError(
                    f"{place}: segment must be two times in seconds, got {times!r:.80}"
                )
            sentence = field_of(step, "sentence", str, place)
            steps.append(_checked(CookingStep(film, recipe, *map(float, times), sentence), place))
    return steps


def _checked(step: CookingStep, where: str) -> CookingStep:
    if not (0 <= step.start < step.end < float("inf")) or not step.film:
        raise RetrievalInputError(
            f"{where}: a step must have a film, and end after its start, got {step.film!r:.40},"
            f" {step.start} to {step.end}"
        )
    return step


def _find_films(root: Path, steps: list[CookingStep], part: str) -> Mapping[str, str]:
    """`{film: path}`; folders of its recipe come first."""
    films: dict[str, dict[str, None]] = {}
    for step in steps:
        films.setdefault(step.recipe, {})[step.film] = None
    found: dict[str, str] = {}
    for recipe, of_recipe in films.items():
        # A hostile file may hold anything; only plain names can be folders.
        plain = recipe.isalnum() and is_file_name(recipe)
        own = [f"{top}{part}/{recipe}" for top in ("", *(f"{name}/" for name in FOLDERS)) if plain]
        own = [folder for folder in own if (root / folder).is_dir()]
        names = find_names(root, list(of_recipe), [*own, *FOLDERS], VIDEO_SUFFIXES)
        found |= zip(of_recipe, names)
    return found
