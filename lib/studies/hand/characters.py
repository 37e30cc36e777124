"""Find the drawings of one character among unlabelled ones.

Omniglot has 20 drawings of each character, but the file names none. Drawings are compared by where
ink runs in which direction. The axes are then weighted so that drawings which surely belong
together lie close (linear discriminants), and drawings are joined that are among each other's 20
nearest and share enough of these. A group of 16 to 20 is taken as a character. That few groups have
21 to 24 members is the evidence that groups are characters and not chance.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from lib.datasets.strokes import Drawing, subdivide

GRID, DIRECTIONS, BLUR = 14, 6, 1.2
EDGE = 2  # cells of the grid that stay free for the blur
THIN = 0.15  # a narrower drawing is not stretched further
N_AXES, N_WEIGHTED = 128, 80
PEOPLE = 20
SMALLEST_GROUP = 16
SURE, SURE_SIZES = 13, (5, 26)  # shared neighbours, and sizes, of groups that weight the axes
SHARED = range(8, 18)  # shared neighbours that join two drawings: from loose to strict


def direction_features(drawings: Sequence[Drawing]) -> np.ndarray:
    """Measure where ink runs in which direction, unit rows, float32 (n, 6 * 14 * 14)."""
    maps = np.zeros((len(drawings), DIRECTIONS, GRID, GRID))
    for of, drawing in zip(maps, drawings):
        low, extent = drawing.points.min(axis=0), np.ptp(drawing.points, axis=0)
        longest = max(extent.max(), 1e-9)
        # Halfway between keeping the shape of the box and making it a square.
        scale = 1 / np.sqrt(np.maximum(extent, THIN * longest) * longest)
        strokes = [(s - low - extent / 2) * scale + 0.5 for s in drawing.strokes]
        fine = subdivide(Drawing(tuple(strokes)), 0.03)
        steps = np.diff(fine.points, axis=0)
        inner = np.ones(len(steps), dtype=bool)
        inner[np.cumsum(fine.lengths)[:-1] - 1] = False
        _add_ink(of, (fine.points[:-1] + steps / 2)[inner], steps[inner])
    maps = np.sqrt(gaussian_filter(maps, (0, 0, BLUR, BLUR))).reshape(len(drawings), -1)
    return (maps / (np.linalg.norm(maps, axis=1, keepdims=True) + 1e-9)).astype(np.float32)


def _add_ink(maps: np.ndarray, middles: np.ndarray, steps: np.ndarray) -> None:
    """Spread the length of each step over the four cells around it and over the directions."""
    at = np.clip(middles, 0, 1) * (GRID - 2 * EDGE - 1) + EDGE
    cell = at.astype(int)
    share = at - cell
    angles = np.arctan2(steps[:, 1], steps[:, 0])
    along = np.cos(angles - np.pi * np.arange(DIRECTIONS)[:, None] / DIRECTIONS) ** 2
    ink = np.maximum(along - 0.25, 0) * np.hypot(*steps.T)  # (directions, steps)
    for right in (0, 1):
        for down in (0, 1):
            part = np.abs(1 - right - share[:, 0]) * np.abs(1 - down - share[:, 1])
            where = (cell[:, 1] + down) * GRID + cell[:, 0] + right
            for of, amounts in zip(maps, ink * part):
                of += np.bincount(where, amounts, GRID * GRID).reshape(GRID, GRID)


def nearest(rows: np.ndarray, k: int = PEOPLE, block: int = 2000) -> np.ndarray:
    """Return the `k` nearest other rows of each unit row, int64 (n, k), in no order."""
    found = np.empty((len(rows), k), dtype=np.int64)
    for start in range(0, len(rows), block):
        scores = rows[start : start + block] @ rows.T
        scores[np.arange(len(scores)), np.arange(start, start + len(scores))] = -np.inf
        found[start : start + block] = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return found


def shared_neighbours(neighbours: np.ndarray) -> csr_matrix:
    """Count the common neighbours of mutual neighbours; each row is its own neighbour too."""
    n, k = neighbours.shape
    ones = np.ones(n * k, dtype=np.float32)
    near = csr_matrix((ones, (np.repeat(np.arange(n), k), neighbours.ravel())), (n, n))
    near.setdiag(1)
    shared = (near @ near.T).multiply(near.minimum(near.T)).tocsr()
    shared.setdiag(0)
    shared.eliminate_zeros()
    return shared


def joined(shared: csr_matrix, least: int) -> np.ndarray:
    """Join drawings that share at least so many neighbours; the label of each one's group."""
    links = shared.copy()
    links.data = (links.data >= least).astype(np.float32)
    links.eliminate_zeros()
    return connected_components(links, directed=False)[1]


def group_members(labels: np.ndarray, least: int, most: int) -> list[np.ndarray]:
    """Return the members of each group of `least` to `most`."""
    order, sizes = np.argsort(labels, kind="stable"), np.bincount(labels)
    stops = np.cumsum(sizes)
    fitting = np.flatnonzero((sizes >= least) & (sizes <= most))
    return [order[stops[label] - sizes[label] : stops[label]] for label in fitting]


def weighted_axes(rows: np.ndarray, groups: Sequence[np.ndarray]) -> np.ndarray:
    """Weight axes so that groups are tight and far apart (linear discriminants), unit rows."""
    members, sizes = np.concatenate(groups), np.array([len(group) for group in groups])
    means = np.array([rows[group].mean(axis=0) for group in groups])
    within = np.cov((rows[members] - np.repeat(means, sizes, axis=0)).T)
    within += np.eye(len(within)) * (0.1 * np.trace(within) / len(within))
    spread, axes = np.linalg.eigh(within)
    white = axes / np.sqrt(spread)
    _, turns = np.linalg.eigh(white.T @ np.cov(means.T) @ white)
    return _unit((rows - rows.mean(axis=0)) @ (white @ turns[:, ::-1][:, :N_WEIGHTED]))


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9)).astype(np.float32)


def find_characters(
    drawings: Sequence[Drawing], log: Callable[[str], None] = print
) -> tuple[list[np.ndarray], dict[int, int]]:
    """Group drawings by character.

    Returns:
        The members of each group of 16 to 20, and how many groups have each size from 12 to 28
        when neighbours must share 10.
    """
    log(f"directions of the ink of {len(drawings):,} drawings")
    features = direction_features(drawings)
    _, axes = np.linalg.eigh(np.cov(features.T))
    rows = _unit((features - features.mean(axis=0)) @ axes[:, ::-1][:, :N_AXES])
    log("nearest drawings")
    sure = group_members(joined(shared_neighbours(nearest(rows)), SURE), *SURE_SIZES)
    log(f"nearest drawings again, with axes weighted by {len(sure)} sure groups")
    shared = shared_neighbours(nearest(weighted_axes(rows, sure)))
    taken, groups = np.zeros(len(drawings), dtype=bool), []
    for least in SHARED:
        for group in group_members(joined(shared, least), SMALLEST_GROUP, PEOPLE):
            if not taken[group].any():
                taken[group] = True
                groups.append(group)
    counts = np.bincount(np.bincount(joined(shared, 10)), minlength=29)
    log(f"{len(groups)} characters with {sum(map(len, groups)):,} drawings")
    return groups, {size: int(counts[size]) for size in range(12, 29)}
