"""`crossmodal collection tune` and the options of `crossmodal index` that choose an index."""

from contextlib import nullcontext

import pytest

from lib.cli.options import bytes_of
from lib.core.checks import RetrievalInputError
from lib.search.collection import collection as opened
from lib.search.collection import update_index
from tests.cli.conftest import one_line
from tests.search.collection.conftest import ColourEncoder, paint
from tests.search.collection.test_indexing import WordEncoder, add_part
from tests.search.test_cluster import Elsewhere


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4 * 10**9), ("512 mb", 512 * 10**6), ("2GiB", 2**31), ("1.5k", 1500), ("4e9", 4e9)],
)
def test_sizes_as_people_write_them(text, size):
    assert bytes_of(text, "--ram") == size


@pytest.mark.parametrize("text", ["", "much", "-1GB", "0", "nan", "1e99GB", "1.2.3GB", "4XB"])
def test_sizes_that_cannot_be(text):
    with pytest.raises(RetrievalInputError, match="--ram must be a size such as 4GB"):
        bytes_of(text, "--ram")


def test_tune_stores_an_index_and_info_shows_it(run, tmp_path, monkeypatch):
    monkeypatch.setattr(opened, "load_query_encoder", lambda manifest: WordEncoder())
    add_part(tmp_path / "c", 2_000)
    code, out, err = run("collection", "tune", "c", "--recall", "0.8", "--ram", "1GB")
    assert code == 0 and not err
    assert "text queries: 2,000 from captions" in out and "queries that chose nothing" in out
    code, out, _ = run("collection", "info", "c")
    text = " ".join(out.split())
    assert code == 0 and "over 2,000 pictures; recall@50 when tuned: image 0." in text


def test_tune_keeps_to_the_families_that_are_named(run, tmp_path, monkeypatch):
    monkeypatch.setattr(opened, "load_query_encoder", lambda manifest: WordEncoder())
    add_part(tmp_path / "c", 1_500)
    options = "--recall", "0.7", "--queries", "image", "--family", "HNSW"
    code, _, err = run("collection", "tune", "c", *options)
    stored = opened.Collection(tmp_path / "c").manifest.index
    assert code == 0 and not err and stored.index_type == "HNSW"
    assert stored.chosen["wish"]["families"] == ["HNSW"]
    assert update_index(tmp_path / "c").startswith("the index of 1,500 pictures stays")  # its wish


ADDRESS = "is the address of a database, and a folder is needed"


@pytest.mark.parametrize(
    "command",
    [
        ["serve", "lancedb:copy"],
        ["collection", "info", "milvus:http://localhost:1#x"],
        ["collection", "failures", "lancedb:copy"],
        ["collection", "verify", "lancedb:copy"],
        ["collection", "tune", "milvus:./x.db"],
        ["collection", "copy", "lancedb:a", "lancedb:b"],
    ],
)
def test_a_database_where_a_folder_is_needed(run, command, tmp_path):
    code, _, err = run(*command)
    assert code == 2 and ADDRESS in one_line(err) and "search" in err
    assert not any(tmp_path.iterdir())


def test_a_collection_is_not_made_under_the_address_of_a_database(run, tmp_path, monkeypatch):
    monkeypatch.setattr("lib.models.encoder.load_encoder", lambda *_, **__: ColourEncoder())
    paint(tmp_path / "p" / "0.png", "red")
    code, _, err = run("index", "p", "--out", "lancedb:c")
    assert code == 2 and ADDRESS in one_line(err) and not (tmp_path / "lancedb:c").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["index", "", "--out", "c"],
        ["index", "p", "--out", ""],
        ["collection", "info", ""],
        ["collection", "copy", "", "lancedb:c"],
        ["serve", ""],
    ],
)
def test_an_empty_path_is_not_the_current_folder(run, command, tmp_path):
    code, _, err = run(*command)
    assert code == 2 and "it is empty; give a path, or . for the current folder" in err
    assert not any(tmp_path.iterdir())


def test_names_are_printed_without_control_characters(run, tmp_path, monkeypatch):
    monkeypatch.setattr("lib.models.encoder.load_encoder", lambda *_, **__: ColourEncoder())
    paint(tmp_path / "p" / "0.png", "red")
    (tmp_path / "p" / "\x1b]0;title\x07\n.png").write_bytes(b"no picture")
    _, out, _ = run("index", "p", "--out", "c")
    _, again, _ = run("collection", "failures", "c")
    assert "]0;title .png is not a picture" in out and "]0;title .png is not a picture" in again
    assert not {"\x1b", "\x07"} & set(out + again)


def test_index_says_how_it_searches(run, tmp_path, monkeypatch):
    monkeypatch.setattr("lib.models.encoder.load_encoder", lambda *_, **__: ColourEncoder())
    for number in range(3):
        paint(tmp_path / "p" / f"{number}.png", "red", shade=number)
    code, out, _ = run("index", "p", "--out", "c")
    assert code == 0 and "search is exact, as for all collections of up to 50,000 pictures" in out
    code, out, _ = run("index", "p", "--out", "c", "--recall", "0.9")
    assert code == 0 and "search is exact: 3 pictures need no index" in out


def test_index_shares_its_work_with_workers(run, tmp_path, monkeypatch):
    monkeypatch.setattr("lib.models.encoder.load_encoder", lambda *_, **__: ColourEncoder())
    monkeypatch.setattr("lib.search.cluster.local_cluster", lambda n: nullcontext(Elsewhere()))
    for number in range(3):
        paint(tmp_path / "p" / f"{number}.png", "red", shade=number)
    code, out, _ = run("index", "p", "--out", "c", "--workers", "2")
    assert code == 0 and "2 workers of the Dask scheduler tcp://elsewhere:0" in out
    assert "pictures, 2 workers" in out and "3 encoded" in out


def test_tune_shares_its_work_with_workers(run, monkeypatch):
    asked, elsewhere = [], Elsewhere()
    monkeypatch.setattr("lib.search.cluster.local_cluster", lambda n: nullcontext(elsewhere))
    monkeypatch.setattr(
        "lib.search.collection.tune_index",
        lambda folder, wish, cluster, log: asked.append(cluster) or "index IVF128",
    )
    code, out, _ = run("collection", "tune", "c", "--workers", "2")
    assert code == 0 and asked == [elsewhere] and "index IVF128" in out
    code, _, err = run("collection", "tune", "c", "--workers", "2", "--scheduler", "tcp://a:1")
    assert code == 2 and "not both" in one_line(err)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workers", "0"], "--workers must be at least 1, got 0"),
        (
            ["--workers", "2", "--scheduler", "tcp://a:1"],
            "give --workers 2 for this machine or --scheduler tcp://a:1, not both",
        ),
    ],
)
def test_clusters_that_cannot_be(run, tmp_path, options, message):
    (tmp_path / "p").mkdir()
    code, _, err = run("index", "p", "--out", "c", *options)
    assert code == 2 and message in one_line(err) and not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--recall", "95", "recall must be between 0 and 1 (not 0), got 95.0"),
        ("--ram", "much", "--ram must be a size such as 4GB or 512MB, got 'much'"),
        ("--queries", "texts", "Did you mean 'text'"),
        ("--family", "HNWS", "Did you mean 'HNSW'"),
    ],
)
@pytest.mark.parametrize("command", [("index", "p", "--out", "c"), ("collection", "tune", "c")])
def test_bad_options_are_refused_before_the_work(run, command, option, value, message, tmp_path):
    code, _, err = run(*command, option, value)
    assert code == 2 and message in one_line(err)
    assert not (tmp_path / "c").exists()


def test_no_collection(run):
    code, _, err = run("collection", "tune", "c")
    assert code == 2 and "c is no collection" in one_line(err)
