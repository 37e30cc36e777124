"""Grids of models and corpora: each pair once, continued, recomputed with a reason, or reported."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.completeness import Count
from lib.studies.published import Result
from lib.studies.published.evaluation import evaluate_corpus
from lib.studies.published.grid import AGAIN, COMPUTED, FAILED, KEPT, evaluate_grid, other_results
from lib.studies.published.grid_tables import format_grid, format_main, main_rows, write_grid_csv
from lib.studies.published.main_metric import main_metric, main_parts
from tests.studies.published.corpora import OWNER, corpus


class Encoder:
    """Rows by the item that an input names, with noise of a seed; counts what it encodes."""

    def __init__(self, name, noise=1.0, weights="one"):
        self.noise, self.encoded = noise, 0
        self.identity = {"model": name, "tag": "", "weights_sha256": weights, "prompt": "{}"}

    def _rows(self, items, seed):
        self.encoded += len(items)
        base = np.random.default_rng(0).normal(size=(64, 8))[items]
        return base + self.noise * np.random.default_rng(seed).normal(size=base.shape)

    def encode_image(self, items, progress=None):
        return self._rows(list(items), 1)

    def encode_text(self, texts, progress=None):
        return self._rows([int(text.split()[-1]) for text in texts], 2)


N = 20 + len(OWNER)  # inputs of a corpus


@pytest.fixture
def grid(tmp_path):
    """Return a function that evaluates a grid, with its models and corpora."""
    models = {"a": Encoder("a"), "b": Encoder("b", noise=0.1)}
    corpora = {"toys test": corpus(), "games test": corpus(name="games")}

    def evaluate(encoder, corpus, **options):
        return evaluate_corpus(encoder, corpus, folder=tmp_path / "cache", **options)

    def call(**options):
        return evaluate_grid(
            {name: lambda model=model: model for name, model in models.items()},
            {name: lambda made=made: made for name, made in corpora.items()},
            tmp_path / "out", **{"evaluate": evaluate, **options},
        )  # fmt: skip

    call.models, call.corpora, call.folder = models, corpora, tmp_path / "out"
    return call


def test_a_stopped_grid_continues_without_encoding_again(grid):
    cells = grid()
    done = [next(cells) for _ in range(3)]  # the fourth pair is never asked for
    cells.close()
    assert {cell.state for cell in done} == {COMPUTED}
    assert sorted(path.name for path in grid.folder.glob("*.json")) == [
        "games-test--a.json", "toys-test--a.json", "toys-test--b.json",
    ]  # fmt: skip
    assert (grid.models["a"].encoded, grid.models["b"].encoded) == (2 * N, N)
    states = [cell.state for cell in grid()]
    assert states == [KEPT, KEPT, KEPT, COMPUTED]
    assert (grid.models["a"].encoded, grid.models["b"].encoded) == (2 * N, 2 * N)
    again = list(grid())
    assert {cell.state for cell in again} == {KEPT}
    part = Result.load(again[0].path).direction("text_to_image")
    assert part["R@1"] == again[0].result.direction("text_to_image")["R@1"]


def test_what_differs_is_computed_again_and_named(grid):
    first = {(cell.model, cell.corpus): cell for cell in grid()}
    again = list(grid(options={"metrics": ["R@1", "MRR"]}))
    assert {cell.state for cell in again} == {AGAIN}
    assert "options was '{}', is '{\"metrics\"" in again[0].why
    assert set(again[0].result.directions[0].values) == {"R@1", "MRR"}
    list(grid())
    grid.models["a"].identity["weights_sha256"] = "f" * 64
    states = {(cell.model, cell.corpus): cell for cell in grid()}
    assert [cell.state for cell in states.values()] == [AGAIN, AGAIN, KEPT, KEPT]
    assert states["a", "toys test"].why == "weights_sha256 was 'one', is ffffffffffff..."
    grid.corpora["toys test"] = corpus(captions="first 5")
    grid.corpora["games test"] = corpus(name="games", media=range(1, 21))
    reasons = {cell.corpus: cell.why for cell in grid() if cell.model == "b"}
    assert reasons == {
        "toys test": "captions were 'all', are 'first 5'",
        "games test": "the media of the corpus have changed",
    }
    grid.corpora["toys test"] = corpus(captions="first 5", item_ids=[f"j{i}" for i in range(20)])
    (why,) = {cell.why for cell in grid() if cell.corpus == "toys test"}
    assert why == "the texts, ids or judgements of the corpus have changed"
    path = first["a", "toys test"].path
    path.write_text(path.read_text().replace('"library_version": "', '"library_version": "0'))
    assert "library was 0" in next(iter(grid())).why


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', "[" * 100_000, "\0"])
def test_a_damaged_file_is_named_and_computed_again(grid, text):
    cell = next(iter(grid()))
    cell.path.write_text(text)
    again = next(iter(grid()))
    assert again.state == AGAIN and "toys-test--a.json" in again.why
    assert Result.load(cell.path).name == "a"
    result = json.loads(cell.path.read_text())
    result["directions"][0]["first_ranks"][0] += 1  # a value that no longer follows
    cell.path.write_text(json.dumps(result))
    assert "The file was changed" in next(iter(grid())).why


def test_a_pair_that_fails_lets_the_others_go_on(grid, tmp_path):
    def no_weights():
        calls.append("weights")
        raise RetrievalInputError("no weights\nhere")

    def broken(encoder, corpus):
        if encoder is grid.models["b"]:
            raise RuntimeError("out of memory")
        return evaluate_corpus(encoder, corpus, folder=tmp_path / "cache")

    def no_files():
        calls.append("files")
        raise FileNotFoundError("annotations.json is missing")

    calls = []
    models = {"none": no_weights, "a": lambda: grid.models["a"], "b": lambda: grid.models["b"]}
    corpora = {"toys test": corpus, "gone test": no_files, "games test": lambda: corpus(name="g")}
    cells = list(evaluate_grid(models, corpora, grid.folder, evaluate=broken))
    assert calls == ["weights", "files"]  # once each, whatever needs them
    assert [cell.state for cell in cells] == [
        FAILED, FAILED, FAILED, COMPUTED, FAILED, COMPUTED, FAILED, FAILED, FAILED,
    ]  # fmt: skip
    assert [cell.why for cell in cells[:2]] == ["no weights here", "annotations.json is missing"]
    assert cells[-1].why == "RuntimeError: out of memory" and cells[-1].result is None
    first, second = format_grid(cells)  # five columns are too many for one table
    row_none, row_a, row_b = (one | other for one, other in zip(first, second, strict=True))
    assert [row["model"] for row in (row_none, row_a, row_b)] == ["none", "a", "b"]
    assert (
        row_none["toys test\nimage to text R@1"] == row_b["g test\ntext to image R@1"] == "failed"
    )
    assert row_a["gone test"] == "failed" and row_a["toys test\nimage to text R@1"][0].isdigit()


def test_two_pairs_never_share_a_file(grid):
    with pytest.raises(RetrievalInputError, match="a/b on toys test and a b on toys test would"):
        list(evaluate_grid({"a/b": None, "a b": None}, grid.corpora, grid.folder))


def test_rows_of_all_metrics_and_texts_of_the_main_ones(grid, tmp_path):
    cells = list(grid())
    with open(write_grid_csv(cells, tmp_path / "r.csv"), encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    n_metrics = len(cells[0].result.directions[0].values)
    assert len(rows) == 2 * 2 * 2 * n_metrics
    main = [row for row in rows if row["main"] == "True"]
    assert {row["metric"] for row in main} == {"R@1"} and len(main) == len(main_rows(cells)) == 8
    value = cells[0].result.directions[0]["R@1"]
    assert float(main[0]["value"]) == value.value and main[0]["file"] == "toys-test--a.json"
    shown = f"{100 * value.value:.1f} ({100 * value.low:.1f} to {100 * value.high:.1f})"
    assert format_main(cells[0]).startswith(f"image to text R@1 {shown}; text to image R@1 ")
    (table,) = format_grid(cells)
    assert table[0]["toys test\nimage to text R@1"] == shown and len(table[0]) == 5


def test_other_results_of_the_folder_are_shown_where_they_fit(grid):
    list(grid())
    del grid.models["b"]
    (grid.folder / "strange.json").write_text("{}")
    games = grid.corpora.pop("games test")
    found, notes = other_results(grid.folder, list(grid()))
    assert [(cell.model, cell.corpus) for cell in found] == [("b", "toys test")]
    assert "strange.json is not shown: " in notes[0] and "field 'format' is missing" in notes[0]
    assert notes[1:] == [
        "not shown, of other corpora or options: games-test--a.json, games-test--b.json"
    ]
    grid.corpora["games test"] = games
    found, notes = other_results(grid.folder, list(grid(options={"metrics": ["R@1"]})))
    assert not found and "toys-test--b.json" in notes[1]


def test_corpora_of_one_benchmark_have_columns_of_their_own(grid):
    grid.corpora |= {
        "toys test captions=first": corpus(name="toys (miniature)", captions="first"),
        "toys test captions=last": corpus(name="toys (miniature)", captions="last"),
    }
    cells = [cell for cell in grid() if cell.model == "a"]
    names = [name.split("\n")[0] for table in format_grid(cells) for name in table[0]]
    assert [name for name in names if name != "model"] == [
        "toys test", "toys test", "games test", "games test",
        *["toys test captions=first (miniature)"] * 2, *["toys test captions=last (miniature)"] * 2,
    ]  # fmt: skip


def test_a_part_of_a_corpus_is_marked_and_kept_only_where_that_is_allowed(grid):
    counts = (Count("images", 20, 21),)
    grid.corpora["toys test"] = corpus(counts=counts)
    del grid.corpora["games test"], grid.models["b"]
    (cell,) = grid(allow_partial=True)
    assert format_main(cell).endswith(" *") and format_grid([cell])[0][0][
        "toys test\nimage to text R@1"
    ].endswith(" *")
    assert [cell.state for cell in grid(allow_partial=True)] == [KEPT]
    (again,) = grid()
    assert again.state == AGAIN and again.why.startswith("it is of a part of the corpus")


def test_the_main_metric_of_a_corpus(grid):
    result = next(iter(grid())).result
    assert main_metric(result, result.directions[0]) == "R@1"
    other = next(iter(grid(options={"metrics": ["MedR", "MRR"]}))).result
    assert main_metric(other, other.directions[0]) == next(iter(other.directions[0].values))


def test_subsets_of_a_direction_stay_out_of_the_overview(grid):
    cell = next(iter(grid()))
    to_text, to_image = cell.result.directions
    subset = replace(to_text, direction="image_to_text (swap_obj)")
    result = replace(cell.result, directions=(to_text, subset))
    assert [part.direction for part in main_parts(result)] == ["image_to_text"]
    assert main_parts(replace(cell.result, directions=(subset,))) == [subset]
    dress = replace(to_text, direction="query_to_dress")
    mean = replace(to_image, direction="query_to_image")
    clothes = replace(result.protocol, benchmark="fashioniq (miniature)")
    fashion = replace(result, protocol=clothes, directions=(mean, dress))
    assert main_parts(fashion) == [mean]
    only = replace(cell, result=result)
    assert len(main_rows([only])) == 1 and len(format_grid([only])[0][0]) == 2
    cell.path.unlink()
    unscored = next(iter(grid(evaluate=lambda *_, **__: None)))
    assert unscored.state == FAILED and "not published" in unscored.why
