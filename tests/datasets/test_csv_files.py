"""Comma-separated files: quotes, spaces, comments, and files that are no such thing."""

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.csv_files import read_rows, read_table


def written(tmp_path, content: str | bytes):
    path = tmp_path / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_quotes_commas_and_line_breaks_stay_in_their_values(tmp_path):
    path = written(tmp_path, 'a,"x, ""y"""\r\n\nb,"two\nlines"\n')
    assert list(read_rows(path, 2)) == [(1, ["a", 'x, "y"']), (4, ["b", "two\nlines"])]


def test_spaces_behind_commas_are_text_unless_said_otherwise(tmp_path):
    assert list(read_rows(written(tmp_path, "a, b\n"), 2)) == [(1, ["a", " b"])]
    assert list(read_rows(written(tmp_path, '-a, "b,c"\n'), 2, spaced=True)) == [(1, ["-a", "b,c"])]
    with pytest.raises(RetrievalInputError, match="line 1: expected 2 columns"):
        list(read_rows(written(tmp_path, '-a, "b,c"\n'), 2))


def test_comments_are_those_before_the_first_row(tmp_path):
    comments: list[str] = []
    path = written(tmp_path, "# one\n# two\na,b\n#c,d\n")
    assert list(read_rows(path, 2, comments=comments)) == [(3, ["a", "b"]), (4, ["#c", "d"])]
    assert comments == ["# one", "# two"]
    assert list(read_rows(written(tmp_path, "# only\n"), 2, comments=[])) == []


def test_an_id_that_a_spreadsheet_has_broken_is_no_comment(tmp_path):
    path = written(tmp_path, "# one\n#NAME?,b\na,b\n")  # Excel takes "-id" for a formula
    with pytest.raises(RetrievalInputError, match="line 2: the cell '#NAME\\?' is an error of a"):
        list(read_rows(path, 2, comments=[]))


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path):
    path = written(tmp_path, b"\xef\xbb\xbfid,text\n1,a\n")
    assert list(read_table(path, ("id", "text"))) == [(2, {"id": "1", "text": "a"})]
    with pytest.raises(RetrievalInputError, match="must begin 'key,text', got 'id,text'"):
        list(read_table(path, ("key", "text")))
    with pytest.raises(RetrievalInputError, match="got ''"):
        list(read_table(written(tmp_path, ""), ("key", "text")))


def test_blank_lines_are_passed_over(tmp_path):
    path = written(tmp_path, "\nid,text\r\n \n1,a\n\t\n\n")
    assert list(read_table(path, ("id", "text"))) == [(4, {"id": "1", "text": "a"})]


@pytest.mark.parametrize("content", ['a,b\nc,"never closed\n', b"a,b\nc,\xff\xfe\n"])
def test_what_is_not_whole_is_refused_with_its_place(tmp_path, content):
    with pytest.raises(
        DamagedFileError, match=r"table\.csv(, behind line| is not UTF-8 text: line 2)"
    ):
        list(read_rows(written(tmp_path, content), 2))
    with pytest.raises(MissingFileError, match="is missing"):
        list(read_rows(tmp_path / "none.csv", 2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("key;text\r\na;b\r\n", "separated by semicolons; save it with commas"),
        ("key\ttext\n", "separated by tabs"),
        ("a,#NAME?\n", "line 1: the cell '#NAME\\?' is an error of a spreadsheet"),
    ],
)
def test_other_separators_and_cells_of_a_spreadsheet_are_named(tmp_path, content, message):
    with pytest.raises(RetrievalInputError, match=message):
        list(read_rows(written(tmp_path, content), 2))
