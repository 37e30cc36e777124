"""Hidden tests of assignment 2: arguments drawn from a seed; the solutions give the right answers.

A test with an easy edge case has an ordinary one beside it, so that no constant passes it.
"""

import numpy as np

from lib.course.assignments.sources import HiddenTest, Task


def distinct(random, n=20):
    """Draw scores that all differ."""
    return random.permutation(np.linspace(0, 1, n))


def some(random, n=20, count=3):
    """Draw ids."""
    return random.permutation(n)[:count].tolist()


def late_relevant(random):
    """Draw many equal scores, and one relevant item behind others of its score."""
    return np.repeat([0.5, 0.9], [12, 3])[random.permutation(15)], some(random, 15, 2)


def ranking(random, listed=12):
    """Draw a ranking and relevant ids, of which some are missing from it."""
    ids = random.permutation(30)
    return ids[:listed].tolist(), [*ids[2:listed:4].tolist(), *ids[listed : listed + 2].tolist()]


def with_repeats(random):
    """Draw a ranking that lists a relevant item twice."""
    listed, relevant = ranking(random)
    return [*listed[:5], listed[2], *listed[5:]], relevant


def graded(random, n=15):
    """Draw grades with several levels."""
    return np.concatenate([[3, 2, 1], random.integers(0, 4, size=n - 3)])[random.permutation(n)]


def clusters(random, n=40, n_groups=9, draws=50, equal=False):
    """Draw hits, groups and resamples."""
    groups = np.arange(n) % n_groups if equal else random.integers(0, n_groups, size=n)
    groups[:n_groups] = np.arange(n_groups)
    hits = (random.random(n) < 0.3 + 0.05 * groups).astype(float)
    return hits, 7 * groups + 11, random.integers(0, n_groups, size=(draws, n_groups))


def systems(random, n=12, draws=60, gain=0.2):
    """Draw values of two systems and signs."""
    second = random.random(n)
    first = second + random.normal(gain, 0.3, size=n)
    return first, second, random.choice([-1, 1], size=(draws, n))


def hits(random, n=10, draws=80):
    """Draw hits of 0 and 1, whose sums are often equal."""
    first, second = random.integers(0, 2, size=(2, n))
    first[:4], second[:4] = 1, 0
    return first, second, random.choice([-1, 1], size=(draws, n))


TASKS = (
    Task(
        "first_rank",
        (
            HiddenTest(
                "scores that all differ",
                2,
                lambda r: [(distinct(r), some(r)) for _ in range(4)],
                "Ranks count from 1, and the first relevant item decides.",
            ),
            HiddenTest(
                "equal scores",
                2,
                lambda r: [late_relevant(r) for _ in range(6)],
                "Of equal scores the smaller id comes first. Is your sort stable?",
            ),
            HiddenTest(
                "no relevant item",
                2,
                lambda r: [(distinct(r), []), (distinct(r), some(r)), (distinct(r), [])],
                "The first place of only false values is 0 for argmax. Look at this case.",
            ),
        ),
    ),
    Task(
        "average_precision",
        (
            HiddenTest(
                "everything is found",
                1,
                lambda r: [(r.permutation(10).tolist(), some(r, 10, 3)) for _ in range(3)],
                "Precision at each rank that holds a relevant item.",
            ),
            HiddenTest(
                "relevant items are missing",
                2,
                lambda r: [ranking(r) for _ in range(3)],
                "Divide by all relevant items, found or not.",
            ),
            HiddenTest(
                "fewer items than ranks",
                1,
                lambda r: [(r.permutation(25).tolist(), some(r, 25, 1)) for _ in range(3)],
                "The length of the list is not the number of relevant items.",
            ),
            HiddenTest(
                "an item is listed twice",
                2,
                lambda r: [with_repeats(r) for _ in range(3)],
                "It counts once, where it stands first; the ranks behind it stay.",
            ),
        ),
    ),
    Task(
        "ndcg",
        (
            HiddenTest(
                "the whole collection is ranked",
                2,
                lambda r: [(r.permutation(15).tolist(), graded(r), 15) for _ in range(2)],
                "Check the gain and the discount: rank 1 is divided by log2(2).",
            ),
            HiddenTest(
                "cut at k",
                2,
                lambda r: [(r.permutation(15).tolist(), graded(r), k) for k in (1, 3, 5)],
                "The ideal takes the best items of the collection, not of the list.",
            ),
            HiddenTest(
                "a list shorter than k",
                1,
                lambda r: [(r.permutation(15)[:4].tolist(), graded(r), 10) for _ in range(2)],
                "The ideal has k places, however short the list is.",
            ),
            HiddenTest(
                "no relevant item",
                1,
                lambda r: [
                    (r.permutation(15).tolist(), np.zeros(15, dtype=int), 5),
                    (r.permutation(15).tolist(), graded(r), 5),
                ],
                "0 divided by 0 is not 0.",
            ),
        ),
    ),
    Task(
        "cluster_interval",
        (
            HiddenTest(
                "groups of one size",
                2,
                lambda r: [clusters(r, n=36, n_groups=9, equal=True)],
                "Resample groups: the queries of one stay together.",
            ),
            HiddenTest(
                "groups of several sizes",
                3,
                lambda r: [clusters(r), clusters(r, n=25, n_groups=6)],
                "The mean is over queries. A mean of the groups' means weighs them all alike.",
            ),
            HiddenTest(
                "every query is a group",
                1,
                lambda r: [clusters(r, n=20, n_groups=20)],
                "Then it is the ordinary bootstrap.",
            ),
        ),
    ),
    Task(
        "p_value",
        (
            HiddenTest(
                "two systems",
                3,
                lambda r: [systems(r), systems(r, gain=-0.1), systems(r, n=20)],
                "The test is two-sided, and the observed data count as one of the draws.",
            ),
            HiddenTest(
                "a large gain",
                1,
                lambda r: [systems(r, gain=3.0, draws=30), systems(r, gain=0.1)],
                "No finite number of draws shows that p is 0.",
            ),
            HiddenTest(
                "equal sums",
                2,
                lambda r: [hits(r) for _ in range(3)],
                "Sums that equal the observed one count, in spite of rounding.",
            ),
        ),
    ),
)
