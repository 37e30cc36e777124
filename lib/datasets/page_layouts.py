"""Page layouts: where a page has text, pictures and lines; rough layouts as queries for them.

A layout is a list of boxes of three kinds. Pages are generated, with one to three columns, titles,
paragraphs, pictures with captions, tables, rules. Four pages in a row share one design, as pages of
one publication do. A query is the layout of a page as a hand would sketch it: boxes moved, joined,
left out, and text scribbled as lines. `data/README.md` has counts and flaws.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.core.checks import RetrievalInputError, as_real_matrix, check_choice, check_count
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask

KINDS = TEXT, PICTURE, LINE = ("text", "picture", "line")
SPLITS = {"train": 4_000, "validation": 400, "test": 400}  # pages
SEED = 22  # of all pages; the split and the page stand behind it
PER_DESIGN = 4  # pages
STROKE = 0.006  # thickness of a line, share of the page
GRID = (32, 24)  # rows and columns of cells in which two layouts are compared
GRADES = {3: 0.85, 2: 0.65, 1: 0.5}  # grade: smallest overlap
NAME = "page layouts"


@dataclass(frozen=True, eq=False)
class Layout:
    """Boxes of one page.

    Args:
        boxes: float64 (n, 4), left, top, right, bottom, as shares of the width and the height of
            the page; at least one.
        kinds: an entry of `KINDS` for each box.
    """

    boxes: np.ndarray
    kinds: tuple[str, ...]

    def __post_init__(self):
        boxes = as_real_matrix(self.boxes, "boxes", dim=4).astype(np.float64)
        object.__setattr__(self, "boxes", boxes)
        object.__setattr__(self, "kinds", tuple(self.kinds))
        for kind in self.kinds:
            check_choice(kind, KINDS, "a kind of a box")
        if len(self.kinds) != len(boxes):
            raise RetrievalInputError(
                f"kinds must have an entry for each of {len(boxes)} boxes, got {len(self.kinds)}"
            )
        inside = (boxes >= 0) & (boxes <= 1)
        rising = (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
        wrong = np.flatnonzero(~(inside.all(axis=1) & rising))
        if len(wrong):
            raise RetrievalInputError(
                "a box must be left, top, right, bottom from 0 to 1, with left < right and top <"
                f" bottom, got boxes[{wrong[0]}] = {boxes[wrong[0]].tolist()}"
            )


# ---- where two layouts agree


def cell_shares(layouts: Sequence[Layout], grid: tuple[int, int] = GRID) -> np.ndarray:
    """Compute the share of each cell of a page that each kind of box covers.

    Args:
        layouts: of n pages.
        grid: rows and columns.

    Returns:
        float32 (n, kinds, rows, columns), from 0 to 1; boxes of one kind that overlap count at
        most 1.
    """
    rows, columns = (check_count(count, "grid") for count in grid)
    shares = np.zeros((len(layouts), len(KINDS), rows, columns), np.float32)
    for page, layout in zip(shares, layouts, strict=True):
        across = _covered(layout.boxes[:, 0], layout.boxes[:, 2], columns)
        down = _covered(layout.boxes[:, 1], layout.boxes[:, 3], rows)
        kinds = np.array(layout.kinds)
        for number, kind in enumerate(KINDS):
            chosen = kinds == kind
            page[number] = down[chosen].T @ across[chosen]
    return np.minimum(shares, 1)


def _covered(low: np.ndarray, high: np.ndarray, n_cells: int) -> np.ndarray:
    """Share of each cell of [0, 1] that lies in an interval, (n, n_cells)."""
    edges = np.arange(n_cells + 1) / n_cells
    ends, starts = np.minimum(high[:, None], edges[1:]), np.maximum(low[:, None], edges[:-1])
    return np.maximum(ends - starts, 0) * n_cells


def layout_overlap(one: Sequence[Layout], other: Sequence[Layout]) -> np.ndarray:
    """Compute how much of two pages is covered alike, for each pair.

        J(a, b) = sum_kc min(a_kc, b_kc) / sum_kc max(a_kc, b_kc)

    with the shares a_kc of kind k in cell c, see `cell_shares`. Where cells are full or empty, it
    is the intersection over union (IoU) of the areas; this form is Ruzicka's.

    Returns:
        float64 (n_one, n_other), from 0 to 1; 1 for equal shares.
    """
    a, b = (cell_shares(layouts).reshape(len(layouts), -1) for layouts in (one, other))
    total = a.sum(axis=1, dtype=np.float64)[:, None] + b.sum(axis=1, dtype=np.float64)
    both = np.stack([np.minimum(row, b).sum(axis=1, dtype=np.float64) for row in a])
    return both / (total - both)


# ---- pages


def generate_pages(split: str, n_pages: int | None = None) -> list[Layout]:
    """Generate the first pages of a split; each has a seed of its own.

    Args:
        split: an entry of `SPLITS`.
        n_pages: all by default.
    """
    most = SPLITS[check_choice(split, SPLITS, "split")]
    n_pages = most if n_pages is None else check_count(n_pages, "n_pages", most=most)
    number = list(SPLITS).index(split)
    return [_page(number, page) for page in range(n_pages)]


def _page(split: int, page: int) -> Layout:
    design = np.random.default_rng([SEED, split, page // PER_DESIGN])
    columns = int(design.choice([1, 2, 3], p=[0.4, 0.4, 0.2]))
    margin, top = design.uniform(0.05, 0.14), design.uniform(0.04, 0.1)
    gutter, gap = design.uniform(0.02, 0.05), design.uniform(0.008, 0.025)
    head, foot, pictures = design.random(), design.random(), design.uniform(0.05, 0.45)
    long = design.uniform(0.08, 0.3)  # the longest paragraph
    rng = np.random.default_rng([SEED, split, page // PER_DESIGN, page])
    found: list[tuple[str, float, float, float, float]] = []
    left, right, y = margin, 1 - margin, top
    if head < 0.3:  # a running head with a rule
        found.append((TEXT, left, y, left + rng.uniform(0.2, 0.5), y + 0.015))
        found.append((LINE, left, y + 0.022, right, y + 0.022 + STROKE))
        y += 0.04
    if page % PER_DESIGN == 0 or rng.random() < 0.25:  # a title, on the left or in the middle
        width, height = rng.uniform(0.4, 1) * (right - left), rng.uniform(0.03, 0.08)
        start = left if head < 0.5 else (1 - width) / 2
        found.append((TEXT, start, y, start + width, y + height))
        y += height + 2 * gap
    if rng.random() < pictures / 2:  # a picture across all columns
        height = rng.uniform(0.12, 0.35)
        found.append((PICTURE, left, y, right, y + height))
        y += height + gap
    bottom = 1 - top
    if foot < 0.3:
        found.append((LINE, left, bottom, right, bottom + STROKE))
        bottom -= gap
    width = (right - left - (columns - 1) * gutter) / columns
    for column in range(columns):
        start = left + column * (width + gutter)
        found += _column(rng, start, start + width, y, bottom, gap, pictures, long)
    return Layout(np.array([box[1:] for box in found]), tuple(box[0] for box in found))


def _column(rng, left, right, top, bottom, gap, pictures, long) -> list[tuple]:
    """Fill a column from above with paragraphs, pictures with captions, tables, and headings."""
    found, y = [], top
    if rng.random() < 0.25:  # the text ends before the page does
        bottom = top + (bottom - top) * rng.uniform(0.4, 0.95)
    while bottom - y > 0.03:
        room, chance = bottom - y, rng.random()
        if chance < pictures and room > 0.12:
            width = (right - left) * rng.choice([1, 1, rng.uniform(0.5, 0.9)])
            height, start = min(rng.uniform(0.1, 0.3), room - 0.02), (left + right - width) / 2
            found.append((PICTURE, start, y, start + width, y + height - 0.02))
            found.append((TEXT, left, y + height - 0.014, right, y + height))  # its caption
        elif chance < pictures + 0.1 and room > 0.1:
            n_rules = int(rng.integers(3, 8))
            height = min(0.022 * n_rules, room)
            for rule in np.linspace(y, y + height - STROKE, n_rules):
                found.append((LINE, left, rule, right, rule + STROKE))
        elif chance < pictures + 0.2 and room > 0.1:
            height = 0.018
            found.append((TEXT, left, y, left + (right - left) * rng.uniform(0.3, 0.8), y + height))
        else:
            height = min(rng.uniform(0.04, long), room)
            found.append((TEXT, left, y, right, y + height))
        y += height + gap
    return found


# ---- queries


def sketch_layout(layout: Layout, seed: int | Sequence[int]) -> Layout:
    """Return a layout as a hand would sketch it.

    The whole is stretched and moved by a few hundredths of the page. Of text boxes of one column
    with a small gap, each second one is joined to the one above. Small boxes are left out more
    often than large ones. Every edge moves. Three of ten texts are scribbled as lines.
    """
    rng = np.random.default_rng(seed)
    boxes = _joined(layout, rng)
    area = np.array([(right - left) * (low - top) for _, left, top, right, low in boxes])
    kept = rng.random(len(boxes)) >= np.where(area < 0.01, 0.35, 0.08)
    kept[area.argmax()] = True
    stretch, shift = rng.normal(1, 0.03, 2), rng.normal(0, 0.02, 2)
    found = []
    for kind, *edges in (box for box, stays in zip(boxes, kept, strict=True) if stays):
        moved = (np.reshape(edges, (2, 2)) - 0.5) * stretch + 0.5 + shift
        moved = moved.ravel() + rng.normal(0, 0.015, 4) * (1 if kind != LINE else [1, 0.3, 1, 0])
        if kind == LINE:
            moved[3] = moved[1] + STROKE
        if kind == TEXT and rng.random() < 0.3:
            lines = int(np.clip(round((moved[3] - moved[1]) / 0.03), 1, 8))
            for y in np.linspace(moved[1], max(moved[1], moved[3] - STROKE), lines):
                found.append((LINE, moved[0], y, moved[2], y + STROKE))
        else:
            found.append((kind, *moved))
    return Layout(_on_page(np.array([box[1:] for box in found])), tuple(box[0] for box in found))


def _joined(layout: Layout, rng: np.random.Generator) -> list[tuple]:
    """Join some texts that stand one above the other."""
    found: list[tuple] = []
    for kind, (left, top, right, bottom) in zip(layout.kinds, layout.boxes.tolist(), strict=True):
        above = found[-1] if found else None
        if (
            above is not None
            and kind == above[0] == TEXT
            and abs(above[1] - left) < 0.02
            and 0 <= top - above[4] < 0.03
            and rng.random() < 0.5
        ):
            found[-1] = (TEXT, min(left, above[1]), above[2], max(right, above[3]), bottom)
        else:
            found.append((kind, left, top, right, bottom))
    return found


def _on_page(boxes: np.ndarray) -> np.ndarray:
    """Put edges in order, at least a stroke apart, and inside the page."""
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    low = np.clip(low, 0, 1 - STROKE)
    return np.hstack([low, np.clip(high, low + STROKE, 1)])


def task(split: str = "test", n_pages: int | None = None) -> RetrievalTask:
    """Return the task from sketched layouts to generated pages, see `layout_task`.

    The cluster of a query is the design of its page.

    Args:
        split: an entry of `SPLITS`.
        n_pages: the first pages only; all by default.
    """
    pages = generate_pages(split, n_pages)
    designs = np.arange(len(pages)) // PER_DESIGN
    return layout_task(pages, split, seed=[SEED, list(SPLITS).index(split)], query_groups=designs)


def layout_task(
    pages: Sequence[Layout],
    split: str = "given",
    *,
    seed: Sequence[int] = (SEED,),
    query_groups: np.ndarray | None = None,
) -> RetrievalTask:
    """Return the task from sketched layouts to the pages that were sketched, one query a page.

    The grade of a page is that of its overlap (`layout_overlap`) with the page that was sketched:
    3 from 0.85, which hardly another generated page reaches, 2 from 0.65, 1 from 0.5. A hit has
    grade 3.

    Args:
        pages: n layouts, generated or real (`lib.datasets.page_pictures`).
        split: its name.
        seed: of all sketches; the number of the page stands behind it.
        query_groups: (n,) cluster of each page, for intervals; by default each is its own.
    """
    if not len(pages):
        raise RetrievalInputError("pages must hold at least one layout, got none")
    queries = [sketch_layout(page, [*seed, i, 1]) for i, page in enumerate(pages)]
    overlap = layout_overlap(pages, pages)
    grades = np.zeros(overlap.shape, dtype=int)
    for grade, least in sorted(GRADES.items()):
        grades[overlap >= least] = grade
    query, item = np.nonzero(grades)
    return RetrievalTask(
        name=NAME,
        split=split,
        direction="layout_to_page",
        queries=queries,
        gallery=pages,
        qrels=Qrels.from_pairs(query, item, grades[query, item], shape=grades.shape),
        query_groups=np.arange(len(pages)) if query_groups is None else query_groups,
        hit_grade=max(GRADES),
        datasheet=NAME,
    )
