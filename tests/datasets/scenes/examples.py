"""Scenes for tests, and their comparison."""

from dataclasses import fields

import numpy as np

from lib.datasets import scenes


def equal(a: scenes.SceneBatch, b: scenes.SceneBatch) -> bool:
    return all(
        np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(scenes.SceneBatch)
    )


def one_scene(**changes) -> scenes.SceneBatch:
    """Two large solid red circles left of a small striped blue square."""
    values = {
        "shape": [[0, 1]], "colour": [[0, 4]], "size": [[1, 0]], "texture": [[0, 1]],
        "count": [[2, 1]], "relation": [0], "motion": [0], "layout": [[0, 0]],
        "jitter": [[[8, 8], [8, 8]]], "background": [0], "wording": [0],
    }  # fmt: skip
    return scenes.SceneBatch(
        **{name: np.array(value) for name, value in (values | changes).items()}
    )
