"""LSMDC: six columns between tabs, open quotes, clips with several sentences, two layouts."""

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import lsmdc
from lib.datasets.completeness import MINIATURE
from lib.datasets.miniatures.films import IN_ONE_FOLDER, QUOTED
from lib.datasets.registry import CORPORA
from tests.datasets.film_miniatures import write_with_clips


@pytest.fixture
def bare(tmp_path):
    """Annotations alone."""
    CORPORA["lsmdc"].write_miniature(tmp_path / "mini", media=False)
    return tmp_path / "mini"


def load(root, split="test", **options):
    return lsmdc.load_lsmdc(root, split, need_media=False, **options)


def append(path, line):
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(line + "\n")


def test_published_sizes():
    assert lsmdc.PUBLISHED["test"] == {"videos": 1_000, "captions": 1_000}
    assert lsmdc.PUBLISHED["train"]["captions"] == 101_079
    assert lsmdc.FILES["test"] == "LSMDC16_challenge_1000_publictect.csv"


def test_one_sentence_a_test_clip_and_no_header(bare):
    corpus = load(bare)
    lines = (bare / lsmdc.FILES["test"]).read_text().splitlines()
    assert len(lines) == 12 and corpus.texts == tuple(line.split("\t")[5] for line in lines)
    assert corpus.item_ids == corpus.text_ids == tuple(line.split("\t")[0] for line in lines)
    assert corpus.item_ids[0] == "0001_Scenes_00.00.51.926-00.00.54.129"
    assert (corpus.qrels.items == range(12)).all()


def test_an_open_quote_belongs_to_its_sentence(bare):
    corpus = load(bare)
    assert corpus.texts[QUOTED].startswith('"SOMEONE, look: ') and len(corpus.texts) == 12
    assert corpus.texts[QUOTED].count('"') == 1


def test_a_training_clip_can_have_several_sentences(bare):
    corpus = load(bare, "train")
    assert corpus.qrels.T.counts.tolist() == [2, 1, 1] and corpus.texts[1] == "SOMEONE waits."
    assert corpus.text_ids[:2] == (f"{corpus.item_ids[0]}#0", f"{corpus.item_ids[0]}#1")
    assert [count.what for count in corpus.counts] == ["captions"]  # nobody counts the clips


def test_clips_lie_in_the_folders_of_their_films_or_in_one(tmp_path):
    pytest.importorskip("av")
    root = write_with_clips("lsmdc", tmp_path / "mini", [0, IN_ONE_FOLDER, 12])
    corpus = lsmdc.load_lsmdc(root, n_frames=2, allow_partial=True)
    own, loose = corpus.item_ids
    assert corpus.media.names == (f"videos/0001_Scenes/{own}.avi", f"videos/{loose}.avi")
    assert [corpus.media[at].shape for at in (0, 1)] == [(2, 128, 128, 3)] * 2
    second = load(root).item_ids[1]
    with pytest.raises(
        RetrievalInputError, match=f"found 2 of 12 videos; first missing: videos/{second}.avi"
    ):
        lsmdc.load_lsmdc(root)
    with pytest.raises(RetrievalInputError, match="found 1 of 3 videos"):  # as the file has them
        lsmdc.load_lsmdc(root, "train")


@pytest.mark.parametrize(
    "line, message",
    [
        ("a_0\t1\t2\t3\t4", "line 13: expected 6 columns between tabs"),
        ("a_0\t1\t2\t3\t4\tone\ttwo", "line 13: expected 6 columns between tabs"),
        ("a_0,1,2,3,4,SOMEONE waits.", "line 13: expected 6 columns between tabs"),
        ("a_0\t1\t2\t3\t4\t ", "line 13: expected a clip and a sentence"),
        ("\t1\t2\t3\t4\tSOMEONE waits.", "line 13: expected a clip and a sentence"),
    ],
)
def test_a_row_that_is_none_is_named_by_its_line(bare, line, message):
    append(bare / lsmdc.FILES["test"], line)
    with pytest.raises(RetrievalInputError, match=message):
        load(bare)


def test_wrong_files_say_so(bare, tmp_path):
    path = bare / lsmdc.FILES["test"]
    append(path, path.read_text().splitlines()[2])
    with pytest.raises(RetrievalInputError, match="line 13: the clip '3009_A_SCENE_OF_2_.*twice"):
        load(bare)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DamagedFileError, match="publictect.csv is not UTF-8 text"):
        load(bare)
    with pytest.raises(MissingFileError, match="LSMDC16_annos_val.csv.*data download lsmdc"):
        load(tmp_path, "val")
    (bare / MINIATURE).unlink()
    with pytest.raises(RetrievalInputError, match="found 4 of 101,079 captions"):
        load(bare, "train")


@pytest.mark.parametrize("clip", ["../../etc_0", "..\\x_1", "/etc/passwd", ".._1"])
def test_a_clip_cannot_lead_out_of_the_root(bare, clip):
    path = bare / lsmdc.FILES["test"]
    path.write_text(path.read_text().replace("0001_Scenes_00.00.51.926-00.00.54.129", clip))
    with pytest.raises(RetrievalInputError, match="must be a relative path inside|first missing"):
        lsmdc.load_lsmdc(bare)


@pytest.mark.parametrize("clip", ["x" * 300 + "_00.00", "\0_00.00"])
def test_a_clip_whose_name_no_file_can_have(bare, clip):
    append(bare / lsmdc.FILES["test"], f"{clip}\t0\t1\t0\t1\ta door")
    with pytest.raises(RetrievalInputError, match="cannot be that of a file|must be a relative"):
        lsmdc.load_lsmdc(bare, allow_partial=True)
