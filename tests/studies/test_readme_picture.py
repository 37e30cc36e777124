import numpy as np
import pytest

from lib.datasets.tunes import hum_task
from lib.search import picture_retriever
from lib.search.melody import HumSearch
from lib.studies import readme_picture


@pytest.mark.slow
def test_each_search_ends_with_its_hits_on_the_page():
    retriever = picture_retriever()
    typed = list(readme_picture.typed(retriever, "sad"))
    assert [shown for _, shown in typed] == [readme_picture.FRAME_MS] * 2 + [readme_picture.HOLD_MS]
    empty, whole = (np.asarray(typed[at][0].crop((310, 100, 800, 400))) for at in (0, 2))
    assert empty.min() == 255 and whole.min() < 100
    drawn = list(readme_picture.drawn(retriever))
    assert drawn[-1][1] == readme_picture.HOLD_MS and len(drawn) == 3 * len(
        readme_picture.recorded("cat").drawing.strokes
    )


def test_the_hum_finds_its_tune(monkeypatch):
    """Among forty tunes: to make the windows of all takes a minute."""
    task = hum_task("test", "medium", n_queries=1, seed=readme_picture.SEED)
    right = int(task.qrels.row(0)[0][-1])
    few = [*task.gallery[:40], task.gallery[right]]
    monkeypatch.setattr(readme_picture, "open_hum_search", lambda: HumSearch(few))
    readme_picture.searched_hum.cache_clear()
    hum, hits = readme_picture.searched_hum()
    assert task.queries[0].pitches.tolist() == hum.pitches.tolist()
    assert len(hits) == readme_picture.TUNES and hits[0].label == task.gallery[right].title
    readme_picture.searched_hum.cache_clear()
