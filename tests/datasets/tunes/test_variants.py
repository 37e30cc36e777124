"""Shares of melody, grades and families, by hand and against sets."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.tunes import RELATED, SAME, VARIANT, Melody, variants
from lib.datasets.tunes.variants import families, judge, shared_pieces, title_key


def melody(intervals, title=""):
    pitches = 60 + np.concatenate([[0], np.cumsum(intervals)]).astype(int)
    onsets = np.arange(len(pitches))
    return Melody(onsets, np.ones(len(pitches)), pitches, title=title)


A = melody([1, 2, 3, 1, 2, 3])
TRANSPOSED = Melody(A.onsets * 2, A.durations, A.pitches + 5)
QUOTES = melody([-1, 1, 2, 3, -4])
OTHER = melody([5, -5, 5, -5])
SHORT = melody([1])


def test_shares_by_hand():
    # Pieces of two intervals. A: 12 23 31. QUOTES: -11 12 23 3-4. OTHER: 5-5 -55.
    shares = shared_pieces([A, TRANSPOSED, QUOTES, OTHER, SHORT], piece=2).toarray()
    assert shares == pytest.approx(
        np.array(
            [
                [1, 1, 2 / 3, 0, 0],
                [1, 1, 2 / 3, 0, 0],
                [2 / 3, 2 / 3, 1, 0, 0],
                [0, 0, 0, 1, 0],
                [0, 0, 0, 0, 1],
            ]
        )
    )


def test_pieces_that_end_in_repeated_notes_differ():
    # As byte strings these end in zero bytes, which numpy does not show.
    shares = shared_pieces([melody([3, 0, 0]), melody([3, 0, 1]), melody([3, 0, 0, 0])], piece=3)
    assert (shares.toarray() > 0).tolist() == [
        [True, False, True],
        [False, True, False],
        [True, False, True],
    ]


def test_shares_are_those_of_sets():
    draw = np.random.default_rng(0)
    tunes = [melody(draw.integers(-2, 3, draw.integers(5, 30)).clip(-2, 2)) for _ in range(25)]
    pieces = []
    for tune in tunes:
        steps = tune.intervals.tolist()
        pieces.append({tuple(steps[at : at + 3]) for at in range(len(steps) - 2)})
    expected = [[len(a & b) / min(len(a), len(b)) for b in pieces] for a in pieces]
    assert shared_pieces(tunes, piece=3).toarray() == pytest.approx(np.array(expected))


def test_no_tunes_and_wrong_piece():
    assert shared_pieces([SHORT], piece=5).toarray().tolist() == [[1]]
    with pytest.raises(RetrievalInputError, match="piece must be at least 1"):
        shared_pieces([A], piece=0)


def test_grades(monkeypatch):
    shares = variants.coo_array(
        np.array([[1, 0.5, 0.2, 0.1], [0.5, 1, 0, 0.09], [0.2, 0, 1, 0], [0.1, 0.09, 0, 1]])
    ).tocsr()
    qrels = judge(shares, np.array([0, 3, 0]), np.arange(4))
    assert qrels.grades_of(np.tile(np.arange(4), (3, 1))).tolist() == [
        [SAME, SAME, VARIANT, RELATED],
        [RELATED, 0, 0, SAME],
        [SAME, SAME, VARIANT, RELATED],
    ]
    part = judge(shares, np.array([0]), np.array([2, 0]))
    assert part.grades_of(np.array([[0, 1]])).tolist() == [[VARIANT, SAME]]


def test_titles():
    assert (
        title_key("Miss Baker's Hornpipe.") == title_key("MISS BAKERS -- HORNPIPE") == "missbakers"
    )
    assert title_key("Flannel Jacket, The") == title_key("The Flannel Jacket (reel)")
    assert title_key("Quick Step. 25th Regt.") == ""
    assert title_key("Anthem") != ""


def test_families_chain_melody_and_title():
    tunes = [
        melody([1, 2, 3, 1, 2, 3] * 3),
        melody([1, 2, 3, 1, 2, 3] * 3, "Kitty's Wedding"),
        melody([5, -5] * 9, "Kittys Wedding -- Reel"),
        melody([4, -4, 3] * 6, "Jig"),
        melody([-2, 7, 1] * 6, "Jig"),
    ]
    assert families(tunes, shared_pieces(tunes)).tolist() == [0, 0, 0, 1, 2]
