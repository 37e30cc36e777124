"""ActivityNet Captions: the paragraph as published, videos that are gone, ids and their files."""

import json

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import activitynet
from lib.datasets.completeness import MINIATURE
from lib.datasets.miniatures.clips import MISSING_VIDEO
from lib.datasets.registry import CORPORA


@pytest.fixture
def bare(tmp_path):
    """Annotations, and videos of one byte under the names that the miniature gives them."""
    root = tmp_path / "mini"
    CORPORA["activitynet"].write_miniature(root, media=False)
    (root / "videos").mkdir()
    ids = [
        one
        for name in ("val", "train")
        for one in json.loads((root / f"captions/{name}_ids.json").read_text())
    ]
    for at, video in enumerate(ids):
        if at != MISSING_VIDEO:
            (root / "videos" / f"{video if at % 4 == 0 else video[2:]}.mp4").write_bytes(b"x")
    return root


def edit(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_the_whole_miniature_is_read(tmp_path):
    pytest.importorskip("av")
    CORPORA["activitynet"].write_miniature(tmp_path / "mini")
    corpus = activitynet.load_activitynet(tmp_path / "mini", n_frames=3, allow_partial=True)
    assert [clip.shape for clip in corpus.media] == [(3, 128, 128, 3)] * 11


def test_the_paragraph_is_joined_as_published_or_tidied(bare):
    sentences = json.loads((bare / "captions/val_1.json").read_text())["v_scene000000"]["sentences"]
    assert sentences[1].startswith(" ") and sentences[1].endswith(" ")  # the trap
    published = activitynet.load_activitynet(bare, allow_partial=True)
    assert published.texts[0] == sentences[0] + " " + sentences[1] and ".  " in published.texts[0]
    assert published.captions == "paragraph, as published"
    tidy = activitynet.load_activitynet(bare, paragraph="tidy", allow_partial=True)
    assert (
        tidy.texts[0] == f"{sentences[0]} {sentences[1].strip()}"
        and tidy.checksum() != published.checksum()
    )


def test_a_missing_video_is_the_normal_case_and_never_silent(bare):
    with pytest.raises(
        RetrievalInputError, match="found 11 of 12 videos; first missing: videos/scene000011.mp4"
    ):
        activitynet.load_activitynet(bare)
    corpus = activitynet.load_activitynet(bare, allow_partial=True)
    assert len(corpus.item_ids) == len(corpus.texts) == 11
    assert corpus.missing == ("videos/scene000011.mp4",)
    assert "found 11 of 12 videos" in corpus.describe()


def test_files_are_found_with_and_without_the_prefix(bare):
    names = activitynet.load_activitynet(bare, allow_partial=True).media.names
    assert names[0] == "videos/v_scene000000.mp4" and names[1] == "videos/-cene000001.mp4"
    (bare / "videos/-cene000001.mp4").rename(bare / "videos/-cene000001.webm")
    assert (
        activitynet.load_activitynet(bare, allow_partial=True).media.names[1]
        == "videos/-cene000001.webm"
    )


def test_val_2_lacks_a_video_and_is_told_by_others(bare):
    one, two = (
        activitynet.load_activitynet(bare, split, allow_partial=True)
        for split in ("val_1", "val_2")
    )
    assert set(one.item_ids) - set(two.item_ids) == {"v_scene000010"}
    assert not set(one.texts) & set(two.texts)
    assert activitynet.load_activitynet(bare, "train").item_ids == (
        "v_scene000012",
        "v_scene000013",
    )


def test_wrong_counts_are_refused(bare):
    (bare / MINIATURE).unlink()
    with pytest.raises(
        RetrievalInputError, match="found 12 of 4,917 videos; found 12 of 4,917 captions"
    ):
        activitynet.load_activitynet(bare)
    edit(bare / "captions/val_ids.json", lambda ids: ids.remove("v_scene000003"))
    with pytest.raises(
        RetrievalInputError, match="does not list 1 videos, the first is 'v_scene000003'"
    ):
        activitynet.load_activitynet(bare)


@pytest.mark.parametrize("sentences", [[], ["fine", None], "one text"])
def test_an_entry_without_sentences_is_named(bare, sentences):
    edit(
        bare / "captions/val_1.json", lambda data: data["v_scene000002"].update(sentences=sentences)
    )
    with pytest.raises(RetrievalInputError, match="video 'v_scene000002'.*sentences.? must be"):
        activitynet.load_activitynet(bare)


def test_an_id_cannot_lead_out_of_the_root(bare):
    (bare / "captions/val_ids.json").unlink()
    edit(
        bare / "captions/val_1.json",
        lambda data: data.update({"v_../../x": data.pop("v_scene000002")}),
    )
    with pytest.raises(RetrievalInputError, match="must be a relative path inside"):
        activitynet.load_activitynet(bare)


def test_damaged_and_missing_files_say_so(bare, tmp_path):
    with pytest.raises(
        MissingFileError, match="does not have val_1.json.*crossmodal data download activitynet"
    ):
        activitynet.load_activitynet(tmp_path)
    path = bare / "captions/val_1.json"
    path.write_text(path.read_text()[:-5])
    with pytest.raises(DamagedFileError, match="val_1.json is not a JSON file"):
        activitynet.load_activitynet(bare)
    path.write_text("[]")
    with pytest.raises(RetrievalInputError, match="must be an object of videos, got list"):
        activitynet.load_activitynet(bare)
    with pytest.raises(RetrievalInputError, match="split must be one of 'val_1'"):
        activitynet.load_activitynet(bare, "val")
