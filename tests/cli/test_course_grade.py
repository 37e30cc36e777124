"""`crossmodal course release`, `exam` and `grade`, as in a shell."""

import csv
import json

from lib.course.assignments import confinement
from tests.cli.conftest import one_line
from tests.course.assignments.class_of_thirty import CLASS, write_class

LEVEL = "python" if confinement.kernel_problem() else "kernel"


def test_copies_out_and_submissions_in(run, tmp_path):
    code, out, _ = run("course", "release", "--out", "copies", "--assignment", "evaluation")
    assert code == 0 and "copies/2_evaluation.ipynb written" in out
    (tmp_path / "in").mkdir()
    write_class(tmp_path / "in", tuple(each for each in CLASS if each.name in {"bob", "sam"}))
    (tmp_path / "copies/2_evaluation.ipynb").rename(tmp_path / "in/=stub.ipynb")
    (tmp_path / "written.csv").write_text("student,E1,E2\nbob,4,1\n")
    grade = ["course", "grade", "in", "--out", "g.csv", "--isolation", LEVEL, "--seed", "7"]
    pages = ["--feedback", "pages", "--answers", "answers", "--similar", "similar.csv"]
    code, out, err = run(*grade, *pages, "--written", "written.csv", "--jobs", "2")
    assert code == 0, err
    assert f"evaluation: 3 submissions, seed 7, isolation {LEVEL}" in out
    assert "sam: unreadable; it has no list of cells" in out and "seed 7 is known" not in out
    table = (tmp_path / "g.csv").read_bytes()
    rows = list(csv.reader(table.decode().splitlines()))
    assert [(row[0], row[1], row[-1]) for row in rows[1:]] == [
        ("'=stub", "graded", "0"),
        ("bob", "graded", "31"),
        ("sam", "unreadable", "0"),
    ]
    assert {path.name for path in (tmp_path / "pages").iterdir()} == {
        "=stub.md", "bob.md", "sam.md",
    }  # fmt: skip
    assert {path.name for path in (tmp_path / "answers").iterdir()} == {"E1.md", "E2.md"}
    assert (tmp_path / "similar.csv").read_text().startswith("first,second,code,names,text\n")
    code, out, _ = run(*grade, "--written", "written.csv")
    assert code == 0 and (tmp_path / "g.csv").read_bytes() == table
    assert "in g.csv.kept" in out


def test_exam_sheets(run, tmp_path):
    assert run("course", "exam", "final", "--out", "sheet.md")[0] == 0
    assert "Answer" not in (tmp_path / "sheet.md").read_text()
    code, _, err = run("course", "exam", "oral", "--out", "sheet.md")
    assert code == 2 and "NAME must be" in one_line(err)


def test_errors_of_the_user(run, tmp_path):
    (tmp_path / "in").mkdir()
    for arguments, message in {
        ("nowhere",): "nowhere must be a folder",
        ("in",): "in must hold submissions, and is empty",
    }.items():
        code, _, err = run("course", "grade", *arguments, "--out", "g.csv")
        assert code == 2 and message in one_line(err)
    (tmp_path / "in/a.ipynb").write_text(json.dumps({"cells": []}))
    for arguments, message in {
        (): "Give --assignment NAME",
        ("--assignment", "essays"): "--assignment must be",
        ("--assignment", "losses", "--memory", "much"): "--memory must be a size",
        ("--assignment", "losses", "--seed", "-1"): "seed must be",
        ("--assignment", "losses", "--jobs", "0"): "jobs must be",
        ("--assignment", "losses", "--threshold", "2"): "--threshold must be between 0 and 1",
        ("--assignment", "losses", "--isolation", "none"): "--isolation must be",
        ("--assignment", "losses", "--written", "no.csv"): "no.csv",
    }.items():
        code, _, err = run("course", "grade", "in", "--out", "g.csv", *arguments)
        assert code == 2 and message in one_line(err), arguments
    code, _, err = run("course", "grade", "in", "--out", "in/g.csv", "--assignment", "losses")
    assert code == 2 and "in/g.csv must be outside of in" in one_line(err)
    assert not (tmp_path / "g.csv").exists()
