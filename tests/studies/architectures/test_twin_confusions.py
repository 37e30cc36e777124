"""Which twin comes first: by hand on scores, and by every architecture on its own four images."""

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.datasets import scenes
from lib.models.trained_models import load_model
from lib.search import encode_task
from lib.studies.architectures import twin_confusions
from lib.training.recipes import INTERACTION_RECIPES

SCORES = np.array([[3.0, 1, 1, 1], [2, 2, 0, 0], [0, 1, 2, 5]])


def test_twins_that_tie_share_the_first_place():
    assert twin_confusions.shares(SCORES).tolist() == [[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0, 1]]
    rows = twin_confusions.choices(SCORES, np.arange(3))
    assert [row["exchanged"] for row in rows] == list(scenes.TWINS)
    assert [row["value"] for row in rows] == pytest.approx([50, 50 / 3, 0, 100 / 3])
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)


def test_kinds_are_judged_apart():
    kinds = np.repeat(np.arange(5), 3)
    scores = {"a": np.tile(SCORES, (5, 1)), "b": np.tile([[1.0, 0, 0, 0]], (15, 1))}
    rows = twin_confusions.by_kind(scores, kinds, np.arange(15))
    assert [row["kind"] for row in rows] == list(scenes.KINDS)
    assert (
        rows[2]["n_captions"] == 3
        and rows[2]["a"][0] == pytest.approx(50)
        and rows[2]["b"][0] == 100
    )
    assert 0 < rows[0]["p"] <= 1


@pytest.fixture(scope="module")
def task():
    return scenes.hard_task("validation", n_scenes=6).take_queries([0, 7, 29])


@pytest.mark.parametrize("name", ["scenes", "scenes_late", "fresh cross-encoder"])
def test_scores_are_those_of_the_own_twins(task, name):
    torch.manual_seed(0)
    model = INTERACTION_RECIPES["scenes_cross"].start()[0] if "fresh" in name else load_model(name)
    found = twin_confusions.twin_scores(model, task)
    assert found.shape == (3, 4)
    at = [int(task.query_groups[1]) + 6 * 2]  # caption 7 is of scene 1; its colours exchanged
    if name == "scenes":
        text, image = (side.astype(float) for side in encode_task(model, task))
        assert found[1, 2] == pytest.approx(text[1] @ image[at[0]] / np.linalg.norm(image[at[0]]))
    elif "fresh" in name:
        alone = model.score(model.read_text([task.queries[1]]), model.read_image(task.gallery[at]))
        assert found[1, 2] == pytest.approx(alone[0], abs=1e-4)
    else:
        assert np.array_equal(found, np.rint(found))  # int8 tokens: whole numbers


def test_pictures_say_who_put_them_first(task):
    scores = {"a": np.array([[0.0, 1, 0, 0]] * 3), "b": np.array([[0.0, 2, 2, 0]] * 3)}
    images, names = twin_confusions.pictures(task, scores, 1)
    assert names == ["", "a, b", "b", ""]
    assert np.array_equal(images[3], task.gallery[int(task.query_groups[1]) + 6 * 3])


def test_refuses_a_gallery_without_twins():
    with pytest.raises(
        RetrievalInputError, match="does not hold 4 images a scene; use scenes.hard_task"
    ):
        twin_confusions.twin_scores(None, scenes.task("validation", n_images=6))
