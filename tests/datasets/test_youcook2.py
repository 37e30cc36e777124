"""YouCook2: steps of whole films from two files, their times, and films in folders of recipes."""

import json

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.datasets import youcook2
from lib.datasets.completeness import MINIATURE
from lib.datasets.miniatures.films import ELSEWHERE
from lib.datasets.registry import CORPORA
from tests.datasets.film_miniatures import write_with_clips


@pytest.fixture
def bare(tmp_path):
    """Annotations alone."""
    CORPORA["youcook2"].write_miniature(tmp_path / "mini", media=False)
    return tmp_path / "mini"


def load(root, split="val_3350", **options):
    return youcook2.load_youcook2(root, split, need_media=False, **options)


def edit(root, change):
    path = root / youcook2.OFFICIAL
    data = json.loads(path.read_text())
    change(data["database"])
    path.write_text(json.dumps(data))


def test_published_sizes():
    sizes = {split: counts.get("captions") for split, counts in youcook2.PUBLISHED.items()}
    assert sizes == {"val_3350": 3_350, "val": 3_492, "train": None}


def test_a_step_is_a_clip_with_its_times(bare):
    corpus = load(bare)
    rows = (bare / youcook2.CSV).read_text().splitlines()
    assert rows[0] == "end,start,task,text,video_id" and len(rows) == 13
    end, start, _, text, film = rows[2].split(",")
    assert corpus.item_ids[:2] == (f"{film}#0", f"{film}#1") == corpus.text_ids[:2]
    assert corpus.texts[1] == text and text.startswith(" ")  # as the file has it
    assert corpus.media.segments[1] == (float(start), float(end)) == (2.0, 4.0)
    assert corpus.media.names[0] == corpus.media.names[1] == f"videos/{film}.mp4"


def test_the_release_has_the_films_that_the_list_leaves_out(bare):
    listed, whole = load(bare), load(bare, "val")
    missing = [id_ for id_ in whole.item_ids if id_ not in listed.item_ids]
    assert missing == [f"scene_{ELSEWHERE:05}#0", f"scene_{ELSEWHERE:05}#1"]
    text_of = dict(zip(whole.item_ids, whole.texts))
    assert [text_of[id_] for id_ in listed.item_ids] == list(listed.texts)
    train = load(bare, "train")
    assert len(train.item_ids) == 2 and not train.counts
    assert not set(train.item_ids) & set(whole.item_ids)


def test_the_seconds_of_the_step_are_read(tmp_path):
    pytest.importorskip("av")
    root = write_with_clips("youcook2", tmp_path / "mini", [0, 7])
    corpus = youcook2.load_youcook2(root, n_frames=2, allow_partial=True)
    assert corpus.media.names == ("validation/101/scene_00000.mp4",) * 2
    first, second = corpus.media
    assert first.shape == (2, 128, 128, 3)
    # Two frames of a step are alike; the steps are two scenes.
    inside = [np.abs(np.diff(step.astype(int), axis=0)).mean() for step in (first, second)]
    assert np.abs(first[0].astype(int) - second[0]).mean() > 1.2 * max(inside)
    train = youcook2.load_youcook2(root, "train")
    assert train.media.names[0] == "videos/scene_00007.mp4" and not train.missing


@pytest.mark.parametrize(
    "row, message",
    [
        ("4,2,101,fry it", "line 14: expected 5 columns"),
        ("four,2,101,fry it,s", "line 14: start and end must be whole seconds"),
        ("4,-2,101,fry it,s", "line 14: start and end must be whole seconds"),
        ("2,4,101,fry it,s", "line 14: a step must have a film, and end after its start"),
        ("4,2,101,fry it,", "line 14: a step must have a film"),
    ],
)
def test_a_row_that_is_none_is_named_by_its_line(bare, row, message):
    with open(bare / youcook2.CSV, "a") as stream:
        stream.write(row + "\n")
    with pytest.raises(RetrievalInputError, match=message):
        load(bare)


@pytest.mark.parametrize(
    "step, message",
    [
        ({"segment": [0], "sentence": "a"}, "step 0: segment must be two times"),
        ({"segment": ["0", "1"], "sentence": "a"}, "step 0: segment must be two times"),
        ({"segment": [0, 10**400], "sentence": "a"}, "step 0: segment must be two times"),
        ({"segment": [3, 1], "sentence": "a"}, "step 0: a step must have a film"),
        ({"segment": [0, float("inf")], "sentence": "a"}, "step 0: a step must have a film"),
        ({"segment": [0, 1]}, "step 0: 'sentence' must be str"),
        (None, "step 0: 'segment' must be list"),
    ],
)
def test_a_step_that_is_none_is_named(bare, step, message):
    edit(bare, lambda films: films["scene_00001"].update(annotations=[step]))
    with pytest.raises(RetrievalInputError, match=f"film 'scene_00001', {message}"):
        load(bare, "val")


def test_wrong_files_say_so(bare, tmp_path):
    with pytest.raises(MissingFileError, match="validation_youcook.csv.*data download youcook2"):
        load(tmp_path)
    edit(bare, lambda films: films["scene_00001"].pop("subset"))
    with pytest.raises(RetrievalInputError, match="film 'scene_00001': 'subset' must be str"):
        load(bare, "val")
    (bare / MINIATURE).unlink()
    with pytest.raises(RetrievalInputError, match="found 12 of 3,350 videos"):
        load(bare)


@pytest.mark.parametrize(
    "film, recipe", [("../../x", "101"), ("/etc/passwd", "101"), ("x", "../..")]
)
def test_names_cannot_lead_out_of_the_root(bare, film, recipe):
    with open(bare / youcook2.CSV, "a") as stream:
        stream.write(f"4,2,{recipe},fry it,{film}\n")
    with pytest.raises(RetrievalInputError, match="must be a relative path inside|found 0 of 12"):
        youcook2.load_youcook2(bare, allow_partial=True)
