"""Lists and codes: the cells of an IVF, the codebooks of a PQ, the hyperplanes of an LSH."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError
from lib.plots.indexes import draw_borders, nearest_centroids
from lib.plots.schematics.canvas import (
    BIG,
    GREY,
    INK,
    NORMAL,
    SMALL,
    WIDTH,
    arrow,
    cell,
    colour_of,
    described,
    new_canvas,
    tint,
    write,
)
from lib.plots.style import as_points, styled

STAR = {"marker": "*", "ms": 22, "color": colour_of("text"), "mec": "white", "zorder": 6}


@styled
def probed_cells(
    points: np.ndarray,
    centroids: np.ndarray,
    query: Sequence[float],
    ranking: Sequence[int],
    *,
    neighbours: Sequence[int] = (),
    nprobes: Sequence[int] = (1, 2, 4),
) -> Figure:
    """Draw the cells of an IVF that a query looks into, side by side for some nprobe.

    Args:
        points: `(n, 2)`.
        centroids: `(nlist, 2)`; a point lies in the cell of its nearest centroid.
        query: `(2,)`.
        ranking: cells in the order in which they are probed.
        neighbours: positions of the true nearest points: framed green where they are looked at,
            crossed out where they are missed.
        nprobes: number of cells looked into, 1 to 4 panels.
    """
    points, centroids = as_points(points, "points"), as_points(centroids, "centroids")
    ranking, neighbours = np.asarray(ranking, int), np.asarray(neighbours, int)
    query = as_points([query], "query")[0]
    if len(set(ranking.tolist())) != len(ranking) or not set(ranking) <= set(range(len(centroids))):
        raise RetrievalInputError(
            f"ranking must hold different cells 0 to {len(centroids) - 1}, got {ranking.tolist()}"
        )
    if neighbours.size and not 0 <= neighbours.min() <= neighbours.max() < len(points):
        last = len(points) - 1
        raise RetrievalInputError(
            f"neighbours must be positions 0 to {last}, got {neighbours.tolist()}"
        )
    if not 1 <= len(nprobes) <= 4 or not all(1 <= n <= len(ranking) for n in nprobes):
        raise RetrievalInputError(
            f"nprobes must be 1 to 4 numbers from 1 to {len(ranking)}, got {list(nprobes)}"
        )
    width = WIDTH / len(nprobes)
    side = min(width - 0.2, 5.0)
    height = side + 1.35
    figure, axes = plt.subplots(
        1, len(nprobes), figsize=(WIDTH, height), squeeze=False, layout="none"
    )
    owner, parts = nearest_centroids(points, centroids), []
    for at, (ax, nprobe) in enumerate(zip(axes[0], nprobes, strict=True)):
        left = (at + 0.5) * width - side / 2
        ax.set_position([left / WIDTH, 0.45 / height, side / WIDTH, side / height])
        seen = np.isin(owner, ranking[:nprobe])
        found = seen[neighbours]
        _draw_panel(ax, points, centroids, query, ranking[:nprobe], seen, neighbours)
        compared = f"{int(seen.sum())} of {len(points)} vectors compared"
        hits = f"{int(found.sum())} of {len(neighbours)} found" if neighbours.size else ""
        lines = [(f"nprobe = {nprobe}", BIG, "bold", 0.55), (compared, SMALL, "normal", 0.31)]
        if hits:
            lines.append((hits, SMALL, "normal", 0.08))
        for text, size, weight, above in lines:
            place = left / WIDTH, (0.45 + side + above) / height
            figure.text(*place, text, fontsize=size, weight=weight, color=INK)
        parts.append(f"nprobe {nprobe}: {compared}{hits and ', ' + hits}")
    _draw_key(figure, neighbours.size > 0, height)
    return described(figure, f"Cells that a query looks into, {'; '.join(parts)}.")


def _draw_panel(ax: Axes, points, centroids, query, probed, seen, neighbours) -> None:
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set(visible=True, color="0.7")
    everything = np.vstack([points, centroids, query])
    middle = (everything.min(axis=0) + everything.max(axis=0)) / 2
    reach = 0.54 * np.ptp(everything, axis=0).max()
    low, high = middle - reach, middle + reach
    draw_borders(ax, centroids, probed, low, high, tint("score", 0.25))
    ax.plot(*points[~seen].T, ls="", marker="o", ms=4.5, color="0.7", mew=0, zorder=2)
    ax.plot(*points[seen].T, ls="", marker="o", ms=5.5, color=INK, mew=0, zorder=3)
    ax.plot(*centroids.T, ls="", marker="P", ms=10, color="0.45", mec="white", zorder=3)
    for at in neighbours:
        look = {"ls": "", "zorder": 5, "mew": 2.8, "mfc": "none"}
        marker = ("o", "score") if seen[at] else ("X", "wrong")
        colour = colour_of(marker[1])
        fill = {} if seen[at] else {"mfc": colour, "mew": 0.8}
        edge = colour if seen[at] else "white"
        ax.plot(*points[at], marker=marker[0], ms=13, mec=edge, **(look | fill))
    ax.plot(*query, **STAR)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")


def _draw_key(figure: Figure, marked: bool, height: float) -> None:
    """Name the markers in one line under the panels."""
    ax = figure.add_axes([0, 0, 1, 0.38 / height])
    ax.set(xlim=(0, WIDTH), ylim=(0, 0.38))
    ax.axis("off")
    rows = [(STAR | {"ms": 17}, "query"),
            ({"marker": "P", "ms": 11, "color": "0.45", "mec": "white"}, "centroid"),
            ({"marker": "o", "ms": 7, "color": INK}, "compared")]  # fmt: skip
    if marked:
        rows += [
            ({"marker": "o", "ms": 12, "mfc": "none", "mec": colour_of("score"), "mew": 2.8},
             "neighbour found"),
            ({"marker": "X", "ms": 12, "color": colour_of("wrong"), "mec": "white"},
             "neighbour missed"),
        ]  # fmt: skip
    places = np.cumsum([0.3] + [0.75 + 0.115 * len(text) for _, text in rows])
    for x, (look, text) in zip(places, rows, strict=False):
        ax.plot(x, 0.2, ls="", **look)
        write(ax, x + 0.2, 0.2, text, SMALL, ha="left")


@styled
def product_codes(vector: Sequence[float], codebooks: np.ndarray, codes: Sequence[int]) -> Figure:
    """Draw product quantization: subvectors, the codebook of each, and the codes of one vector.

    Args:
        vector: `(d,)`, at most 12 numbers.
        codebooks: `(m, n_codes, d / m)`, at most 4 subvectors and 8 codewords.
        codes: `(m,)`, the chosen codeword of each subvector.
    """
    vector, books = np.asarray(vector, dtype=float), np.asarray(codebooks, dtype=float)
    codes = np.asarray(codes, dtype=int)
    if books.ndim != 3 or vector.shape != (books.shape[0] * books.shape[2],):
        raise RetrievalInputError(
            f"codebooks must have shape (m, n_codes, d / m) and vector (d,), got {books.shape} and"
            f" {vector.shape}"
        )
    m, n_codes, width = books.shape
    if m > 4 or n_codes > 8 or vector.size > 12:
        raise RetrievalInputError(
            f"codebooks must be at most 4 of 8 codewords for 12 numbers, got {m} of {n_codes} for"
            f" {vector.size}. Draw a smaller example."
        )
    if codes.shape != (m,) or not ((codes >= 0) & (codes < n_codes)).all():
        raise RetrievalInputError(
            f"codes must be {m} numbers 0 to {n_codes - 1}, got {codes.tolist()}"
        )
    size = min(0.82, 7.7 / (vector.size + 0.55 * (m - 1)))  # of a number
    tall, part = 0.44, width * size
    left, gap = 2.75, 0.55 * size
    heights = {"decoded": 0.45, "codes": 1.35}
    base = 2.15  # of the codebooks
    top = base + tall * n_codes
    figure, ax = new_canvas(top + 1.35)
    reach = float(max(np.abs(vector).max(), np.abs(books).max(), 1e-12))
    rows = {"vector": (top + 0.85, f"vector, {vector.size} numbers"),
            "codebooks": ((top + base) / 2, f"{m} codebooks of {n_codes} codewords"),
            "codes": (heights["codes"], f"stored: {m} codes"),
            "decoded": (heights["decoded"], "decoded vector")}  # fmt: skip
    for name, (y, text) in rows.items():
        weight = "bold" if name == "codes" else "normal"
        write(ax, 0.1, y, _broken(text), NORMAL, ha="left", weight=weight)
    for j, code in enumerate(codes):
        x = left + j * (part + gap)
        sub = vector[j * width : (j + 1) * width]
        _draw_numbers(ax, x, rows["vector"][0], sub, size, tall, "text", reach)
        arrow(ax, (x + part / 2, top + 0.55), (x + part / 2, top + 0.1))
        for i, word in enumerate(books[j]):
            y = top - (i + 0.5) * tall
            chosen = i == code
            _draw_numbers(ax, x, y, word, size, tall, "score" if chosen else "plain", reach, chosen)
            look = {"weight": "bold", "color": colour_of("score")} if chosen else {"color": GREY}
            write(ax, x - 0.1, y, str(i), SMALL, ha="right", **look)
        arrow(ax, (x + part / 2, base - 0.08), (x + part / 2, heights["codes"] + 0.33), "score")
        write(ax, x + part / 2, heights["codes"], str(code), 22, weight="bold",
              color=colour_of("score"))  # fmt: skip
        arrow(ax, (x + part / 2, heights["codes"] - 0.28), (x + part / 2, heights["decoded"] + 0.3),
              "score")  # fmt: skip
        _draw_numbers(ax, x, heights["decoded"], books[j, code], size, tall, "score", reach, True)
    decoded = np.concatenate([books[j, code] for j, code in enumerate(codes)])
    error = float(((vector - decoded) ** 2).sum())
    return described(
        figure,
        f"Product quantization of {vector.size} numbers: {m} subvectors, each replaced by the"
        f" number of a codeword, give the codes {', '.join(map(str, codes))}; the squared error of"
        f" the decoded vector is {error:.2f}.",
    )


def _broken(text: str) -> str:
    """Break a label of a row after its comma, its colon, or the word before "of"."""
    for mark in (", ", ": "):
        if mark in text:
            return text.replace(mark, f"{mark.strip()}\n", 1)
    return text.replace(" of ", "\nof ", 1)


def _draw_numbers(
    ax: Axes, x: float, y: float, values, size: float, tall: float, role: str, reach: float,
    framed: bool = False,
) -> None:  # fmt: skip
    """Draw numbers as cells from x to the right, the darker the larger."""
    font = SMALL if size >= 0.62 else 12
    for at, value in enumerate(values):
        shade = tint(role, 0.06 + 0.5 * abs(float(value)) / reach)
        place = x + (at + 0.5) * size, y
        cell(ax, *place, size, tall, shade)
        write(ax, *place, f"{value:.1f}", font)
    if framed:
        frame = {"fill": False, "ec": colour_of(role), "lw": 3, "zorder": 3}
        corner = x + 0.02, y - tall / 2 + 0.02
        ax.add_patch(plt.Rectangle(corner, size * len(values) - 0.04, tall - 0.04, **frame))


@styled
def hyperplanes(
    points: np.ndarray, normals: np.ndarray, *, query: Sequence[float] | None = None
) -> Figure:
    """Draw hyperplanes through the origin that cut a cloud, and the sign code of each region.

    Bit j of a code is 1 on the side to which normal j points. Points with the code of the query
    are dark.

    Args:
        points: `(n, 2)`.
        normals: `(bits, 2)`, 1 to 5 of them; each is drawn as an arrow across its line.
        query: `(2,)`, not the origin.
    """
    points, normals = as_points(points, "points"), as_points(normals, "normals")
    if not 1 <= len(normals) <= 5 or not np.linalg.norm(normals, axis=1).all():
        raise RetrievalInputError(f"normals must be 1 to 5 rows that are not zero, got {normals}")
    if query is not None and not np.any(query):
        raise RetrievalInputError("query must not be the origin, which lies on every hyperplane")
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    figure, ax = plt.subplots(figsize=(WIDTH, 6.2), layout="none")
    figure.subplots_adjust(0, 0, 1, 1)
    ax.axis("off")
    ax.grid(False)
    reach = float(np.linalg.norm(points, axis=1).max()) or 1.0
    scale = 2.2 / reach  # inches for a unit
    centre = np.array([3.1, 3.1])
    ax.set(xlim=(0, WIDTH), ylim=(0, 6.2), aspect="equal")
    same = np.zeros(len(points), dtype=bool)
    if query is not None:
        same = (_codes(points, normals) == _codes(np.array([query]), normals)).all(axis=1)
    places = centre + scale * points
    ax.plot(*places[~same].T, ls="", marker="o", ms=6, color="0.68", mew=0, zorder=2)
    ax.plot(*places[same].T, ls="", marker="o", ms=7.5, color=colour_of("score"), mew=0, zorder=3)
    for normal in normals:
        along = np.array([-normal[1], normal[0]])
        ends = np.stack([centre - 2.75 * along, centre + 2.75 * along]).T
        ax.plot(*ends, color=INK, lw=1.6, ls="-", marker="", zorder=4)
    _write_codes(ax, centre, normals)
    order = np.argsort(np.arctan2(normals[:, 0], -normals[:, 1]) % np.pi)
    for turn, at in enumerate(order):
        # Names stand at the upper ends and the lower ends by turns, so that they are apart.
        along = np.array([-normals[at, 1], normals[at, 0]])
        up = 1 if (along[1] >= 0) == (turn % 2 == 0) else -1
        foot = centre + 2.05 * up * along
        arrow(ax, foot, foot + 0.42 * normals[at])
        write(ax, *(centre + 2.93 * up * along), f"h{at + 1}", NORMAL, weight="bold")
    code = None
    if query is not None:
        ax.plot(*(centre + scale * np.asarray(query, float)), **STAR)
        code = "".join(map(str, _codes(np.array([query]), normals)[0]))
    _write_key(ax, code, int(same.sum()), len(points), len(normals))
    said = f"{len(normals)} hyperplanes through the origin cut {len(points)} points into regions,"
    said += " each with a sign code"
    if code is not None:
        said += f"; the query has the code {code}, and so have {int(same.sum())} points"
    return described(figure, said + ".")


def _codes(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    return (points @ normals.T >= 0).astype(int)


def _write_codes(ax: Axes, centre: np.ndarray, normals: np.ndarray) -> None:
    """Write the code of each region at the end of its middle line."""
    lines = np.degrees(np.arctan2(normals[:, 0], -normals[:, 1])) % 180
    borders = np.unique(np.concatenate([lines, lines + 180]).round(6))
    for start, end in zip(borders, [*borders[1:], borders[0] + 360], strict=True):
        if end - start < 15:  # too narrow to write into
            continue
        angle = np.radians((start + end) / 2)
        direction = np.array([np.cos(angle), np.sin(angle)])
        code = "".join(map(str, _codes(direction[None], normals)[0]))
        look = {"boxstyle": "round,pad=0.2", "fc": "white", "ec": "0.75"}
        write(ax, *(centre + 2.5 * direction), code, NORMAL, weight="bold", bbox=look, zorder=5)


def _write_key(ax: Axes, code: str | None, n_same: int, n: int, bits: int) -> None:
    x, y = 6.6, 4.3
    write(ax, x, y, f"{bits} hyperplanes, {bits} bits a code", BIG, ha="left", weight="bold")
    arrow(ax, (x, y - 0.6), (x + 0.45, y - 0.6))
    write(ax, x + 0.65, y - 0.6, "side on which the bit is 1", NORMAL, ha="left")
    if code is None:
        return
    ax.plot(x + 0.22, y - 1.2, **STAR)
    write(ax, x + 0.65, y - 1.2, f"query, code {code}", NORMAL, ha="left", color=colour_of("text"))
    ax.plot(x + 0.22, y - 1.8, ls="", marker="o", ms=9, color=colour_of("score"), mew=0)
    write(ax, x + 0.65, y - 1.8, f"same code: {n_same} of {n} points", NORMAL, ha="left")
