"""Pipelines: a box for each step, arrows between them, and the way back."""

import pytest
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from lib import plots
from lib.core.checks import RetrievalInputError

STEPS = {"folder": "files", "decode": "upright, on white", "encode": "a vector each"}


def parts(figure, kind):
    return [patch for patch in figure.axes[0].patches if isinstance(patch, kind)]


def test_every_step_has_a_box_and_an_arrow_to_the_next(check_lettering):
    figure = plots.pipeline(STEPS, roles=["image", "plain", "score"])
    assert len(parts(figure, FancyBboxPatch)) == 3 and len(parts(figure, FancyArrowPatch)) == 2
    assert "3 steps: folder (files), then decode" in plots.description(figure)
    check_lettering(figure)


def test_the_way_back_is_an_arrow_with_its_text(check_lettering):
    figure = plots.pipeline(STEPS, again="only what is new")
    assert len(parts(figure, FancyArrowPatch)) == 3
    assert "back to the start: only what is new." in plots.description(figure)
    check_lettering(figure)


def test_six_steps_with_long_notes_can_be_read(check_lettering):
    note = "with limits on the size of a picture"
    check_lettering(plots.pipeline({f"manifest {i}": note for i in range(6)}, again=note))


@pytest.mark.parametrize(
    ("steps", "roles", "message"),
    [
        ({"one": ""}, None, "2 to 6, got 1"),
        ({str(i): "" for i in range(7)}, None, "2 to 6, got 7"),
        (STEPS, ["plain"], "one for each of 3 steps"),
        (STEPS, ["plain", "plain", "red"], "red"),
    ],
)
def test_bad_input(steps, roles, message):
    with pytest.raises(RetrievalInputError, match=message):
        plots.pipeline(steps, roles=roles)
