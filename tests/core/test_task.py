import dataclasses

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask


def make(**changes):
    fields = {
        "name": "toy",
        "split": "test",
        "direction": "text_to_image",
        "queries": ["a red square", "a blue disc"],
        "gallery": np.zeros((3, 8, 8, 3), np.uint8),
        "qrels": Qrels.from_pairs([0, 1, 1], [2, 0, 1], [3, 1, 2], shape=(2, 3)),
    }
    return RetrievalTask(**{**fields, **changes})


def test_a_direction_is_named_by_what_one_searches_with():
    task = make()
    assert (task.query_modality, task.gallery_modality) == ("text", "image")


def test_one_line_says_what_it_is():
    assert (
        make(hit_grade=2).describe()
        == "toy, test split, text to image: 2 queries, 3 items, 3 judgements (grades 1 to 3, hit"
        " from 2)"
    )


def test_the_other_direction_has_the_same_judgements():
    task = make(query_groups=np.array([4, 5]))
    other = task.turned(np.array([1, 1, 2]))
    assert other.direction == "image_to_text" and other.queries is task.gallery
    assert other.qrels == task.qrels.T
    assert other.query_groups.tolist() == [1, 1, 2] and task.turned().query_groups is None
    assert other.turned(task.query_groups).describe() == task.describe()


def test_it_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().split = "train"


@pytest.mark.parametrize("direction", ["text", "text2image", "text_to_image_to_text", ""])
def test_a_direction_has_two_ends(direction):
    with pytest.raises(RetrievalInputError, match=f"such as 'text_to_image'.*got '{direction}'"):
        make(direction=direction)


def test_sizes_must_agree():
    with pytest.raises(
        RetrievalInputError, match=r"qrels must have shape \(1, 3\) .* got \(2, 3\)"
    ):
        make(queries=["a red square"])
    with pytest.raises(RetrievalInputError, match=r"\(2, 4\) .* got \(2, 3\)"):
        make(gallery=np.zeros((4, 8, 8, 3), np.uint8))


def test_every_query_has_a_group():
    assert make(query_groups=np.array([0, 0])).query_groups.tolist() == [0, 0]
    with pytest.raises(RetrievalInputError, match="query_groups must have 2 entries, got 3"):
        make(query_groups=np.arange(3))


def test_a_task_of_some_queries():
    whole = make(query_groups=np.array([4, 7]))
    for index in ([1], np.array([False, True])):
        part = whole.take_queries(index)
        assert part.queries == ["a blue disc"] and part.query_groups.tolist() == [7]
        assert part.qrels == whole.qrels.take_queries([1]) and part.gallery is whole.gallery
    images = make(queries=np.arange(2), query_groups=None).take_queries([1, 0])
    assert images.queries.tolist() == [1, 0] and images.query_groups is None
    with pytest.raises(RetrievalInputError, match="2"):
        whole.take_queries([2])


def test_queries_that_are_files_are_taken_without_being_opened():
    class Files(list):
        def __getitem__(self, position):
            raise AssertionError("decoded")

        def take(self, positions):
            return [f"file {position}" for position in positions]

    task = RetrievalTask(
        "toy", "test", "image_to_text", Files("abc"), ["x"] * 3, Qrels.from_owner(np.arange(3), 3)
    )
    assert task.take_queries([2, 0]).queries == ["file 2", "file 0"]
