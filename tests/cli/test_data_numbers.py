"""`crossmodal data numbers`: the best of each kind, one row a model, sources by number."""

from dataclasses import replace

import pytest

from lib.studies.published import paper_numbers
from tests.cli.conftest import one_line

ROW = paper_numbers.published_numbers()[0]


@pytest.fixture
def published(monkeypatch):
    """Replace the table by twelve trained models, one other, and a number on other judgements."""
    base = replace(ROW, model="m", pretrained="", dataset="coco", split="test", captions="",
                   direction="text_to_image", n_gallery=5_000, source="paper A")  # fmt: skip
    rows = [
        replace(base, model=f"m{n:02d}", kind="trained", metric=metric, value=value + n, decimals=1)
        for n in range(12)
        for metric, value in (("R@10", 80.0), ("R@1", 50.0))
    ]
    rows.append(replace(base, model="zero", kind="zero-shot", source="paper B", value=40.0))
    rows.append(replace(base, model="other", kind="trained", judgements="eccv", value=99.0))
    rows.append(replace(base, model="back", direction="image_to_text", value=70.0))
    rows.append(replace(base, model="folds", kind="trained", gallery="mean of folds", value=98.0))
    monkeypatch.setattr(paper_numbers, "published_numbers", lambda: rows)


def test_the_best_of_each_kind_come_first(run, published):
    code, out, _ = run("data", "numbers", "coco")
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines()]
    models = [row for row in cells if row]
    assert code == 0 and "coco test, text to image: percent" in out
    assert models[0] == ["trained", "m11", "61.0", "91.0", "5,000 items", "[1]"]
    assert [row[1] for row in models] == [f"m{n:02d}" for n in range(11, 1, -1)] + ["zero"]
    assert models[-1][0] == "zero-shot" and models[-1][-1] == "[2]"
    assert "[1] paper A" in out and "4 more with --all" in out
    assert "--direction image_to_text shows the others" in out
    code, out, _ = run("data", "numbers", "coco", "--all")
    assert code == 0 and "m00" in out and "eccv" in out and "more with" not in out
    assert "mean of folds" in out
    assert "back" in run("data", "numbers", "coco", "--direction", "image_to_text")[1]


def test_mistakes_and_empty_tables_are_one_line(run, published):
    code, _, err = run("data", "numbers", "coco", "--split", "val")
    assert code == 2 and "no numbers of coco, val split; it has test." in one_line(err)
    code, _, err = run("data", "numbers", "clotho")
    assert code == 2 and "data/README.md, section clotho" in one_line(err)
    code, _, err = run("data", "numbers", "coco", "--direction", "text_to_audio")
    assert code == 2 and "--direction must be one of" in one_line(err)


def test_what_a_source_counts_otherwise_stands_beside_it(run):
    code, out, _ = run("data", "numbers", "msrvtt", "--direction", "video_to_text")
    said = "a film whose sentence occurs more than once counts several times there"
    assert code == 0 and said in " ".join(out.split())
    assert said not in " ".join(run("data", "numbers", "msrvtt")[1].split()), "not text to video"
