"""Working copies: no answers, nothing overwritten, any state of a student's folder is read."""

import errno
import json
import os

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.core.writing import UnwritableFileError
from lib.course import working_copies
from lib.course.notebooks import execute_notebook
from lib.course.progress import PROGRESS, progress_file
from lib.course.working_copies import copy_status, make_copies, renumber_copies, reset_copy
from tests.cli.conftest import run  # noqa: F401

FOLDED = {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]}
LINKS = "[on](01_second.ipynb#a) [there](./01_second.ipynb) [answers](solutions/00_first.ipynb)"
OUT = " [away](https://example.org/x.ipynb) [no](nothing.md) [data](../data/README.md#icons)"


def printed(text: str) -> list:
    return [new_output("stream", name="stdout", text=text)]


@pytest.fixture
def folders(tmp_path):
    """A course of two notebooks, and the place of the working copies beside it."""
    notebooks = tmp_path / "notebooks"
    (notebooks / "solutions").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "README.md").write_text("data")
    cells = [
        new_markdown_cell("# First\n\n" + LINKS + OUT),
        new_code_cell("from lib import course", outputs=printed("setup"), execution_count=1),
        new_code_cell("course.predict(\n    'one', 'Which?', ['x', 'y'])", execution_count=2),
        new_code_cell("print('told')", outputs=printed("told"), execution_count=3, metadata=FOLDED),
        new_code_cell("course.reveal('one', 'b')", outputs=printed("b) y"), execution_count=4),
        new_code_cell('course.check("start.top_k", None)', execution_count=5),
    ]
    cells[2].outputs = printed("Which?")
    nbformat.write(new_notebook(cells=cells), notebooks / "00_first.ipynb")
    nbformat.write(new_notebook(cells=cells[:2]), notebooks / "01_second.ipynb")
    (notebooks / "solutions" / "00_first.ipynb").write_text("{}")
    return tmp_path / "work", notebooks


def read(path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def edit(path, change) -> None:
    notebook = json.loads(path.read_text())
    change(notebook)
    path.write_text(json.dumps(notebook))


def states(folders) -> list[str]:
    return [status.state for status in copy_status(*folders)]


def test_a_copy_tells_nothing_after_the_first_question(folders):
    work, notebooks = folders
    assert make_copies(*folders) == (["00_first", "01_second"], [])
    copy, stored = read(work / "00_first.ipynb"), read(notebooks / "00_first.ipynb")
    nbformat.validate(copy)
    assert [len(cell.outputs) for cell in copy.cells[1:]] == [1, 0, 0, 0, 0]
    assert [cell.execution_count for cell in copy.cells[1:]] == [1, None, None, None, None]
    assert copy.cells[3].metadata == FOLDED
    assert [cell.source for cell in copy.cells[1:]] == [cell.source for cell in stored.cells[1:]]
    assert "b) y" not in (work / "00_first.ipynb").read_text()


def test_links_lead_to_copies_and_to_the_repository(folders):
    make_copies(*folders)
    text = read(folders[0] / "00_first.ipynb").cells[0].source
    answers = "[answers](../notebooks/solutions/00_first.ipynb)"
    assert (
        text == "# First\n\n" + LINKS.replace("[answers](solutions/00_first.ipynb)", answers) + OUT
    )


def test_nothing_is_overwritten_and_a_deleted_copy_comes_back(folders):
    work, notebooks = folders
    make_copies(*folders)
    (work / "00_first.ipynb").write_text("mine")
    (work / PROGRESS).write_text('{"predictions": {"one": {"answer": "a"}}}')
    (work / "01_second.ipynb").unlink()
    assert make_copies(*folders) == (["01_second"], ["00_first"])
    assert (work / "00_first.ipynb").read_text() == "mine"
    assert '"answer": "a"' in (work / PROGRESS).read_text()
    assert (notebooks / "00_first.ipynb").read_text() != "mine"


def test_states(folders):
    work, notebooks = folders
    assert states(folders) == ["no copy", "no copy"] and not work.exists()
    make_copies(*folders)
    assert states(folders) == ["new", "new"]
    edit(work / "00_first.ipynb", lambda nb: nb["cells"][2].update(execution_count=7))
    edit(work / "01_second.ipynb", lambda nb: nb["cells"][1].update(source=["x = 1\n", "y = 2"]))
    assert states(folders) == ["started", "started"]
    assert not any(status.newer for status in copy_status(*folders))


def test_running_the_setup_again_is_no_start(folders):
    make_copies(*folders)
    edit(folders[0] / "00_first.ipynb", lambda nb: nb["cells"][1].update(execution_count=9))
    assert states(folders)[0] == "new"


def test_progress_is_counted(folders):
    make_copies(*folders)
    record = {"one": {"answer": "b", "because": "", "observed": "b"}}
    passed = {"start.top_k": {"passed": True}, "another": {"passed": True}}
    text = json.dumps({"predictions": record, "exercises": passed})
    (folders[0] / PROGRESS).write_text(text)
    first, second = copy_status(*folders)
    assert (first.asked, first.made, first.right, first.exercises, first.passed) == (1, 1, 1, 1, 1)
    assert first.state == "started" and second.asked == 0


def test_a_newer_course_is_said_and_the_copy_kept(folders):
    work, notebooks = folders
    make_copies(*folders)
    before = (work / "00_first.ipynb").read_bytes()
    edit(notebooks / "00_first.ipynb", lambda nb: nb["cells"][3].update(source="print('more')"))
    assert [status.newer for status in copy_status(*folders)] == [True, False]
    make_copies(*folders)
    assert (work / "00_first.ipynb").read_bytes() == before


def test_new_outputs_alone_are_no_newer_course(folders):
    make_copies(*folders)
    edit(folders[1] / "00_first.ipynb", lambda nb: nb["cells"][3].update(outputs=[]))
    assert not copy_status(*folders)[0].newer


def test_reset_keeps_each_old_copy_and_forgets_its_predictions(folders):
    work, _ = folders
    make_copies(*folders)
    records = {"one": {"answer": "a"}, "other": {"answer": "b"}}
    (work / PROGRESS).write_text(json.dumps({"predictions": records}))
    for content, name in (("mine", "00_first.old.ipynb"), ("again", "00_first.old-2.ipynb")):
        (work / "00_first.ipynb").write_text(content)
        assert reset_copy("00", *folders) == ("00_first", work / name)
        assert (work / name).read_text() == content
    assert states(folders)[0] == "new"
    assert json.loads((work / PROGRESS).read_text())["predictions"] == {"other": {"answer": "b"}}


def test_reset_makes_a_copy_that_was_deleted(folders):
    assert reset_copy("01_sec", *folders) == ("01_second", None)
    assert states(folders) == ["no copy", "new"]


def test_a_copy_follows_the_new_number_of_its_notebook(folders):
    work, notebooks = folders
    make_copies(*folders)
    edit(work / "01_second.ipynb", lambda nb: nb["cells"][0].update(source="mine"))
    mine = (work / "01_second.ipynb").read_bytes()
    (notebooks / "01_second.ipynb").rename(notebooks / "02_second.ipynb")
    (notebooks / "00_first.ipynb").rename(notebooks / "01_first.ipynb")
    first, second = copy_status(*folders)
    assert (first.state, second.state) == ("new", "started")
    assert second.note.startswith("01_second.ipynb is 02_second now; `crossmodal course new`")
    # "01" is another notebook in the folder than in the course.
    with pytest.raises(RetrievalInputError, match=r"01_second\.ipynb too, which is 02_second now"):
        reset_copy("01", *folders)
    now = [("00_first.ipynb", "01_first.ipynb"), ("01_second.ipynb", "02_second.ipynb")]
    assert renumber_copies(*folders) == now
    assert make_copies(*folders) == ([], ["01_first", "02_second"])
    assert (work / "02_second.ipynb").read_bytes() == mine
    assert {file.name for file in work.iterdir()} == {"01_first.ipynb", "02_second.ipynb", PROGRESS}
    # An editor that was open saves under the old name once more: both stay.
    (work / "01_second.ipynb").write_bytes(mine)
    assert renumber_copies(*folders) == []
    note = copy_status(*folders)[1].note
    assert note == "01_second.ipynb: a copy of 02_second under an older number, kept as it is"
    assert reset_copy("02", *folders) == ("02_second", work / "02_second.old.ipynb")
    assert (work / "01_second.ipynb").read_bytes() == mine


def test_reset_takes_a_copy_with_an_older_number(folders):
    work, notebooks = folders
    make_copies(*folders)
    (work / "01_second.ipynb").rename(work / "07_second.ipynb")
    assert reset_copy("01", *folders) == ("01_second", work / "01_second.old.ipynb")
    assert not (work / "07_second.ipynb").exists()


def test_a_reset_that_cannot_write_leaves_the_copy(folders, monkeypatch):
    work, _ = folders
    make_copies(*folders)
    (work / "00_first.ipynb").write_text("mine")

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(working_copies.Path, "write_text", full)
    with pytest.raises(UnwritableFileError, match="Its disk is full"):
        reset_copy("00", *folders)
    assert (work / "00_first.ipynb").read_text() == "mine"


def test_two_resets_at_once_keep_both_copies(folders, monkeypatch):
    work, _ = folders
    make_copies(*folders)
    (work / "00_first.ipynb").write_text("mine")
    free = working_copies.unused_name

    def taken_at_the_last_moment(path):
        name = free(path)
        monkeypatch.setattr(working_copies, "unused_name", free)
        name.write_text("of the other reset")
        return name

    monkeypatch.setattr(working_copies, "unused_name", taken_at_the_last_moment)
    assert reset_copy("00", *folders) == ("00_first", work / "00_first.old-2.ipynb")
    assert (work / "00_first.old-2.ipynb").read_text() == "mine"
    assert (work / "00_first.old.ipynb").read_text() == "of the other reset"


def test_a_copy_that_appears_while_another_is_written_stays(folders, monkeypatch):
    work, _ = folders
    monkeypatch.setattr(working_copies.os.path, "lexists", lambda path: False)
    work.mkdir()
    (work / "00_first.ipynb").write_text("mine")
    assert make_copies(*folders) == (["01_second"], ["00_first"])
    assert (work / "00_first.ipynb").read_text() == "mine"


def test_a_stopped_start_keeps_predictions_already(folders):
    work, notebooks = folders
    (notebooks / "01_second.ipynb").write_text("{")
    with pytest.raises(ValueError, match="no notebook"):
        make_copies(*folders)
    assert (work / PROGRESS).is_file()


def test_a_pipe_and_a_device_are_no_copies(folders):
    work, _ = folders
    work.mkdir()
    os.mkfifo(work / "00_first.ipynb")
    (work / "01_second.ipynb").symlink_to("/dev/zero")
    make_copies(*folders)
    assert states(folders) == ["damaged", "damaged"]
    assert "a pipe or a device" in copy_status(*folders)[0].problem


def test_a_place_for_predictions_that_is_no_file(folders):
    work, _ = folders
    work.mkdir()
    (work / PROGRESS).symlink_to("nowhere/progress.json")
    with pytest.raises(UnwritableFileError, match="a link to nothing. Move it away"):
        make_copies(*folders)


@pytest.mark.parametrize("name", ["0", "7", ""])
def test_reset_wants_one_notebook(folders, name):
    with pytest.raises(RetrievalInputError, match=rf"got '{name}'; there are: 00_first, 01_second"):
        reset_copy(name, *folders)


HALF = '{"cells": [{"cell_type": "code", "source": "x'
DAMAGED = ["", HALF, "[1]", '{"cells": 3}', '{"cells": [{"cell_type": "code"}]}', "\udce9", "null"]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_copy_is_named_and_the_others_are_read(folders, text):
    make_copies(*folders)
    path = folders[0] / "00_first.ipynb"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    first, second = copy_status(*folders)
    assert (first.state, second.state) == ("damaged", "new")
    assert str(path) in first.problem and "crossmodal course reset 00" in first.problem
    reset_copy("00", *folders)
    assert states(folders) == ["new", "new"]


def test_other_editors_are_read(folders):
    def as_4_4(notebook):
        notebook["nbformat_minor"] = 4
        for cell in notebook["cells"]:
            cell.pop("id", None)
            cell["source"] = "".join(cell["source"]).splitlines(keepends=True)

    def without_metadata(notebook):
        notebook["metadata"] = {"kernelspec": {"name": "other"}}

    make_copies(*folders)
    edit(folders[0] / "00_first.ipynb", as_4_4)
    edit(folders[0] / "01_second.ipynb", without_metadata)
    first, second = copy_status(*folders)
    assert (first.state, first.newer) == ("new", False)
    assert (second.state, second.newer) == ("started", True)


def test_links_of_the_file_system(folders, tmp_path):
    work, notebooks = folders
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    work.symlink_to(elsewhere)
    (elsewhere / "00_first.ipynb").symlink_to(tmp_path / "missing.ipynb")
    (elsewhere / "01_second.ipynb").symlink_to(notebooks / "01_second.ipynb")
    stored = (notebooks / "01_second.ipynb").read_bytes()
    assert make_copies(*folders) == ([], ["00_first", "01_second"])
    assert states(folders)[0] == "damaged"
    reset_copy("01", *folders)
    assert (notebooks / "01_second.ipynb").read_bytes() == stored
    assert (elsewhere / "01_second.old.ipynb").is_symlink()
    assert not (elsewhere / "01_second.ipynb").is_symlink()


def test_the_notebooks_of_the_course_are_no_working_copies(folders, tmp_path):
    _, notebooks = folders
    (tmp_path / "link").symlink_to(notebooks)
    for work in (notebooks, tmp_path / "link"):
        for action in (make_copies, copy_status, lambda *two: reset_copy("00", *two)):
            with pytest.raises(RetrievalInputError, match="work must be another folder"):
                action(work, notebooks)
    assert not (notebooks / PROGRESS).exists()


def test_a_file_in_the_place_of_the_folder(folders):
    folders[0].write_text("a file")
    with pytest.raises(UnwritableFileError, match="cannot be written"):
        make_copies(*folders)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(folders):
    work, _ = folders
    work.mkdir(mode=0o500)
    with pytest.raises(UnwritableFileError, match="cannot be written"):
        make_copies(*folders)
    assert states(folders) == ["no copy", "no copy"]


def test_without_notebooks(tmp_path):
    with pytest.raises(MissingFileError, match="run this in a checkout"):
        make_copies(tmp_path / "work", tmp_path / "nowhere")


@pytest.mark.slow
def test_a_working_copy_runs_and_asks_with_buttons(folders):
    work, notebooks = folders
    make_copies(*folders)
    run_there = execute_notebook(work / "00_first.ipynb")
    asked = run_there.fresh.cells[2].outputs
    assert run_there.error is None
    assert any("Button" in o.get("data", {}).get("text/plain", "") for o in asked), asked
    told = run_there.fresh.cells[4].outputs[0].data
    assert "<details>" in told["text/html"] and "Observed: b) y" in told["text/plain"]
    assert json.loads((work / PROGRESS).read_text())["predictions"]["one"]["observed"] == "b"
    stored = execute_notebook(notebooks / "00_first.ipynb")
    assert [len(cell.outputs) for cell in stored.fresh.cells[2:5:2]] == [1, 1]
    assert not (notebooks / PROGRESS).exists()


def test_commands(folders, run, monkeypatch):  # noqa: F811
    work, notebooks = folders
    monkeypatch.setattr(working_copies.make_copies, "__defaults__", (work, notebooks))
    monkeypatch.setattr(working_copies.copy_status, "__defaults__", (work, notebooks))
    monkeypatch.setattr(working_copies.reset_copy, "__defaults__", (work, notebooks))
    place = ("--work", str(work))
    code, out, _ = run("course", "status", *place)
    assert code == 0 and "no copy" in out and "crossmodal course new" in out
    code, out, _ = run("course", "new", *place)
    assert code == 0 and "2 new working copies, 0 kept" in out
    edit(notebooks / "00_first.ipynb", lambda nb: nb["cells"].pop())
    (work / "01_second.ipynb").write_text("{")
    code, out, _ = run("course", "new", *place)
    assert "00_first: the course has a newer version; yours is kept." in out
    assert f"{work / '01_second.ipynb'} is no notebook" in out
    code, out, _ = run("course", "reset", "01", *place)
    assert code == 0 and "the old one is kept as 01_second.old.ipynb" in out
    code, _, err = run("course", "reset", "7", *place)
    assert code == 2 and "there are: 00_first, 01_second" in err


def test_labs_are_copied_beside_the_numbered_notebooks(folders, monkeypatch):
    work, notebooks = folders
    links = "[back](../00_first.ipynb) [answers](../solutions/00_first.ipynb)"
    cells = [new_markdown_cell(f"# Lab\n\n{links}"), new_code_cell("x = 1", execution_count=1)]
    (notebooks / "labs").mkdir()
    nbformat.write(new_notebook(cells=cells), notebooks / "labs" / "lab_1_joint.ipynb")
    made, _ = make_copies(work, notebooks)
    assert made == ["00_first", "01_second", "lab_1_joint"]
    text = (work / "labs" / "lab_1_joint.ipynb").read_text()
    assert "(../00_first.ipynb)" in text
    assert "(../../notebooks/solutions/00_first.ipynb)" in text
    assert [s.state for s in copy_status(work, notebooks)] == ["new"] * 3
    (work / "labs" / "lab_1_joint.ipynb").write_text("{")
    problem = copy_status(work, notebooks)[-1].problem
    assert "`crossmodal course reset lab_1` keeps it" in problem
    name, backup = reset_copy("lab_1", work, notebooks)
    assert name == "lab_1_joint" and backup == work / "labs" / "lab_1_joint.old.ipynb"
    monkeypatch.chdir(work / "labs")
    assert progress_file() == work / PROGRESS
