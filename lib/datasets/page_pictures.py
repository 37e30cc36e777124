"""Find text, pictures and lines in a picture of a page, as a layout of `lib.datasets.page_layouts`.

Plain image analysis, no training. What is connected and much larger than letters is a picture.
Long thin runs of ink are lines. The rest is smeared until letters become paragraphs: white runs
shorter than a threshold are filled, along rows and then along columns. This is the run-length
smoothing of Wong, Casey and Wahl, "Document analysis system", IBM J. Res. Dev. 26(6), 1982; they
smear rows and columns apart and keep what both have.

Letters of at least four pixels are needed: 1,000 pixels for the height of a page are enough.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.media.pictures import on_page, open_picture
from lib.datasets.page_layouts import LINE, PICTURE, STROKE, TEXT, Layout

SUFFIXES = (".png", ".jpg", ".jpeg")
MOST_PAGES = 5_000
SIDE = 1_000  # pixels, the longer side that is analysed
SMALLEST, LONGEST = 200, 4  # pixels of the shorter side; longer side over shorter side
INK = 30  # of 255, the smallest difference from the paper in some channel
LETTER = (4, 20)  # pixels, limits of the height of a letter
RULE, THICKEST = 50, 8  # pixels, length and thickness of a line
FRAME = 0.9  # share of vertical lines in a frame or a grid of a table
UNDERLINED = 0.4  # share of a line that has ink within three pixels above it
ADVICE = "Give a folder of pages as PNG or JPEG, such as a browser or pdftoppm makes"


def read_page_folder(folder: str | Path) -> tuple[list[str], list[Layout]]:
    """Read the layouts of all pictures of pages in a folder and below it, ordered by path.

    Returns:
        n paths relative to the folder, with "/"; n layouts.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFileError(f"{folder} is no folder. {ADVICE}")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise DamagedFileError(f"{folder} holds no .png, .jpg or .jpeg. {ADVICE}")
    if len(paths) > MOST_PAGES:
        raise RetrievalInputError(
            f"{folder} holds {len(paths):,} pictures, at most {MOST_PAGES:,} are read. Give a part"
        )
    names = [path.relative_to(folder).as_posix() for path in paths]
    return names, [read_page(path) for path in paths]


def read_page(path: str | Path) -> Layout:
    """Read the layout of one page from a picture file, see `find_layout`."""
    return find_layout(on_page(open_picture(path, mode="RGBA")), str(path))


def find_layout(page: Image.Image, name: str = "the page") -> Layout:
    """Find the boxes of text, pictures and horizontal lines in a picture of a page.

    The paper is the most frequent grey of the page. A line gets the thickness `STROKE` of the
    generated pages. Vertical lines, which no generated page has, and underlines are left out.

    Args:
        page: a picture, shrunk to a longer side of `SIDE` pixels first.
        name: shown in errors.
    """
    short, long = sorted(page.size)
    if short < SMALLEST or long > LONGEST * short:
        raise RetrievalInputError(
            f"{name} must have sides of at least {SMALLEST} pixels, one at most {LONGEST} times"
            f" the other, got {page.width:,} x {page.height:,}. Render the page larger, or cut it"
        )
    if long > SIDE:
        size = [max(1, round(side * SIDE / long)) for side in page.size]
        page = page.resize(size, Image.Resampling.BOX)
    ink = _ink_of(np.asarray(page.convert("RGB"), dtype=np.int16))
    pictures, across, text, letter = _parted(ink)
    columns = 2 * letter  # wider than a gap between words, narrower than one between columns
    smeared = _filled(_filled(text, columns), round(1.3 * letter), axis=0)
    found = [(PICTURE, *box) for box in pictures]
    for box, n_ink in _pieces(smeared, text):
        left, top, right, bottom = box
        if bottom - top <= letter / 2 and right - left >= RULE:  # a dotted line
            across.append(box)
        elif bottom - top >= LETTER[0] / 2 and n_ink >= letter:  # smaller ones are specks
            found.append((TEXT, *box))
    thickness = STROKE * ink.shape[0]
    for left, top, right, bottom in across:
        y = min(max((top + bottom - thickness) / 2, 0), ink.shape[0] - thickness)
        found.append((LINE, left, y, right, y + thickness))
    if not found:
        raise RetrievalInputError(
            f"{name} is blank: no ink stands out from its paper. Leave it out"
        )
    found.sort(key=lambda box: (box[2], box[1]))
    boxes = np.array([box[1:] for box in found], dtype=float)
    return Layout(boxes / np.tile(ink.shape[::-1], 2), tuple(box[0] for box in found))


def _ink_of(pixels: np.ndarray) -> np.ndarray:
    """Where pixels differ from the paper, (height, width)."""
    grey = pixels.mean(axis=2)
    step = (grey / 8).astype(int)
    paper = np.median(pixels[step == np.bincount(step.ravel()).argmax()], axis=0)
    return (np.abs(pixels - paper) >= INK).any(axis=2)


def _parted(ink: np.ndarray) -> tuple[list, list, np.ndarray, int]:
    """Part ink into boxes of pictures, boxes of horizontal lines, and a mask of text.

    The last value is the height of a letter, the median of what is not large.
    """
    rules = [(_run_lengths(ink, axis) >= RULE) & ink for axis in (1, 0)]
    rules = [rule & (_run_lengths(rule, 1 - axis) <= THICKEST) for rule, axis in zip(rules, (1, 0))]
    pieces = _pieces(ink & ~rules[0], rules[1], ink)  # a rule can touch a picture
    sides = np.array([(box[3] - box[1], box[2] - box[0]) for box, *_ in pieces] or [(0, 0)])
    letters = sides[(sides >= 2).all(axis=1) & (sides < SIDE * 0.04).all(axis=1)]
    letter = int(np.clip(np.median(letters[:, 0]) if len(letters) else 0, *LETTER))
    large = max(5 * letter, SIDE * 0.04)
    pictures = []
    for (left, top, right, bottom), n_rules, n_ink in pieces:
        if min(right - left, bottom - top) >= large and n_rules < FRAME * n_ink:
            pictures.append((left, top, right, bottom))
    pictures = _merged(pictures)
    text = ink & ~rules[0] & ~rules[1]
    lines = rules[0].copy()
    for left, top, right, bottom in pictures:
        inside = slice(max(top - 2, 0), bottom + 2), slice(max(left - 2, 0), right + 2)
        text[inside], lines[inside] = False, False
    across = []
    for (box,) in _pieces(lines):
        above = text[max(box[1] - 3, 0) : box[1], box[0] : box[2]]
        if box[2] - box[0] >= RULE and above.any(axis=0).mean() < UNDERLINED:
            across.append(box)
    return pictures, across, text, letter


def _run_lengths(mask: np.ndarray, axis: int) -> np.ndarray:
    """Length of the run of equal values along an axis that each pixel lies in."""
    rows = mask if axis == 1 else mask.T
    starts = np.ones(rows.shape, dtype=bool)
    starts[:, 1:] = rows[:, 1:] != rows[:, :-1]
    first = np.flatnonzero(starts)
    lengths = np.diff(np.append(first, rows.size))
    found = np.repeat(lengths, lengths).reshape(rows.shape)
    return found if axis == 1 else found.T


def _filled(mask: np.ndarray, shortest: int, axis: int = 1) -> np.ndarray:
    """Fill white runs between ink that are shorter than a threshold, along an axis."""
    margins = [(shortest, shortest) if side == axis else (0, 0) for side in (0, 1)]
    padded = np.pad(mask, margins)  # the margin of a page stays white
    filled = padded | (_run_lengths(padded, axis) < shortest)
    inner = slice(shortest, -shortest)
    return filled[:, inner] if axis == 1 else filled[inner]


def _pieces(mask: np.ndarray, *counted: np.ndarray) -> list[tuple]:
    """Connected pieces: left, top, right, bottom of each, and its pixels in each of the masks."""
    from scipy import ndimage  # slow to import

    labels, n_pieces = ndimage.label(mask, np.ones((3, 3)))
    counts = [np.bincount(labels[chosen], minlength=n_pieces + 1)[1:] for chosen in counted]
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labels)]
    return list(zip(boxes, *(count.tolist() for count in counts), strict=True))


def _merged(boxes: list[tuple]) -> list[tuple]:
    """Join boxes that overlap, or lie a thin line apart, until none do."""
    apart: list[tuple] = []
    for box in sorted(boxes):
        while touching := [b for b in apart if _touch(b, box)]:
            apart = [b for b in apart if b not in touching]
            low = np.min([*touching, box], axis=0)[:2]
            high = np.max([*touching, box], axis=0)[2:]
            box = (*low.tolist(), *high.tolist())
        apart.append(box)
    return apart


def _touch(one: tuple, other: tuple) -> bool:
    (left, top, right, bottom), near = one, 4
    across = left < other[2] + near and other[0] < right + near
    return across and top < other[3] + near and other[1] < bottom + near
