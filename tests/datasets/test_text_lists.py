"""Lists of ids: order, marks, blank lines, ids twice, and files that are none."""

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.text_lists import check_disjoint, numbered_lines, read_ids


def written(tmp_path, content):
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    return path


def test_ids_keep_their_order_without_mark_blank_lines_and_carriage_returns(tmp_path):
    path = written(tmp_path, b"\xef\xbb\xbfvideo9\r\n\r\n -x_1 \nvideo10")
    assert read_ids(path) == ["video9", "-x_1", "video10"]
    assert list(numbered_lines(path)) == [(1, "video9"), (3, " -x_1 "), (4, "video10")]


def test_bad_lists_are_refused_by_line(tmp_path):
    with pytest.raises(RetrievalInputError, match=r"list.txt, line 3: 'a' is also in line 1"):
        read_ids(written(tmp_path, b"a\nb\na\n"))
    with pytest.raises(RetrievalInputError, match="must list ids, one a line, got none"):
        read_ids(written(tmp_path, b"\n \n"))
    with pytest.raises(DamagedFileError, match="list.txt is not UTF-8 text"):
        read_ids(written(tmp_path, b"a\n\xff\xfe\n"))
    with pytest.raises(MissingFileError, match="no.txt is missing"):
        read_ids(tmp_path / "no.txt")


def test_shared_items_are_a_leak(tmp_path):
    path = tmp_path / "train.txt"
    check_disjoint(["a", "b"], ["c"], path, "the test set")
    with pytest.raises(RetrievalInputError, match="train.txt: 2 of its videos are in the test set"):
        check_disjoint(["c", "b", "a"], ["a", "c", "d"], path, "the test set")
