"""Every exhibit tells wrong from right on its own case, by values worked by hand."""

import inspect

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.course import error_gallery, wrong_code
from lib.course.error_gallery import EXHIBITS, FAMILIES, ROUNDS

LOG3 = np.log2(3)
# name: (wrong, right), None where the library refuses.
BY_HAND = {
    "hit rate called recall": (1, 1 / 5),
    "k above the gallery": (1, None),
    "precision over the list's length": (1 / 2, 1 / 10),
    "an item counted twice": (1, None),
    "AP from sets": (1, 1 / 3),
    "AP over the hits": ((1 + 2 / 3) / 2, (1 + 2 / 3) / 5),
    "AP over k": (1 / 10, 1),
    "argmax of nothing": (1, 0),
    "missing answers dropped": (1, (1 + 0) / 2),
    "ranks from 0, cut-off from 1": (1, 0),
    "the lower middle as median": (2, 3),
    "ideal over the list": (1, 1 / (1 + 1 / LOG3 + 1 / 2)),
    # grades 1, 2, 0, 3 at ranks 1 to 4
    "linear gain, exponential name": (
        (1 + 2 / LOG3 + 3 / np.log2(5)) / (3 + 2 / LOG3 + 1 / 2),
        (1 + 3 / LOG3 + 7 / np.log2(5)) / (7 + 3 / LOG3 + 1 / 2),
    ),
    "gain 2^(g-1), or 2^g": ((0.5 + 0.5 / LOG3) / (1 + 0.5 / LOG3), 0),
    "discount from rank 0": (np.nan, 1),
    "ties are wins": (1, 1 / 4),
    "ties grow the denominator": (3 / 6, (1 / 2 + 1 + 1 / 3) / 3),
    "NaN is a hit": (1, None),
    "negative is irrelevant": (0, (1 + 2 / 3) / 2),
    "columns for rows": (1, 1 / 3),
    "the diagonal, shuffled": (0, 1),
    "five captions each": (2 / 3, 1),
    "p without the +1": (0, 1 / 100),
}


def test_every_exhibit_has_a_value_worked_by_hand():
    assert set(BY_HAND) == set(EXHIBITS)


@pytest.mark.parametrize("name", EXHIBITS)
def test_wrong_and_right(name):
    wrong, right = EXHIBITS[name].outcome()
    expected_wrong, expected_right = BY_HAND[name]
    assert wrong == pytest.approx(expected_wrong, abs=1e-12, nan_ok=True)
    assert right == (None if expected_right is None else pytest.approx(expected_right, abs=1e-12))


def test_refusals_name_what_is_refused():
    assert "got 10" in EXHIBITS["k above the gallery"].refusal
    assert "id 0 is twice" in EXHIBITS["an item counted twice"].refusal
    assert "scores has the value nan in row 0, column 0" in EXHIBITS["NaN is a hit"].refusal
    assert EXHIBITS["AP over k"].refusal is None


# Inputs on which the wrong form is right: why nobody noticed.
HARMLESS = {
    "hit rate called recall": ([0, 7], [0], 1),
    "k above the gallery": ([1, 0, 2], [0], 2),
    "precision over the list's length": ([0, 5], [0], 2),
    "an item counted twice": ([0, 4, 1], [0, 1, 2], 3),
    "AP from sets": ([0, 1], [0, 1], 2),
    "AP over the hits": ([5, 0, 1], [0, 1], 3),
    "AP over k": ([5, 0, 1], [0, 1, 2], 3),
    "argmax of nothing": ([5, 0], [0]),
    "missing answers dropped": ([[0, 5], [5, 1]], [0, 1]),
    "ranks from 0, cut-off from 1": ([0, 5], [0], 1),
    "the lower middle as median": ([1, 2, 4],),
    "ideal over the list": ([3, 0, 1], {0: 1, 1: 2}, 3),
    "linear gain, exponential name": ([3, 0, 1], {0: 1, 1: 1}, 3),
    "ties are wins": (np.eye(3),),
    "ties grow the denominator": (3 * np.eye(3) + np.arange(3),),
    "NaN is a hit": (np.eye(3),),
    "negative is irrelevant": ([0.4, 0.3, 0.2], [0, 2]),
    "columns for rows": (np.eye(3),),
    "the diagonal, shuffled": (np.eye(3), [4, 5, 6], [4, 5, 6]),
    "five captions each": (np.kron(np.eye(3), np.ones(5)), np.repeat([0, 1, 2], 5)),
    "p without the +1": ([0.0, 0.0], 9),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_agrees_with_the_library_where_the_error_does_not_show(name):
    exhibit = EXHIBITS[name]
    assert exhibit.wrong(*HARMLESS[name]) == pytest.approx(
        exhibit.right(*HARMLESS[name]), abs=1e-12
    )


def test_error_rows_of_a_family_and_of_all():
    every = error_gallery.error_rows()
    assert [row["error"] for row in every] == list(EXHIBITS)
    assert sum(len(error_gallery.error_rows(family)) for family in FAMILIES) == len(every)
    assert list(every[0]) == ["error", "input", "wrong", "right", "what gives it away"]
    assert every[0]["input"] == "ranked [2, 7, 8], relevant [0, 1, 2, 3, 4], k 1"
    refused = next(row for row in every if row["error"] == "NaN is a hit")
    assert refused["right"] is None and refused["what gives it away"].endswith(
        "(the library refuses)"
    )


@pytest.mark.parametrize("game", ROUNDS, ids=lambda game: game.culprit)
def test_a_round_has_one_suspect_that_prints_the_number(game):
    culprit = EXHIBITS[game.culprit]
    assert (game.printed, game.right) == culprit.outcome() and game.input == culprit.input
    rows = game.rows()
    guilty = [row["suspect"] for row in rows if row["prints"] == pytest.approx(game.printed)]
    assert guilty == [culprit.deed]
    assert list(game.suspects) == sorted(row["suspect"] for row in rows)
    assert len(rows) == 1 + len(game.others) and game.printed != pytest.approx(game.right)


def test_a_suspect_is_described_by_what_it_does():
    assert EXHIBITS["AP over k"].deed == "Divide by k, even if fewer items are relevant"


def test_inputs_are_written_in_one_line():
    inputs = {row["error"]: row["input"] for row in error_gallery.error_rows()}
    assert inputs["NaN is a hit"] == "scores [nan, nan; 0.2, 0.9]"
    assert inputs["p without the +1"] == "differences [1 x20], n_resamples 99"
    assert inputs["missing answers dropped"] == "ranked [[0, 5], [5, 6]], relevant [0, 1]"
    assert max(map(len, inputs.values())) < 120


def test_an_unknown_family_is_refused():
    with pytest.raises(RetrievalInputError, match="family.*rank"):
        error_gallery.error_rows("rank")


def test_every_wrong_function_says_where_it_is_seen():
    functions = [
        f for name, f in inspect.getmembers(wrong_code, inspect.isfunction) if name[0] != "_"
    ]
    for function in functions:
        assert "Seen in:" in function.__doc__, function.__name__
    shown = {exhibit.wrong for exhibit in EXHIBITS.values()} | set(wrong_code.R1_WAYS.values())
    assert shown == set(functions)


# Row 0 is a clean hit, row 1 ties with a wrong item on file later, row 2 with one on file earlier.
THREE = np.array([[3.0, 1.0, 2.0], [0.0, 3.0, 3.0], [3.0, 0.0, 3.0]])


@pytest.mark.parametrize(
    ("way", "tied", "broken"),
    [
        ("count >", 3 / 3, 1),
        ("count >=", 1 / 3, 1),
        ("argsort, reversed", 2 / 3, 1 / 3),
        ("argsort of the negated", 2 / 3, 2 / 3),
        ("sorted == diagonal", 3 / 5, 1),
    ],
)
def test_ways_to_r1(way, tied, broken):
    r1 = wrong_code.R1_WAYS[way]
    assert r1(THREE) == pytest.approx(tied)
    # Rows 0 and 1 are NaN, row 2 is a clean hit.
    assert r1(np.array([[np.nan] * 3, [np.nan] * 3, [0.0, 1.0, 3.0]])) == pytest.approx(broken)


def test_all_ways_agree_where_nothing_is_tied():
    scores = np.random.default_rng(0).normal(size=(40, 40)) + 2 * np.eye(40)
    assert len({r1(scores) for r1 in wrong_code.R1_WAYS.values()}) == 1
