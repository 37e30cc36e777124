"""Hidden tests of assignment 3: arguments drawn from a seed; the solutions give the right answers.

A test with an easy edge case has an ordinary one beside it, so that no constant passes it.
"""

import numpy as np

from lib.course.assignments.sources import HiddenTest, Task


def found(random, n=8, k=5, missing=0, repeats=False):
    """Draw ids that an index found, and the true ones."""
    truth = np.array([random.permutation(40)[:k] for _ in range(n)])
    ids = np.where(random.random((n, k)) < 0.6, truth, truth + 50)
    ids = np.take_along_axis(ids, random.permuted(np.tile(np.arange(k), (n, 1)), axis=1), 1)
    if repeats:
        ids[:, -1] = ids[:, 0]
    if missing:
        ids[:, -missing:] = -1
    return ids, truth


def lists(random, n=40, n_lists=6, dim=3, nprobe=2, k=5):
    """Draw vectors, their lists and a query."""
    centroids = random.normal(size=(n_lists, dim))
    base = random.normal(size=(n, dim))
    distances = ((base[:, None] - centroids[None]) ** 2).sum(axis=2)
    return base, distances.argmin(axis=1), centroids, random.normal(size=dim), nprobe, k


def grid(random, n=30):
    """Draw vectors of whole numbers, whose distances are often equal."""
    base = random.integers(0, 3, size=(n, 2)).astype(float)
    centroids = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    return base, random.integers(0, 4, size=n), centroids, np.array([1.0, 1.0]), 2, 6


def settings(random, n=12, digits=3):
    """Draw recalls and costs, of which some are equal."""
    return np.round(random.random(n), digits), random.integers(1, 9, size=n)


def sized(random, floor=0.5, memory=50, n=12, digits=1):
    """Draw settings with sizes and limits."""
    recalls, costs = settings(random, n, digits)
    return recalls, costs, random.integers(10, 90, size=n), floor, memory


TASKS = (
    Task(
        "recall",
        (
            HiddenTest(
                "all places are filled",
                3,
                lambda r: [found(r), found(r, n=3, k=10)],
                "Order does not matter: compare sets.",
            ),
            HiddenTest(
                "fewer were found",
                1,
                lambda r: [found(r, missing=2)],
                "Divide by the number of true ids, however many were found.",
            ),
            HiddenTest(
                "an id is returned twice",
                2,
                lambda r: [found(r, repeats=True) for _ in range(3)],
                "One true id can be found once.",
            ),
        ),
    ),
    Task(
        "index_bytes",
        (
            HiddenTest(
                "codes of whole bytes",
                3,
                lambda r: [
                    (int(r.integers(1000, 9**6)), 128, int(r.integers(10, 500)), 16, 8),
                    (int(r.integers(1000, 9**6)), 64, int(r.integers(10, 500)), 8, 8),
                ],
                "Codes, ids, centroids, codewords: write the four parts one under the other.",
            ),
            HiddenTest(
                "codes that are rounded up",
                2,
                lambda r: [(int(r.integers(1000, 99999)), 60, 32, m, 5) for m in (3, 5, 15)],
                "The code of one vector is rounded up, not that of all of them.",
            ),
            HiddenTest(
                "codes of 12 bits",
                1,
                lambda r: [(int(r.integers(1000, 99999)), 32, 7, 4, 12)],
                "2**bits codewords a piece; a codeword has dim / pieces numbers.",
            ),
        ),
    ),
    Task(
        "ivf_search",
        (
            HiddenTest(
                "some lists",
                2,
                lambda r: [lists(r), lists(r, nprobe=3, k=2)],
                "Search the centroids first, then the vectors of the nearest lists.",
            ),
            HiddenTest(
                "all lists",
                1,
                lambda r: [lists(r, nprobe=6)],
                "With all lists it is exact search, and the distances to centroids still count.",
            ),
            HiddenTest(
                "fewer than k",
                2,
                lambda r: [lists(r, n=12, nprobe=1, k=12), lists(r, n=15, nprobe=2, k=14)],
                "Fill the places that are left with -1.",
            ),
            HiddenTest(
                "equal distances",
                1,
                lambda r: [grid(r), grid(r)],
                "Of equal distances the smaller number comes first, for lists and for vectors.",
            ),
        ),
    ),
    Task(
        "pareto",
        (
            HiddenTest(
                "recalls that differ",
                3,
                lambda r: [settings(r, digits=6), settings(r, n=20, digits=6)],
                "A setting stays unless another one is at least as good in both.",
            ),
            HiddenTest(
                "equal values",
                2,
                lambda r: [settings(r, n=20, digits=1) for _ in range(3)],
                "Two equal settings do not dominate each other: both stay.",
            ),
            HiddenTest(
                "one setting",
                1,
                lambda r: [settings(r, n=1), settings(r, n=8)],
                "With one setting nothing dominates it.",
            ),
        ),
    ),
    Task(
        "choose",
        (
            HiddenTest(
                "within the limits",
                2,
                lambda r: [sized(r, digits=6) for _ in range(4)],
                "First drop what breaks a limit, then take the cheapest.",
            ),
            HiddenTest(
                "equal costs",
                2,
                lambda r: [sized(r, n=40, memory=80) for _ in range(4)],
                "Of equal costs the higher recall, then the smaller number.",
            ),
            HiddenTest(
                "limits that are reached exactly",
                1,
                lambda r: [
                    ([0.5, 0.9, 0.4], [4, 8, 1], [20, int(m), 5], 0.5, int(m))
                    for m in r.integers(5, 30, size=4)
                ],
                "'At least' and 'at most' include the limit.",
            ),
            HiddenTest(
                "no setting is allowed",
                1,
                lambda r: [sized(r, floor=2.0), sized(r), sized(r, memory=1)],
                "Then the answer is -1.",
            ),
        ),
    ),
)
