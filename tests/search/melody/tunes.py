"""Small tunes for the tests of melody matchers."""

import numpy as np

from lib.datasets.tunes import Melody, SungNotes


def melody(pitches, steps=None, title=""):
    steps = np.ones(len(pitches)) if steps is None else np.asarray(steps, dtype=float)
    return Melody(np.concatenate([[0], np.cumsum(steps[:-1])]), steps, pitches, title=title)


def sung(pitches, steps=None):
    steps = np.full(len(pitches), 0.3) if steps is None else np.asarray(steps, dtype=float)
    return SungNotes(np.concatenate([[0], np.cumsum(steps[:-1])]), steps, pitches)


def random_tunes(n, seed=0, shortest=8, longest=40):
    draw = np.random.default_rng(seed)
    tunes = []
    for number in range(n):
        size = int(draw.integers(shortest, longest + 1))
        pitches = 60 + np.cumsum(draw.choice([-4, -2, -1, 0, 1, 2, 4], size)).clip(-20, 20)
        tunes.append(melody(pitches, draw.choice([0.5, 1, 2], size), f"tune {number}"))
    return tunes
