"""Exercises of the notebook that builds a retriever: search and train with real embeddings."""

from functools import cache

import numpy as np

from lib.course.cases import Case, Exercise, Wrong, as_array, call, expect
from lib.datasets import icons
from lib.index.exact import topk_exact
from lib.models.artifact_files import load_embeddings

# ---- build.search: cosines 0.6, 0.71, 0.995, -1; dot products 0.6, 5, 1, -1.

QUERY = np.array([[2.0, 0.0]])
ITEMS = np.array([[0.6, 0.8], [5.0, 5.0], [1.0, 0.1], [-1.0, 0.0]])
DEPTH = 10


@cache
def _long_and_short() -> tuple[np.ndarray, np.ndarray]:
    """Return real text and image embeddings of `icons`, with lengths as an encoder leaves them."""
    stored = load_embeddings("icons")
    lengths = np.random.default_rng(0).uniform(0.5, 3.0, (len(stored["test_image"]), 1))
    return stored["test_text"][::20] / 127, stored["test_image"] / 127 * lengths


def _searches_real_embeddings(function) -> None:
    queries, gallery = _long_and_short()
    meaning = f"{DEPTH} ids for each of {len(queries)} queries"
    found = as_array(
        call(function, queries, gallery, DEPTH),
        (len(queries), DEPTH),
        kind="integers",
        meaning=meaning,
    )
    expect(
        found.min() >= 0 and found.max() < len(gallery),
        "an id is no position in the gallery | Ids run from 0 to the number of items minus 1.",
    )
    best, _ = topk_exact(queries, gallery, DEPTH, metric="cosine")
    units = [side / np.sqrt((side**2).sum(axis=1, keepdims=True)) for side in (queries, gallery)]
    cosines = np.einsum("qd,qkd->qk", units[0], units[1][found])
    expect(
        all(len(set(row)) == DEPTH for row in found.tolist()),
        "an item is found twice by one query | Each id occurs once in a row.",
    )
    right = np.allclose(np.sort(cosines, axis=1)[:, ::-1], best, atol=1e-4)
    expect(
        right,
        "among 1,449 real pictures, items with a lower cosine are found, and better ones are not"
        " | The rows of this gallery have different lengths. Does the length still count?",
    )
    expect(
        (np.diff(cosines) < 1e-4).all(),
        "the right ten pictures, but not in the order of their cosines"
        " | A partial sort separates them from the rest; they still need an order.",
    )


search = Exercise(
    "build.search",
    """Return the ids of the k items with the highest cosine for each query, best first: queries
    (n_queries, d), gallery (n_items, d) and k in, whole numbers (n_queries, k) out.""",
    (
        Case((QUERY, ITEMS, 3), np.array([[2, 1, 0]]), mistakes={
            "the longest item wins: (5, 5) has the larger dot product, (1, 0.1) the larger cosine"
            " | A dot product grows with the length of both vectors. Which division is missing?":
                [[1, 2, 0]],
            "it returns the worst items | Sorting puts the smallest first; turn the order round.":
                [[3, 0, 1]],
            "the right items, the best one last | The best comes first.": [[0, 1, 2]],
            "the second and the third item are exchanged: the long item lost twice"
            " | It was divided by the squared length. A square root is missing.": [[2, 0, 1]],
        }, otherwise="The cosines of (2, 0) with the items are 0.6, 0.71, 0.995 and -1.",
            given="for the query (2, 0)", meaning="k ids for each query"),
        Case((ITEMS[1:2], ITEMS, 3), np.array([[1, 0, 2]]),
            "A query of length 7 has the same order as one of length 1.",
            given="for the query (5, 5)"),
        _searches_real_embeddings,
    ),
    """- Two vectors with the same direction have the cosine 1, whatever their lengths.
    - Divide each row by its own length before the product: the items at least. The length of a
      query does not change the order of its items.
    - The squares of a row are added along the row; the sums need a second axis to divide by.""",
    "Without the division, long vectors are found for nearly every query: they become hubs.",
)  # fmt: skip

# ---- build.connect and build.beat: texts of `icons`, images of `pictures`, split by concept.

CONNECTED, BETTER = 35, 54  # percent; the baseline reaches 47 to 51
UNTRAINED = 12  # percent; the vectors as they are give at most 5, chance is 2


@cache
def _frozen_vectors() -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Return texts, images, new texts, new images, and the new image of each new text.

    New pairs have concepts that the others lack, and the new images are in another order.
    """
    task = icons.task("test")
    right = task.qrels.at_least(task.hit_grade)
    first = np.array([right.row(query)[0][0] for query in range(len(task.queries))])
    texts = load_embeddings("icons")["test_text"] / np.float32(127)
    positions = icons.load_icons().positions("test")
    images = load_embeddings("pictures")["all_image"][positions][first] / np.float32(127)
    groups = np.unique(task.query_groups)
    rng = np.random.default_rng(0)
    is_new = np.isin(task.query_groups, rng.permutation(groups)[: len(groups) // 3])
    order = rng.permutation(int(is_new.sum()))
    partner = np.empty_like(order)
    partner[order] = np.arange(len(order))
    given = texts[~is_new], images[~is_new], texts[is_new], images[is_new][order]
    return given, partner


def _hits(queries: np.ndarray, gallery: np.ndarray, partner: np.ndarray) -> float:
    """Compute R@10 in percent; ties count against the right item."""
    scores = queries @ gallery.T
    own = scores[np.arange(len(scores)), partner]
    return 100 * float(np.mean((scores >= own[:, None]).sum(axis=1) <= DEPTH))


def _new_vectors(function, n_new: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit vectors of the (first) new texts and images that the function makes."""
    given, _ = _frozen_vectors()
    given = *given[:2], *(side[:n_new] for side in given[2:])
    result = call(function, *given)
    expect(
        isinstance(result, tuple | list | np.ndarray) and len(result) == 2,
        "it does not return two things | Return the vectors of the new texts, then those of the"
        " new images.",
    )
    sides = []
    for name, side, source in zip(("texts", "images"), result, given[2:], strict=True):
        dim = np.shape(side)[-1] if np.ndim(side) == 2 else "d"
        meaning = f"one row for each of the {len(source)} new {name}"
        vectors = as_array(side, (len(source), dim), meaning=meaning)
        lengths = np.sqrt((vectors**2).sum(axis=1, keepdims=True))
        expect(
            (lengths > 0).all(),
            f"a vector of the new {name} is zero | A zero vector has no direction.",
        )
        sides.append(vectors / lengths)
    expect(
        sides[0].shape[1] == sides[1].shape[1],
        f"texts have {sides[0].shape[1]} numbers and images {sides[1].shape[1]}"
        " | Both must live in one space: equally many numbers.",
    )
    return sides[0], sides[1]


def _maps_new_rows(function) -> None:
    _new_vectors(function, n_new=50)


def _reaches(function, least: float, advice: str) -> None:
    texts, images = _new_vectors(function)
    _, partner = _frozen_vectors()
    share = _hits(texts, images, partner)
    if share >= least:
        return
    expect(
        _hits(images, texts, partner) < least,
        "the two results are swapped | Return the vectors of the new texts first, then those of"
        " the new images.",
    )
    what = f"new texts find their image among the first ten in {share:.0f}% of cases"
    expect(
        share > UNTRAINED,
        f"{what}, about as without training | Is row i of the texts trained with row i of the"
        " images? Does each side have its own matrix, and are both used for the new rows, in their"
        " order? Print the loss of each step: it starts near the logarithm of the number of pairs"
        " and must fall.",
    )
    raise Wrong(f"{what}, and {least}% are asked for", advice)


def _is_connected(function) -> None:
    _reaches(
        function,
        CONNECTED,
        "It learns. Are both vectors divided by their length before the scores? Is the temperature"
        " used, and do the steps suffice?",
    )


def _beats_the_baseline(function) -> None:
    _reaches(
        function,
        BETTER,
        "It learns, about as the baseline or less. On few pairs a training can be too long: keep"
        " some pairs aside, and watch their hits, not only the loss.",
    )


connect = Exercise(
    "build.connect",
    """Train on pairs of frozen vectors, texts (n, 256) and images (n, 256). The result is a pair:
    the vectors of new_texts (m, d) and of new_images (m, d) in one space, in which a new text finds
    its image among the first ten in at least 35% of cases.""",
    (_maps_new_rows, _is_connected),
    """- Two matrices are enough, one a side, from 256 numbers to 64. In PyTorch each is a linear
      layer without bias.
    - A step: multiply, divide each row by its length, compute the loss of section 5, go
      against the gradient. Adam with a rate of 0.02 and 300 steps of 128 random pairs will do.
    - After the last step, multiply the new rows by the same matrices. No gradient is needed.""",
    "This is how a locked tower is used: two encoders stay as they are, and a small head on each"
    " makes one space of both.",
)  # fmt: skip

beat = Exercise(
    "build.beat",
    """Do the same as in build.connect with one change to the baseline, so that a new text finds its
    image among the first ten in at least 54% of cases.""",
    (_maps_new_rows, _beats_the_baseline),
    """- Keep a fifth of the pairs aside and measure R@10 on them every ten steps. When is it best?
    - The baseline knows its pairs by heart after 300 steps. What stops it earlier, or makes
      learning by heart harder?
    - Fewer steps are the smallest change. A matrix that is computed in one go, by least squares
      with a penalty, is another.""",
    "The loss of the training pairs falls to the end, and the hits of new ones do not rise to the"
    " end. Choose the number of steps on pairs kept aside, never on the test.",
)  # fmt: skip
