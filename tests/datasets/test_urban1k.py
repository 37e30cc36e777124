"""Urban1k: pictures and descriptions by number, the first line alone, and what can be wrong."""

import shutil

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import urban1k
from lib.datasets.completeness import MINIATURE, Count
from lib.datasets.miniatures import descriptions
from lib.datasets.registry import CORPORA


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("urban1k") / "root"
    CORPORA["urban1k"].write_miniature(root)
    return root


@pytest.fixture
def copy(root, tmp_path):
    shutil.copytree(root, tmp_path / "root")
    return tmp_path / "root"


def test_numbers_of_the_paper():
    assert urban1k.PUBLISHED == {"test": {"images": 1_000, "captions": 1_000}}
    assert CORPORA["urban1k"].family == "long descriptions"


def test_order_is_by_number(root):
    corpus = urban1k.load_urban1k(root)
    assert corpus.name == "urban1k (miniature)" and corpus.split == "test"
    assert corpus.item_ids == corpus.text_ids == tuple(str(n) for n in range(1, 21))
    assert corpus.media.names[9] == "image/10.jpg" and corpus.media[9].size == (64, 64)
    assert corpus.owners.tolist() == list(range(20))
    assert corpus.counts == (Count("images", 20, 20), Count("captions", 20, 20))


def test_the_first_line_is_the_description(root):
    texts = urban1k.load_urban1k(root, need_media=False).texts
    second = (root / "caption" / f"{descriptions.SECOND_LINE + 1}.txt").read_text()
    assert second.splitlines()[1] == "A second line."
    assert texts[descriptions.SECOND_LINE] == second.splitlines()[0]
    assert texts[descriptions.CARRIAGE_RETURN].endswith(".")
    assert "Déjà vu – “twice”" in texts[descriptions.NON_ASCII]


def test_descriptions_are_longer_than_a_short_window(root):
    words = [text.split() for text in urban1k.load_urban1k(root, need_media=False).texts]
    assert min(map(len, words)) > 50
    late = [words[at][:75] for at in descriptions.LATE]
    assert late[0] == late[1]  # a window of 75 words sees no difference
    assert len({tuple(text) for text in words}) == 20


def test_the_same_bytes_each_time(root, tmp_path):
    CORPORA["urban1k"].write_miniature(tmp_path / "again")
    files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    assert len(files) == 41
    assert all(
        (root / file).read_bytes() == (tmp_path / "again" / file).read_bytes() for file in files
    )


def test_the_folder_of_the_archive(root, copy):
    (copy / "Urban1k").mkdir()
    for name in ("image", "caption"):
        (copy / name).rename(copy / "Urban1k" / name)
    ours, theirs = urban1k.load_urban1k(root), urban1k.load_urban1k(copy)
    assert ours.texts == theirs.texts and theirs.media.names[0] == "Urban1k/image/1.jpg"


def test_what_is_missing(copy):
    (copy / "image" / "3.jpg").unlink()
    with pytest.raises(RetrievalInputError, match=r"19 of 20 images; first missing: image/3\.jpg"):
        urban1k.load_urban1k(copy)
    partial = urban1k.load_urban1k(copy, allow_partial=True)
    assert "3" not in partial.item_ids and len(partial.texts) == 19
    assert len(urban1k.load_urban1k(copy, need_media=False).texts) == 20
    (copy / "caption" / "7.txt").unlink()
    with pytest.raises(RetrievalInputError, match=r"1 pictures have no description.*'7\.jpg'"):
        urban1k.load_urban1k(copy)
    with pytest.raises(RetrievalInputError, match="found 19 of 20 images"):
        urban1k.load_urban1k(copy, need_media=False)
    shutil.rmtree(copy / "caption")
    with pytest.raises(MissingFileError, match="does not have the folder caption"):
        urban1k.load_urban1k(copy)


def test_other_files_are_no_descriptions(copy):
    (copy / "caption" / ".DS_Store").write_bytes(b"\xff")
    (copy / "caption" / "._1.txt").write_bytes(b"\xff")
    (copy / "caption" / "README.md").write_text("words")
    assert len(urban1k.load_urban1k(copy).texts) == 20


@pytest.mark.parametrize("content", [b"", b"\n", b"  \t\nwords", b"\xef\xbb\xbf"])
def test_a_blank_description(copy, content):
    (copy / "caption" / "2.txt").write_bytes(content)
    with pytest.raises(RetrievalInputError, match=r"2\.txt, line 1: it must be the description"):
        urban1k.load_urban1k(copy, allow_partial=True)


def test_not_utf8(copy):
    (copy / "caption" / "2.txt").write_bytes(b"d\xe9j\xe0")
    with pytest.raises(DamagedFileError, match=r"2\.txt is not UTF-8 text"):
        urban1k.load_urban1k(copy)


def test_a_miniature_is_not_the_real_thing(copy):
    (copy / MINIATURE).unlink()
    with pytest.raises(RetrievalInputError, match="found 20 of 1,000 images; found 20 of 1,000"):
        urban1k.load_urban1k(copy)
