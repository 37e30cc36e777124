"""`crossmodal plan`: machines for an index, and refused sizes."""

import pytest

from tests.cli.conftest import one_line


def test_plan_prints_options_and_what_is_not_known(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = run(
        "plan",
        "--vectors",
        "5.85e9",
        "--dim",
        "512",
        "--recall",
        "0.95",
        "--qps",
        "1000",
        "--ram",
        "192",
    )
    assert code == 0 and not err
    assert "5,850,000,000 vectors x 512" in out and "HNSW, 32 links" in out and "Not known" in out
    assert "100,000,000" not in out


def test_plan_prints_hours_and_cost_of_two_sizes(run):
    options = "--encode-rate", "1000", "--price", "2", "--builders", "20", "--cores", "8"
    code, out, err = run("plan", *options)
    assert code == 0 and not err
    assert (
        "Encoding of 100,000,000 pictures at 1,000 a second and machine: 28 machine hours,"
        " 1.4 hours on 20 machines, cost 56."
    ) in out
    assert "5,850,000,000 vectors x 512: to build on 20 machines of 192 GB and 8 cores" in out
    assert "2 for each machine hour" in out and "measured, " not in out
    assert "not measured" in out  # a graph on SSD
    code, out, _ = run("plan", "--vectors", "1e8")
    assert code == 0 and "Encoding: measured," in out and "JPEG files of 640 x 480" in out


def test_plan_shows_how_its_formulas_were_checked(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run("plan", "--checks")
    assert code == 0 and "bigann1B" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--vectors", "many"],
            "--vectors must be a whole number up to 1e18, such as 1000000 or 5.85e9, got",
        ),
        (["--recall", "95"], "--recall must be between 0 and 1 (not 0), got 95.0"),
        (["--ram", "0"], "--ram must be between 1e-18 and 1e+18, got 0.0"),
        (["--dim", "0"], "--dim must be at least 1, got 0"),
        (["--cores", "0"], "--cores must be at least 1, got 0"),
        (["--qps", "nan"], "--qps must be between 1e-18 and 1e+18, got nan"),
        (["--price", "-1"], "--price must be between 1e-18 and 1e+18, got -1.0"),
        (["--encode-rate", "0"], "--encode-rate must be between 1e-18 and 1e+18, got 0.0"),
        (["--builders", "0"], "--builders must be at least 1, got 0"),
        (["--nprobe", "0"], "--nprobe must be at least 1, got 0"),
    ],
)
def test_plans_that_cannot_be_are_one_line(run, arguments, message):
    code, _, err = run("plan", *arguments)
    assert code == 2 and message in one_line(err)
