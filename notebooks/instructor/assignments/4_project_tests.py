"""Hidden tests of assignment 4: arguments drawn from a seed; the solutions give the right answers.

A test with an easy edge case has an ordinary one beside it, so that no constant passes it.
"""

import numpy as np

from lib.course.assignments.sources import HiddenTest, Task


def grouped(random, share=0.3, n=40, n_groups=12):
    """Draw groups of several sizes and an order."""
    groups = random.integers(0, n_groups, size=n)
    groups[:n_groups] = np.arange(n_groups)
    return random.permutation(groups), share, random.permutation(n_groups)


def hashes(random, n=12, flipped=3):
    """Draw hashes of which each second is a near copy of the one before."""
    bits = random.random((n, 64)) < 0.5
    for row in range(1, n, 2):
        bits[row] = bits[row - 1]
        bits[row, random.permutation(64)[: flipped + row % 3]] ^= True
    return bits[random.permutation(n)]


def ranked(random, count=2, n=15, length=8):
    """Draw rankings of partly different items."""
    return [random.permutation(n)[:length].tolist() for _ in range(count)]


def swapped(random):
    """Draw two rankings of the same items in opposite orders at two places: equal scores."""
    ids = random.permutation(20)[:6].tolist()
    return [ids, [ids[1], ids[0], *ids[2:]]]


TASKS = (
    Task(
        "test_mask",
        (
            HiddenTest(
                "groups of several sizes",
                2,
                lambda r: [grouped(r), grouped(r, share=0.55)],
                "Count items, not groups, and stop as soon as there are enough.",
            ),
            HiddenTest(
                "a share that is reached exactly",
                2,
                lambda r: [(np.repeat(r.permutation(6), 5), s, r.permutation(6)) for s in (0.5, 1)],
                "'At least' the share: with 15 of 30 a share of one half is reached.",
            ),
            HiddenTest(
                "a share of 0",
                1,
                lambda r: [grouped(r, share=0.0), grouped(r, share=0.2)],
                "Then the test is empty: nothing is taken before the share is checked.",
            ),
        ),
    ),
    Task(
        "near_copies",
        (
            HiddenTest(
                "some near copies",
                2,
                lambda r: [(hashes(r), 6), (hashes(r, n=20), 8)],
                "Each pair once, with the smaller number first.",
            ),
            HiddenTest(
                "the limit itself",
                2,
                lambda r: [(hashes(r), 3), (hashes(r), 4), (hashes(r), 5)],
                "'At most' includes the limit.",
            ),
            HiddenTest(
                "no near copies",
                1,
                lambda r: [(r.random((6, 64)) < 0.5, 2), (hashes(r), 5)],
                "The result then has the shape (0, 2).",
            ),
        ),
    ),
    Task(
        "fuse",
        (
            HiddenTest(
                "two lists",
                2,
                lambda r: [(ranked(r), 60), (ranked(r, n=9), 10)],
                "Ranks count from 1, and an item gets points from each list that holds it.",
            ),
            HiddenTest(
                "three lists and a small constant",
                1,
                lambda r: [(ranked(r, count=3), 1), (ranked(r, count=3, length=5), 0)],
                "The constant is an argument.",
            ),
            HiddenTest(
                "equal scores",
                2,
                lambda r: [(swapped(r), 60) for _ in range(4)],
                "Of equal scores the smaller id comes first, in spite of rounding.",
            ),
        ),
    ),
    Task(
        "centred",
        (
            HiddenTest(
                "vectors",
                2,
                lambda r: [(r.normal(2, 1, size=(9, 4)), r.normal(2, 1, size=(5, 4)))],
                "The mean comes from the training vectors, the length from the moved ones.",
            ),
            HiddenTest(
                "a row that becomes zero",
                2,
                lambda r: [
                    (t := r.integers(0, 5, size=(4, 3)).astype(float), np.vstack([t.mean(0), t]))
                ],
                "0 divided by 0 is NaN.",
            ),
            HiddenTest(
                "training vectors of another number",
                1,
                lambda r: [(r.normal(5, 1, size=(1, 4)), r.normal(size=(6, 4)))],
                "One mean for all rows.",
            ),
        ),
    ),
)
