"""Hums of clips: which clips are relevant, and the seconds that are hummed."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.tunes_videos import clip_score, hum_task


@pytest.fixture(scope="module")
def hums():
    return hum_task("test", "exact", n_queries=40)


def test_every_clip_of_the_tune_is_relevant(hums):
    tunes = np.array([one.tune for one in hums.task.gallery])
    for query, clip in enumerate(hums.clips):
        items, grades = hums.task.qrels.row(query)
        assert set(np.flatnonzero(tunes == tunes[clip])) <= set(items[grades == 3])
        assert hums.task.gallery[clip].split == "test"
    assert len(set(hums.clips.tolist())) == 40


def test_what_is_hummed_is_heard_in_the_clip_at_its_moments(hums):
    for query, clip in enumerate(hums.clips.tolist()):
        melody, excerpt = clip_score(hums.task.gallery[clip]).melody, hums.excerpts[query]
        moments = hums.moments(query, clip)
        assert moments.size
        for moment in moments:
            first = int(np.argmin(np.abs(melody.onsets - moment)))
            played = melody.pitches[first : first + len(excerpt)]
            assert np.array_equal(np.diff(played), excerpt.intervals)


def test_a_clip_of_another_tune_has_no_moment(hums):
    other = next(at for at in hums.clips if at != hums.clips[0])
    assert not hums.moments(0, other).size


def test_two_levels_hum_the_same_notes(hums):
    medium = hum_task("test", "medium", n_queries=5)
    assert medium.clips.tolist() == hums.clips[:5].tolist()
    assert medium.excerpts[0].pitches.tolist() == hums.excerpts[0].pitches.tolist()


def test_bad_arguments_are_refused():
    with pytest.raises(RetrievalInputError, match="level must be one of"):
        hum_task("test", "loud")
    with pytest.raises(RetrievalInputError, match="n_queries must be at most 1,?200"):
        hum_task("validation", n_queries=2000)
