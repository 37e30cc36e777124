"""DiDeMo: paragraphs in the order of the file, the list of 1,004, and the first 30 seconds."""

import json

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.datasets import activitynet, didemo
from lib.datasets.completeness import MINIATURE
from lib.datasets.miniatures.films import LATE_SENTENCE, UNLISTED
from lib.datasets.paragraphs import join_sentences
from lib.datasets.registry import CORPORA
from tests.datasets.film_miniatures import write_with_clips


@pytest.fixture
def bare(tmp_path):
    """Annotations alone."""
    CORPORA["didemo"].write_miniature(tmp_path / "mini", media=False)
    return tmp_path / "mini"


def load(root, split="test", **options):
    return didemo.load_didemo(root, split, need_media=False, **options)


def edit(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_published_sizes():
    # collaborative-experts' README; test_data.json as counted in the release.
    sizes = {split: counts["videos"] for split, counts in didemo.PUBLISHED.items()}
    assert sizes == {"test": 1_004, "test_release": 1_037, "val": 1_065, "train": 8_392}
    for split in ("test", "test_release"):
        assert didemo.PUBLISHED[split]["sentences of the file"] == 4_021


def test_the_sentences_of_a_film_are_joined_in_the_order_of_the_file(bare):
    corpus = load(bare)
    data = json.loads((bare / "test_data.json").read_text())
    # The rule of CLIP4Clip, written out: group by film in order, then one space between.
    grouped = {}
    for entry in data:
        grouped.setdefault(entry["video"], []).append(entry["description"])
    listed = (bare / "test_list.txt").read_text().split()
    expected = {video: " ".join(texts) for video, texts in grouped.items() if video in listed}
    assert dict(zip(corpus.item_ids, corpus.texts)) == expected
    assert corpus.item_ids == tuple(expected) == corpus.text_ids != tuple(listed)
    assert corpus.captions == "paragraph, as published"
    late = list(grouped)[LATE_SENTENCE]
    assert data[-1]["video"] == late and expected[late].endswith(data[-1]["description"])


def test_the_list_leaves_out_a_film_that_the_release_has(bare):
    whole, listed = load(bare, "test_release"), load(bare)
    assert len(whole.item_ids) == 10 and len(listed.item_ids) == 9
    assert set(whole.item_ids) - set(listed.item_ids) == {whole.item_ids[UNLISTED]}
    assert len(load(bare, "val").texts) == len(load(bare, "train").texts) == 2


def test_tidy_drops_spaces_around_sentences(bare):
    edit(bare / "test_data.json", lambda data: data[0].update(description=" a dog  runs "))
    first = load(bare).texts[0]
    assert first.startswith(" a dog  runs  ")
    assert load(bare, paragraph="tidy").texts[0] == first.strip().replace("runs  ", "runs ")


def test_paragraphs_of_two_corpora_are_one_rule():
    assert didemo.PARAGRAPHS is activitynet.PARAGRAPHS
    assert join_sentences([" a.", " b "], "x") == " a.  b "
    assert join_sentences([" a.", " b "], "x", "tidy") == "a. b"
    for wrong in ([], "text", None, ["a", 3]):
        with pytest.raises(RetrievalInputError, match="x: sentences must be texts"):
            join_sentences(wrong, "x")


def test_the_first_thirty_seconds_are_read_unless_files_are_cut(bare):
    assert load(bare).media.segments == ((0.0, 30.0),) * 9
    assert load(bare, trimmed=True).media.segments is None
    assert load(bare).media.take([3]).segments == ((0.0, 30.0),)


def test_films_are_read_under_their_name_or_another_suffix(tmp_path):
    pytest.importorskip("av")
    root = write_with_clips("didemo", tmp_path / "mini", [0, 1])
    corpus = didemo.load_didemo(root, n_frames=3, allow_partial=True)
    assert corpus.media.names[0] == f"videos/{corpus.item_ids[0].replace('.mov', '.mp4')}"
    assert corpus.media.names[1] == f"videos/{corpus.item_ids[1]}"
    assert [corpus.media[at].shape for at in (0, 1)] == [(3, 128, 128, 3)] * 2


def test_bad_entries_are_named(bare):
    path = bare / "test_data.json"
    edit(path, lambda data: data[3].update(annotation_id=data[1]["annotation_id"]))
    with pytest.raises(RetrievalInputError, match=r"entry 3: annotation \d+ is also entry 1"):
        load(bare)
    for name, value in {"annotation_id": "7", "video": None, "description": 4}.items():
        CORPORA["didemo"].write_miniature(bare, media=False)
        edit(path, lambda data, name=name, value=value: data[2].update({name: value}))
        with pytest.raises(RetrievalInputError, match=f"entry 2: '{name}' must be"):
            load(bare)
    path.write_text("{}")
    with pytest.raises(RetrievalInputError, match="must be a list of entries, got dict"):
        load(bare)


def test_lists_and_numbers_that_do_not_fit_are_refused(bare):
    with open(bare / "test_list.txt", "a") as stream:
        stream.write("another.mov\n")
    with pytest.raises(RetrievalInputError, match="1 videos of test_list.txt.*'another.mov'"):
        load(bare)
    (bare / "test_list.txt").unlink()
    with pytest.raises(MissingFileError, match="test_list.txt.*data download didemo"):
        load(bare)
    assert len(load(bare, "test_release").texts) == 10  # needs no list
    edit(bare / "test_data.json", lambda data: data.pop())
    with pytest.raises(RetrievalInputError, match="found 19 of 20 sentences of the file"):
        load(bare, "test_release")
    (bare / MINIATURE).unlink()
    with pytest.raises(RetrievalInputError, match="found 19 of 4,021 sentences of the file"):
        load(bare, "test_release")


def test_a_name_cannot_lead_out_of_the_root(bare):
    name = "../../x.mov"
    edit(bare / "test_data.json", lambda data: [one.update(video=name) for one in data[:2]])
    edit_list = (bare / "test_list.txt").read_text().split()
    (bare / "test_list.txt").write_text("\n".join([name, *edit_list[:-1]]) + "\n")
    with pytest.raises(RetrievalInputError, match="must be a relative path inside"):
        didemo.load_didemo(bare)
