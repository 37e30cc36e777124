"""The study of page layouts: evaluation of overlap by hand, rows, and the committed table."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets import page_layouts
from lib.studies.page_layouts import (
    FILE,
    SHOWN,
    STORE,
    evaluate_overlap,
    folder_rows,
    format_results,
    mean_of,
    result_rows,
)
from tests.datasets.rendered_pages import render_page


def test_overlap_ranks_by_overlap():
    task = page_layouts.task("validation", 24)
    overlap = page_layouts.layout_overlap(task.queries, task.gallery)
    hits = overlap.argmax(axis=1) == np.arange(24)  # no two of these pages have grade 3
    assert len(task.qrels.grades[task.qrels.grades == 3]) == 24
    assert evaluate_overlap(task).value("R@1") == pytest.approx(hits.mean())


def test_the_mean_over_seeds():
    found = evaluate_overlap(page_layouts.task("validation", 12))
    other = evaluate_overlap(page_layouts.task("test", 12))
    mean = mean_of([found, other])
    assert mean.value("R@1") == pytest.approx((found.value("R@1") + other.value("R@1")) / 2)


def test_rows_have_every_model_and_metric():
    task, pages = page_layouts.task("validation", 16), page_layouts.generate_pages("train", 16)
    rows = result_rows(task, pages, seeds=(0,), epochs=1)
    assert len(rows) == 5 * len(SHOWN) and rows[0]["queries"] == 16
    assert [row["model"] for row in rows[:5]] == [
        "chance", "grid 6 x 4", "grid 16 x 12", "overlap of all pairs", "trained, 1 seeds",
    ]  # fmt: skip


def test_the_committed_table():
    table = STORE.table(FILE).set_index(["model", "metric"])["value"]
    assert table["trained, 3 seeds", "R@1"] > table["grid 16 x 12", "R@1"] > 0.5
    assert table["chance", "R@10"] < 0.05
    (chance, *_, trained) = format_results()
    assert chance["model"] == "chance" and "[" in trained["R@1"] and "[" not in chance["R@1"]


def test_pages_of_a_folder(tmp_path, monkeypatch):
    """Every model is evaluated; few pages are refused before anything is trained."""
    for i, page in enumerate(page_layouts.generate_pages("validation", 11)):
        render_page(page, (300, 400)).save(tmp_path / f"{i:02}.png")
    monkeypatch.setitem(page_layouts.SPLITS, "train", 16)
    rows = folder_rows(tmp_path)
    assert len(rows) == 5 * len(SHOWN) and rows[0]["split"] == "given"
    assert {row["model"]: row for row in rows[:5]}["grid 16 x 12"]["value"] > 0.5
    (tmp_path / "00.png").unlink()
    with pytest.raises(RetrievalInputError, match="must hold more than 10 pages, got 10"):
        folder_rows(tmp_path)
