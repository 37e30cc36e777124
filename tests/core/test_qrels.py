import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels

dense_grades = hnp.array_shapes(min_dims=2, max_dims=2, max_side=7).flatmap(
    lambda shape: hnp.arrays(np.int16, shape, elements=st.integers(0, 3))
)


def from_dense(grades):
    query, item = np.nonzero(grades)
    return Qrels.from_pairs(query, item, grades[query, item], shape=grades.shape)


def to_dense(qrels):
    grades = np.zeros(qrels.shape, np.int16)
    for query in range(qrels.shape[0]):
        items, values = qrels.row(query)
        grades[query, items] = values
    return grades


def test_owner_gives_each_item_to_one_query():
    qrels = Qrels.from_owner([0, 0, 1, 1, 2], 4, grade=2)
    assert qrels.shape == (4, 5)
    assert qrels.counts.tolist() == [2, 2, 1, 0]
    assert qrels.row(1)[0].tolist() == [2, 3] and qrels.row(1)[1].tolist() == [2, 2]
    assert qrels.max_grade == 2


def test_the_other_direction_of_captions_has_one_image_each():
    captions_of_image = Qrels.from_owner(np.repeat(np.arange(3), [5, 4, 6]), 3)
    assert captions_of_image.T.shape == (15, 3)
    assert (captions_of_image.T.counts == 1).all()
    assert captions_of_image.T.items.tolist() == [0] * 5 + [1] * 4 + [2] * 6


def test_pairs_in_any_order():
    qrels = Qrels.from_pairs([1, 0, 1], [3, 2, 0], [1, 2, 3], shape=(3, 4))
    assert to_dense(qrels).tolist() == [[0, 0, 2, 0], [3, 0, 0, 1], [0, 0, 0, 0]]
    assert qrels == Qrels.from_pairs([1, 1, 0], [0, 3, 2], [3, 1, 2], shape=(3, 4))


def test_ids_with_and_without_grades():
    qrels = Qrels.from_ids({"q2": {"x": 3, "y": 1}, "q0": ["y"]}, ["q0", "q1", "q2"], ["x", "y"])
    assert to_dense(qrels).tolist() == [[0, 1], [0, 0], [3, 1]]


def test_no_judgements():
    qrels = Qrels.from_pairs([], [], shape=(2, 3))
    assert qrels.counts.tolist() == [0, 0] and qrels.max_grade == 0 and qrels.T.shape == (3, 2)
    assert qrels.grades_of(np.array([[0], [2]])).tolist() == [[0], [0]]


def test_at_least_keeps_grades_and_may_empty_rows():
    qrels = from_dense(np.array([[1, 3, 0], [1, 1, 0]])).at_least(2)
    assert to_dense(qrels).tolist() == [[0, 3, 0], [0, 0, 0]]


def test_grades_of_ranked_items():
    qrels = from_dense(np.array([[0, 2, 1], [3, 0, 0]]))
    grades = qrels.grades_of([[2, 0, 1], [-1, 1, 0]])
    assert grades.tolist() == [[1, 0, 2], [0, 0, 3]] and grades.dtype == np.int16


@settings(deadline=None)
@given(dense_grades)
def test_transposing_twice_gives_the_same(grades):
    qrels = from_dense(grades)
    assert np.array_equal(to_dense(qrels.T), grades.T)
    assert (to_dense(qrels.T) == grades.T).all()


@settings(deadline=None)
@given(dense_grades, st.data())
def test_lookups_agree_with_a_dense_matrix(grades, data):
    qrels = from_dense(grades)
    n_queries, n_items = grades.shape
    ids = data.draw(hnp.arrays(np.int64, (n_queries, 4), elements=st.integers(-1, n_items - 1)))
    expected = np.where(ids < 0, 0, np.take_along_axis(grades, np.maximum(ids, 0), axis=1))
    assert (qrels.grades_of(ids) == expected).all()
    threshold = data.draw(st.integers(1, 4))
    assert (to_dense(qrels.at_least(threshold)) == np.where(grades >= threshold, grades, 0)).all()
    rows = data.draw(st.lists(st.integers(0, n_queries - 1), max_size=5))
    assert (to_dense(qrels.take_queries(rows)) == grades[np.array(rows, int)]).all()


def test_queries_by_mask():
    qrels = from_dense(np.array([[1, 0], [2, 0], [0, 3]]))
    assert to_dense(qrels.take_queries([True, False, True])).tolist() == [[1, 0], [0, 3]]


@pytest.mark.parametrize(
    "index, message", [([0, 3], "query 3 at position 1"), ([True], "got bool")]
)
def test_queries_that_cannot_be_taken(index, message):
    with pytest.raises(RetrievalInputError, match=message):
        from_dense(np.array([[1, 0], [2, 0], [0, 3]])).take_queries(index)


def test_it_cannot_be_changed():
    indptr, items, grades = np.array([0, 1]), np.array([2]), np.array([1])
    qrels = Qrels(indptr, items, grades, 3)
    items[0] = 0
    assert qrels.items.tolist() == [2]
    with pytest.raises(ValueError, match="read-only"):
        qrels.items[0] = 1
    with pytest.raises(AttributeError):
        qrels.n_items = 9


def test_short_repr():
    assert (
        repr(from_dense(np.array([[0, 2]])))
        == "Qrels(1 queries x 2 items, 1 judgements, max grade 2)"
    )
    assert from_dense(np.array([[0, 2]])) != 3


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([0, 0], [1, 1]), r"\(query 0, item 1\) again at position 1"),
        (([0, 5], [1, 1]), r"query 5 at position 1 is outside 0\.\.1"),
        (([0], [3]), r"item 3 at position 0 is outside 0\.\.2"),
        (([0], [-1]), r"item -1 at position 0"),
        (([0], [1], [0]), r"grade 0 at position 0 must lie in 1\.\.32767"),
        (([0], [1], [-2]), "grade -2"),
        (([0], [1], [40000]), "grade 40000"),
        (([0], [1], [1.5]), "grades must be a list of whole numbers, got float64"),
        (([0, 1], [1]), "equally long, got 2, 1 and 2"),
        (([[0]], [[1]]), r"query_index must be a list of whole numbers, got int64 \(1, 1\)"),
        (([True], [1]), "got bool"),
    ],
)
def test_pairs_that_cannot_be(arguments, message):
    with pytest.raises(RetrievalInputError, match=message):
        Qrels.from_pairs(*arguments, shape=(2, 3))


@pytest.mark.parametrize(
    "judgements, message",
    [
        ({"a": ["z"]}, "item 'z', judged for query 'a', is not one of 2 item ids"),
        ({"b": ["x"]}, "judged query 'b'"),
        ({"a": ["x", "x"]}, "must be distinct"),
    ],
)
def test_ids_that_cannot_be(judgements, message):
    with pytest.raises(RetrievalInputError, match=message):
        Qrels.from_ids(judgements, ["a"], ["x", "y"])


def test_an_id_listed_twice_has_no_position():
    with pytest.raises(RetrievalInputError, match="item ids must be distinct, got 'x' at 0 and 2"):
        Qrels.from_ids({}, ["a"], ["x", "y", "x"])


@pytest.mark.parametrize("names", [{"x", "y"}, "xy", 3])
def test_ids_without_an_order_are_refused(names):
    with pytest.raises(RetrievalInputError, match="item_ids must be a list of names in order"):
        Qrels.from_ids({}, ["a"], names)


@pytest.mark.parametrize(
    "fields, message",
    [
        (([1, 1], [0], [1], 2), "indptr must ascend from 0 to"),
        (([0, 2], [0], [1], 2), "indptr must ascend from 0 to"),
        (([0, 2, 1], [0], [1], 2), "indptr must ascend"),
        (([], [], [], 2), "indptr must ascend"),
        (([0, 1], [0], [1, 1], 2), "1 items have 2 grades"),
        (([0, 2], [1, 0], [1, 1], 2), "items of query 0 must ascend strictly, found 1 before 0"),
        (([0, 1], [2**32], [1], 2), "item 4294967296"),
    ],
)
def test_rows_that_cannot_be(fields, message):
    with pytest.raises(RetrievalInputError, match=message):
        Qrels(*fields)


@pytest.mark.parametrize(
    "ids, message",
    [
        ([[0, 2], [0, 1]], r"ranked item 2 at position \(0, 1\) is outside -1\.\.1"),
        ([[0, -2], [0, 1]], r"ranked item -2 at position \(0, 1\)"),
        ([[0]], r"shape \(2, k\), got \(1, 1\)"),
        ([[0.0], [1.0]], "float64"),
    ],
)
def test_ranked_items_that_cannot_be(ids, message):
    with pytest.raises(RetrievalInputError, match=message):
        from_dense(np.array([[1, 0], [0, 1]])).grades_of(ids)


def test_row_outside():
    with pytest.raises(RetrievalInputError, match=r"query 2 is outside 0\.\.1"):
        from_dense(np.array([[1, 0], [0, 1]])).row(2)
