"""Lists and codes: what is drawn as looked at, chosen or equal is what the arguments say."""

import numpy as np
import pytest

from lib import plots
from lib.core.checks import RetrievalInputError
from lib.index.from_scratch.hyperplanes import signatures

CENTROIDS = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
POINTS = np.array([[0.1, 0.2], [1.0, 0.5], [4.0, 0.3], [3.0, 0.1], [0.2, 4.0], [0.5, 3.0]])
QUERY = [1.6, 0.3]
VECTOR = np.array([0.2, 1.1, -0.7, 0.4])
BOOKS = np.array([[[0.0, 1.0], [1.0, 0.0]], [[0.5, 0.5], [-1.0, 0.5]]])


def texts(figure) -> list[str]:
    return [t.get_text() for ax in figure.axes for t in ax.texts] + [
        t.get_text() for t in figure.texts
    ]


def test_more_cells_are_looked_into_from_panel_to_panel(check_lettering):
    figure = plots.probed_cells(POINTS, CENTROIDS, QUERY, [0, 1, 2], neighbours=[1, 3],
                                nprobes=(1, 2, 3))  # fmt: skip
    assert len(figure.axes) == 3 + 1  # and the key
    for n in (2, 4, 6):
        assert f"{n} of 6 vectors compared" in texts(figure)
    assert texts(figure).count("2 of 2 found") == 2 and "1 of 2 found" in texts(figure)
    missed = [line for line in figure.axes[0].lines if line.get_marker() == "X"]
    assert [line.get_xydata().tolist() for line in missed] == [[[3.0, 0.1]]]
    assert "nprobe 1: 2 of 6 vectors compared, 1 of 2 found" in plots.description(figure)
    check_lettering(figure)


@pytest.mark.parametrize("nprobes", [(1,), (1, 2), (1, 2, 3, 3)])
def test_other_numbers_of_panels(nprobes, check_lettering):
    figure = plots.probed_cells(POINTS, CENTROIDS, QUERY, [0, 1, 2], nprobes=nprobes)
    assert "neighbour missed" not in texts(figure)
    check_lettering(figure)


def test_the_codes_and_the_decoded_vector_are_those_of_the_codebooks(check_lettering):
    figure = plots.product_codes(VECTOR, BOOKS, [0, 1])
    numbers = texts(figure)
    assert numbers.count("0.2") == 1 and numbers.count("-1.0") == 2  # chosen: twice
    big = [t.get_text() for t in figure.axes[0].texts if t.get_fontsize() > 20]
    assert big == ["0", "1"]
    error = 0.2**2 + 0.1**2 + 0.3**2 + 0.1**2
    assert f"squared error of the decoded vector is {error:.2f}" in plots.description(figure)
    check_lettering(figure)


def test_the_largest_example_of_codes_fits(check_lettering):
    rng = np.random.default_rng(0)
    books = rng.normal(size=(4, 8, 3))
    check_lettering(plots.product_codes(rng.normal(size=12), books, [7, 0, 3, 1]))


@pytest.mark.parametrize("bits", [1, 3, 5])
def test_points_with_the_code_of_the_query_are_counted(bits, check_lettering):
    rng = np.random.default_rng(bits)
    points, normals = rng.normal(size=(60, 2)), rng.normal(size=(bits, 2))
    query = np.array([0.8, 1.0])
    figure = plots.hyperplanes(points, normals, query=query)
    same = (points @ normals.T >= 0) == (query @ normals.T >= 0)
    n_same = int(same.all(axis=1).sum())
    assert f"same code: {n_same} of 60 points" in texts(figure)
    code = np.unpackbits(signatures(query[None], normals)[0], bitorder="little")[:bits]
    assert f"query, code {''.join(map(str, code))}" in texts(figure)
    assert {f"h{i + 1}" for i in range(bits)} <= set(texts(figure))
    check_lettering(figure)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.probed_cells(POINTS, CENTROIDS, QUERY, [0, 0]), "different cells 0 to 2"),
        (lambda: plots.probed_cells(POINTS, CENTROIDS, QUERY, [3]), r"got \[3\]"),
        (
            lambda: plots.probed_cells(POINTS, CENTROIDS, QUERY, [0], nprobes=(2,)),
            r"numbers from 1 to 1, got \[2\]",
        ),
        (
            lambda: plots.probed_cells(POINTS, CENTROIDS, QUERY, [0], nprobes=(1,), neighbours=[9]),
            "positions 0 to 5",
        ),
        (lambda: plots.product_codes(VECTOR[:3], BOOKS, [0, 1]), r"vector \(d,\), got"),
        (lambda: plots.product_codes(VECTOR, BOOKS, [0, 2]), r"2 numbers 0 to 1, got \[0, 2\]"),
        (lambda: plots.product_codes(np.zeros(14), np.zeros((2, 2, 7)), [0, 0]), "smaller example"),
        (lambda: plots.hyperplanes(POINTS, np.zeros((1, 2))), "rows that are not zero"),
        (lambda: plots.hyperplanes(POINTS, np.ones((6, 2))), "normals must be 1 to 5 rows"),
        (lambda: plots.hyperplanes(POINTS, [[1, 0]], query=(0, 0)), "must not be the origin"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()
