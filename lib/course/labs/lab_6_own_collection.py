"""Lab 6: search a collection with copies and conditions, and judge queries of your own."""

import csv
import io
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from lib import metrics
from lib.core.memo import memoized
from lib.course.cases import Wrong, describe, describe_error, expect
from lib.course.labs.engine import Criterion, Lab, Measured
from lib.course.labs.hidden_answers import refuse_hidden_answers
from lib.datasets.picture_gallery import load_gallery
from lib.models.encoder import load_encoder
from lib.search.collection import Collection, Columns, build_collection, model_of

K = 10
PICTURES, COPIED, ASKED = 300, 45, 100
SIZE = 96  # pixels
JUDGED = 5  # first hits of a query that a person judges
SEEDS = {"validation": 0, "test": 1}
CONDITIONS = ('family == "material"', "ink >= 30", "ink < 15", 'family != "material"')
FACTS = "facts.csv"
Search = Callable[[Collection, str, str, int], Any]


@dataclass(frozen=True)
class GeneratedFolder:
    """A folder of pictures as cameras name them, and what is known about it.

    Args:
        pictures: the folder, with a table `facts.csv`: path, family, ink.
        names: name of each picture by its path.
        original: by path, a number that a picture and its copies share.
        concept: by path, a number that pictures of one concept share.
    """

    pictures: Path
    names: Mapping[str, str]
    original: Mapping[str, int]
    concept: Mapping[str, int]


@cache
def _workspace() -> tempfile.TemporaryDirectory:
    """Make a folder that ends with the process."""
    return tempfile.TemporaryDirectory()


@memoized(maxsize=len(SEEDS))
def generated_folder(split: str = "validation") -> GeneratedFolder:
    """Write 300 real pictures of a split and some copies of them into a temporary folder.

    45 pictures are saved again, in one or two of four ways. File names say nothing.
    """
    draw = np.random.default_rng(SEEDS[split])
    gallery = load_gallery()
    at = np.sort(draw.choice(gallery.positions(split), PICTURES, replace=False))
    pixels = gallery.pixels(at, SIZE)
    drawn = [n for n in range(PICTURES) if pixels[n].min() < 128]  # not blank
    files = [(n, _png(Image.fromarray(pixels[n])), ".png") for n in drawn]
    for n in draw.choice(drawn, COPIED, replace=False).tolist():
        ways = draw.choice(4, draw.integers(1, 3), replace=False)
        files += [(n, *_saved_again(Image.fromarray(pixels[n]), way)) for way in ways.tolist()]
    folder = Path(_workspace().name) / f"{split} pictures"
    first_of: dict[bytes, int] = {}  # two names of one drawing are one picture
    names, original, concept, rows = {}, {}, {}, []
    for number, file in enumerate(draw.permutation(len(files)).tolist()):
        n, content, suffix = files[file]
        path = f"{2016 + number % 8}/IMG_{number:04d}{suffix}"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        names[path] = gallery.names[at[n]]
        original[path] = first_of.setdefault(pixels[n].tobytes(), n)
        concept[path] = int(gallery.groups[at[n]])
        ink = 100 * float((pixels[n].min(axis=2) < 250).mean())
        rows.append((path, gallery.family(int(at[n])), round(ink, 1)))
    with open(folder / FACTS, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("path", "family", "ink"), *rows])
    return GeneratedFolder(folder, names, original, concept)


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def _saved_again(picture: Image.Image, way: int) -> tuple[bytes, str]:
    """Save a picture as JPEG, smaller, smaller as JPEG, or with a frame."""
    small = picture.resize((SIZE * 2 // 3, SIZE * 2 // 3), Image.Resampling.BICUBIC)
    if way == 1:
        return _png(small), ".png"
    if way == 3:
        return _png(ImageOps.expand(picture, 12, "white")), ".png"
    stream = io.BytesIO()
    (small if way == 2 else picture).save(stream, "JPEG", quality=60)
    return stream.getvalue(), ".jpg"


@memoized(maxsize=len(SEEDS))
def generated_collection(split: str = "validation") -> Collection:
    """Index the generated folder of a split; it takes seconds, once."""
    known = generated_folder(split)
    place = Path(_workspace().name) / f"{split} collection"
    facts = Columns.read(known.pictures / FACTS)
    model = model_of("pictures", None)
    build_collection([known.pictures], place, load_encoder("pictures"), model, columns=facts)
    return Collection(place)


@cache
def _paths(split: str) -> dict[int, str]:
    """Return the path of each picture of a split's collection by its id."""
    collection = generated_collection(split)
    return dict(zip(collection.ids.tolist(), collection.table["path"].to_pylist(), strict=True))


@dataclass(frozen=True)
class Request:
    """Words, a condition or "", and the numbers of the concept that they name."""

    text: str
    where: str
    concept: int


@cache
def _requests(split: str) -> tuple[Request, ...]:
    """Draw names of pictures as words; three of four have a condition that the picture meets."""
    known, collection = generated_folder(split), generated_collection(split)
    draw = np.random.default_rng(10 + SEEDS[split])
    path_of = _paths(split)
    meeting = {where: set(collection.allowed(where).tolist()) for where in CONDITIONS}
    found, seen = [], set()
    for number in draw.permutation(collection.ids).tolist():
        name = known.names[path_of[number]]
        fitting = [where for where in CONDITIONS if number in meeting[where]]
        if name in seen or not fitting:
            continue
        seen.add(name)
        where = "" if len(found) % 4 == 0 else str(draw.choice(fitting))
        found.append(Request(name, where, known.concept[path_of[number]]))
    return tuple(found[:ASKED])


def _measure(answer: Mapping[str, Any], split: str) -> Measured:
    expect(
        isinstance(answer, Mapping) and {"search", "judged"} <= answer.keys(),
        f"the answer must be a dict with search and judged, got {describe(answer)}"
        ' | {"search": my_search, "judged": my_judgements}',
    )
    search = answer["search"]
    expect(callable(search), f"search is {describe(search)} | Give the function, do not call it.")
    refuse_hidden_answers(search)
    precision = _judged(answer["judged"])
    known, collection = generated_folder(split), generated_collection(split)
    path_of = _paths(split)
    shown, clean, kept, hits, symptoms = [], [], [], [], []
    for request in _requests(split):
        page = [path_of[item] for item in _page(search, collection, request)]
        originals = [known.original[path] for path in page]
        meeting, ideal = _ideal_page(request, split)
        most = len(ideal)
        shown.append(100.0 * len(set(originals) & set(ideal)) / most)
        clean.append(100.0 * (len(set(originals)) == len(originals)))
        hits.append(100.0 * any(known.concept[path] == request.concept for path in page))
        meets = set(page) <= meeting
        kept.append(100.0 * (meets and len(page) == most))
        if len(symptoms) < 2 and not (meets and len(page) == most):
            asked = f"{request.text!r} where {request.where}" if request.where else request.text
            told = "shows pictures that do not meet it" if not meets else f"has {len(page)} hits"
            symptoms.append(f"the page for {asked} {told}; {most} could be shown")
    if np.mean(clean) < 100:
        symptoms.append(
            f"{len(clean) - np.count_nonzero(clean)} of {len(clean)} pages show a picture and its"
            " copy"
        )
    values = {"right hits": shown, "pages without copies": clean}
    values |= {"pages kept to the condition": kept, "R@10": hits}
    means = {name: float(np.mean(each)) for name, each in values.items()}
    intervals = {name: metrics.bootstrap_interval(np.array(each)) for name, each in values.items()}
    if precision:
        means[f"your P@{JUDGED}"] = float(np.mean(precision))
    if len(precision) > 1:
        intervals[f"your P@{JUDGED}"] = metrics.bootstrap_interval(np.array(precision))
    return Measured(means, intervals, {"judged queries": len(precision)}, tuple(symptoms))


@cache
def _ideal_page(request: Request, split: str) -> tuple[frozenset[str], tuple[int, ...]]:
    """Return the paths that meet a condition, and the originals of the page that all want to see.

    They are those of the ten best pictures by cosine, with copies folded by what is known.
    """
    known, collection = generated_folder(split), generated_collection(split)
    allowed = collection.allowed(request.where) if request.where else collection.ids
    paths = [_paths(split)[item] for item in allowed.tolist()]
    query = collection.encoder.encode_text([request.text])[0]
    order = np.argsort(-(collection.vectors_of(allowed.tolist()) @ query), kind="stable")
    originals = dict.fromkeys(known.original[paths[at]] for at in order.tolist())
    return frozenset(paths), tuple(originals)[:K]


def _page(search: Search, collection: Collection, request: Request) -> list[int]:
    """Ask the student's function for one page and check it."""
    asked = f"search(collection, {request.text!r}, {request.where!r}, {K})"
    try:
        result = search(collection, request.text, request.where, K)
    except Exception as error:
        raise Wrong(f"{asked} raised {describe_error(error)}", "Call it yourself.") from None
    expect(result is not None, f"{asked} returns None | Return the ids, best first.")
    page = np.asarray(result)
    expect(
        page.ndim == 1 and (page.dtype.kind in "iu" or not page.size),
        f"{asked} returns {describe(result)} | Return a flat list of ids: hit.id for hits.",
    )
    page = page.astype(int).tolist()
    expect(
        len(set(page)) == len(page) and len(page) <= K and np.isin(page, collection.ids).all(),
        f"{asked} returns {len(page)} ids, at most {K} different ones of the collection are asked"
        " for | Ids are those of collection.ids, not positions.",
    )
    return page


def _judged(judged: Any) -> list[float]:
    """Check the judgements of a person; return the precision of each query in percent."""
    shape = f'{{"a red car": [True, False, ...]}}, at most {JUDGED} hits a query'
    expect(isinstance(judged, Mapping), f"judged is {describe(judged)} | Give a dict {shape}.")
    precision = []
    for query, marks in judged.items():
        expect(
            isinstance(query, str) and query.strip(),
            f"a query of judged is {query!r} | Its keys are the words that you asked with.",
        )
        marks = np.asarray(marks)
        expect(
            marks.ndim == 1 and 1 <= len(marks) <= JUDGED and np.isin(marks, (0, 1)).all(),
            f"the judgement of {query!r} is not 1 to {JUDGED} booleans | Give {shape}.",
        )
        precision.append(100.0 * float(marks.mean()))
    return precision


LAB = Lab(
    "own_collection",
    "Give a dict: search(collection, text, where, k) returns at most k ids, best first, each"
    " picture once whatever its copies, all meeting the condition; judged holds your own queries,"
    " each with booleans for its first five hits.",
    _measure,
    (
        Criterion("right hits", 5, "right hits", 98, 92,
                  "What is missing: did copies take the places, or was it folded away?"),
        Criterion("copies", 3, "pages without copies", 97, 80,
                  "Measure copies and different pictures, then choose a threshold."),
        Criterion("conditions", 3, "pages kept to the condition", 99, 80,
                  "Condition and folding come before the cut to k."),
        Criterion("own queries", 3, "judged queries", 20, 10, "Judge twenty queries."),
        Criterion("judgements", 3, "", "P@5 of three kinds of query, with intervals; the five worst"
                  " as pictures, with causes", "P@5 alone", none="no result"),
        Criterion("operation", 3, "", "an update with counts, a request over HTTP and a refused one"
                  ", the choice of the index", "two of these", none="none of these"),
    ),
    limit_s=90.0,
)  # fmt: skip
