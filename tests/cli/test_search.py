"""`crossmodal search`: output, contact sheet and refused queries."""

import numpy as np
import pytest
from PIL import Image

from lib.datasets import icons
from lib.search import Hit
from tests.cli.conftest import one_line


class FakeRetriever:
    """Answer without a model, and record the queries."""

    def __init__(self):
        self.queries = []

    def hits(self, query, k):
        self.queries.append(query)
        names = icons.load_icons().names
        return [
            Hit(rank, 1 - rank / 10, rank * 100, icons.phrase_of(names[rank * 100]))
            for rank in range(1, k + 1)
        ]

    by_text = by_image = hits


@pytest.fixture
def fake(monkeypatch):
    import lib.search

    retriever = FakeRetriever()
    monkeypatch.setattr(lib.search, "icon_retriever", lambda: retriever)
    return retriever


def test_search_prints_a_table_and_writes_a_sheet(run, fake, tmp_path):
    code, out, _ = run("search", "red alarm clock", "-k", "3")
    assert code == 0 and fake.queries == ["red alarm clock"]
    corpus = icons.load_icons()
    for position in (100, 200, 300):
        assert icons.phrase_of(corpus.names[position]) in out and corpus.families[position] in out
    assert "0.900" in out and "contact sheet: hits.png" in out
    with Image.open(tmp_path / "hits.png") as sheet:
        assert sheet.format == "PNG" and sheet.width > 200
    assert [path.name for path in tmp_path.iterdir()] == ["hits.png"]  # no temporary file is left


def test_search_by_image_reads_the_drawing(run, fake, tmp_path):
    image = 255 - icons.load_icons().images[5000]
    Image.fromarray(image).save(tmp_path / "sketch.png")
    code, out, _ = run("search", "--image", "sketch.png", "-k", "2")
    assert code == 0 and "sketch.png" in out
    assert fake.queries[0].shape == (64, 64) and fake.queries[0].dtype == np.uint8


def test_a_query_with_brackets_is_printed_as_it_is(run, fake):
    code, out, _ = run("search", "[/red] [bold]", "-k", "1")
    assert code == 0 and "[/red] [bold]" in out


@pytest.mark.parametrize("name", ["sheets/today.png", "hits.PNG"])
def test_out_chooses_folder_and_name(run, fake, tmp_path, name):
    code, _, _ = run("search", "cat", "-k", "1", "--out", name)
    assert code == 0 and (tmp_path / name).stat().st_size > 500


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search"], "give either words or --image FILE"),
        (["search", "cat", "--image", "x.png"], "give either words or --image FILE"),
        (["search", "--image", "none.png"], "none.png is missing"),
        (["search", "--image", "."], ". cannot be opened (Is a directory)"),
        (["search", "cat", "--out", "hits"], "the suffix of --out must be one of '.png'; got ''"),
        (["search", "cat", "--out", "hits.webm"], "got '.webm'"),
    ],
)
def test_mistakes_in_a_search_are_told_before_the_model_loads(run, monkeypatch, arguments, message):
    import lib.search

    monkeypatch.setattr(lib.search, "icon_retriever", lambda: pytest.fail("loaded the model"))
    code, out, err = run(*arguments)
    assert code == 2 and out == "" and message in one_line(err)


def test_a_missing_artifact_names_the_command(run, monkeypatch, tmp_path):
    icons.load_icons()
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    code, _, err = run("search", "cat")
    assert code == 2 and "crossmodal train icons" in one_line(err)


def test_a_folder_that_cannot_be_written_is_one_line(run, fake, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run("search", "cat", "-k", "1", "--out", "file/hits.png")
    assert code == 2 and "file" in one_line(err)


def test_search_end_to_end(run, tmp_path):
    code, out, _ = run("search", "alarm clock", "-k", "5")
    assert code == 0 and (tmp_path / "hits.png").stat().st_size > 5000
    assert sum(split in out for split in icons.SPLITS) >= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["", "-k", "3"], "no letter or digit"),
        (["cat", "-k", "0"], "k must be at least 1"),
        (["cat", "-k", "99999"], "16546"),
    ],
)
def test_bad_queries_and_depths_are_one_line(run, arguments, message):
    code, _, err = run("search", *arguments)
    assert code == 2 and message in one_line(err)
