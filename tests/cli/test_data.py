"""`crossmodal data`: output, files, downloads and refusals."""

import csv
import dataclasses

import numpy as np
import pytest

from lib.core.qrels import Qrels
from lib.core.writing import sha256_of
from lib.datasets import registry
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import MINIATURE, Count
from lib.datasets.download import sources
from lib.datasets.download.sources import CorpusSource, RemoteFile
from lib.datasets.media.files import PictureFiles
from lib.datasets.miniatures.writing import Miniature
from lib.datasets.registry import Corpus
from tests.cli.conftest import one_line
from tests.datasets.download.ranged_server import ranged_server

FREE = CorpusSource("Free.", ())


def corpus_of(found, of=20):
    """Make a corpus of `of` images of which `found` exist as files."""

    def load(root, split, *, captions="all", allow_partial=False, need_media=True):
        assert allow_partial and not need_media
        media = PictureFiles(root, [f"val/{number:02d}.jpg" for number in range(of)])
        for name in media.names[:found]:
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(b"not empty")
        ids = tuple(f"i{number}" for number in range(of))
        qrels = Qrels(np.arange(of + 1), np.arange(of), np.ones(of, np.int64), of)
        return CaptionedMedia(
            "tiny",
            split,
            "image",
            media,
            ids,
            ids,
            ids,
            qrels,
            captions,
            (Count("images", of, 20), Count("captions", 20, 20)),
        )

    miniature = Miniature({"test": {"images": 20, "captions": 100}})
    return Corpus(
        "tiny",
        "training",
        ("test", "train"),
        load,
        lambda root: miniature,
        {"captions": ("all", "first 5")},
    )


@pytest.fixture
def tiny(monkeypatch):
    """Replace the published corpora and their sources by one named tiny."""

    def put(found=20, source=FREE):
        monkeypatch.setattr(registry, "CORPORA", {"tiny": corpus_of(found)})
        monkeypatch.setattr(registry, "FORMS", {})
        monkeypatch.setattr(sources, "load_sources", lambda: {"tiny": source})

    put()
    return put


def test_list_has_a_line_a_corpus_that_fits_eighty_columns(run):
    code, out, _ = run("data", "list")
    lines = out.splitlines()
    assert code == 0 and max(map(len, lines)) <= 80
    names = [line.split()[0] for line in lines if line.startswith("  ")]
    assert sorted(names) == sorted(registry.CORPORA | registry.FORMS)
    assert {line[:-1] for line in lines if line.endswith(":")} == set(registry.FAMILIES)


def test_list_of_one_corpus_has_splits_options_files_and_the_next_commands(run):
    code, out, _ = run("data", "list", "coco")
    assert code == 0 and "test (default), val, train" in out
    assert "captions=all (default), first 5, unique" in out
    assert "6.6 GB and 1 file of unknown size" in out and "by hand" not in out
    assert "crossmodal data rows coco --root DIR --out rows.csv" in out
    assert "crossmodal data numbers coco" in out
    assert "data numbers" not in run("data", "list", "laion")[1]
    assert "1 step by hand" in run("data", "list", "xtd10")[1]
    assert "n_frames=1 to 1000" in run("data", "list", "msrvtt")[1]
    code, _, err = run("data", "list", "koko")
    assert code == 2 and "Did you mean 'coco'?" in one_line(err)


def test_rows_are_what_eval_looks_for(run, tmp_path):
    """A file made from the list alone is evaluated, and every query finds its own item."""
    registry.CORPORA["youcook2"].write_miniature(tmp_path / "mini", media=False)
    code, out, _ = run("data", "rows", "youcook2", "--root", "mini", "--out", "rows.csv")
    assert code == 0 and "video_ids: " in out and "text_ids: " in out
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert bool(row["text"]) == (row["array"] == "text") == (not row["file"])
    clips = [row for row in rows if row["array"] == "video"]
    assert all(float(row["start"]) < float(row["end"]) for row in clips)
    assert clips[0]["file"].startswith("mini/") and clips[0]["file"].endswith(".mp4")
    ids = {name: [row["id"] for row in rows if row["array"] == name] for name in ("video", "text")}
    arrays = {name: np.eye(len(ids[name])) for name in ids}
    arrays |= {f"{name}_ids": np.array(ids[name]) for name in ids}
    np.savez(tmp_path / "rows.npz", **arrays)
    code, out, _ = run("eval", "youcook2", "--root", "mini", "--embeddings", "rows.npz")
    assert code == 0 and out.count("100.0") > 2


def test_rows_refuse_a_folder_that_is_none_and_another_suffix(run, tiny):
    code, _, err = run("data", "rows", "tiny", "--root", "nowhere", "--out", "rows.csv")
    assert code == 2 and "nowhere is not a folder" in one_line(err)
    code, _, err = run("data", "rows", "tiny", "--root", ".", "--out", "rows.txt")
    assert code == 2 and "the suffix of --out must be one of '.csv'" in one_line(err)


def test_check_of_a_complete_corpus(run, tiny):
    code, out, _ = run("data", "check", "tiny", "--root", ".")
    assert code == 0 and out.splitlines()[-1].startswith("complete; --decode")
    assert "tiny, test split" in out and "images" in out and "differs" not in out


def test_check_takes_the_protocol_as_options(run, tiny, monkeypatch):
    code, out, _ = run("data", "check", "tiny", "--root", ".", "--option", "captions=first 5")
    assert code == 0 and "complete; --decode" in out
    corpus = dataclasses.replace(registry.CORPORA["tiny"], options={})
    monkeypatch.setattr(registry, "CORPORA", {"tiny": corpus})
    code, _, err = run("data", "check", "tiny", "--root", ".", "--option", "captions=all")
    assert code == 2 and "tiny has no options" in one_line(err)


def test_check_names_what_is_missing_and_writes_all_of_it(run, tiny, tmp_path):
    tiny(found=5)
    code, out, err = run("data", "check", "tiny", "--root", ".", "--missing", "lists/missing.txt")
    assert code == 1 and err == ""
    assert "files of pictures" in out and "images" in out  # annotations and media apart
    assert "differs" in out and "15 missing (all of them in lists/missing.txt)" in out
    assert "val/14.jpg" in out and "val/15.jpg" not in out and "and 5 more" in out
    assert "not comparable" in out
    written = (tmp_path / "lists" / "missing.txt").read_text().splitlines()
    assert written == [f"val/{number:02d}.jpg" for number in range(5, 20)]


def test_check_lists_the_media_even_where_none_is_there(run, tiny, tmp_path):
    tiny(found=0)
    code, out, _ = run("data", "check", "tiny", "--root", ".", "--missing", "missing.txt")
    assert code == 1 and "20 missing" in out
    assert len((tmp_path / "missing.txt").read_text().splitlines()) == 20
    (tmp_path / "val").mkdir(exist_ok=True)
    (tmp_path / "val" / "00.jpg").touch()
    out = run("data", "check", "tiny", "--root", ".")[1]
    assert "val/00.jpg (the file is empty)" in out


def test_check_of_a_miniature_from_end_to_end(run, tmp_path):
    code, out, _ = run("data", "fixture", "coco", "mini")
    assert code == 0 and "100 images" in out and (tmp_path / "mini" / MINIATURE).is_file()
    code, out, _ = run("data", "check", "coco", "--root", "mini", "--split", "test")
    assert code == 0 and "coco (miniature), test split" in out and "complete; --decode" in out
    next((tmp_path / "mini" / "val2014").glob("*.jpg")).unlink()
    code, out, _ = run("data", "check", "coco", "--root", "mini")
    assert code == 1 and "1 missing" in out
    assert run("data", "fixture", "coco", "mini")[0] == 0  # over itself
    (tmp_path / "mini" / "results.txt").write_text("mine")
    code, _, err = run("data", "fixture", "coco", "mini")
    assert code == 2 and "holds what was not written by this command: results.txt" in one_line(err)
    (tmp_path / "mini" / "results.txt").unlink()
    assert run("data", "check", "coco", "--root", "mini")[0] == 0


def test_counts_of_one_are_singular(run, monkeypatch, tmp_path):
    counts = {"one": {"queries": 1, "captions, en": 1, "images": 20}, "none": {}}
    corpus = dataclasses.replace(
        registry.CORPORA["coco"], write_files=lambda root: Miniature(counts)
    )
    monkeypatch.setattr(registry, "CORPORA", {"coco": corpus})
    code, out, _ = run("data", "fixture", "coco", "mini")
    assert code == 0 and "1 query; 1 caption, en; 20 images" in out and "not counted" in out


def test_fixture_takes_no_folder_that_holds_something_else(run, tiny, tmp_path):
    (tmp_path / "photos").mkdir()
    assert run("data", "fixture", "tiny", "photos")[0] == 0
    (tmp_path / "photos" / MINIATURE).rename(tmp_path / "photos" / "holiday.json")
    code, _, err = run("data", "fixture", "tiny", "photos")
    assert code == 2 and "photos is not empty and holds no miniature.json" in one_line(err)
    (tmp_path / "file").write_text("mine")
    assert run("data", "fixture", "tiny", "file")[0] == 2
    assert (tmp_path / "file").read_text() == "mine"


def test_download_shows_terms_and_steps_and_waits_for_consent(run, tiny, tmp_path):
    source = RemoteFile(
        "http://127.0.0.1:9/a.csv", "a.csv", "a test", splits=("test",), size=5_000_000
    )
    extra = RemoteFile("http://127.0.0.1:9/b.csv", "b.csv", "a test", splits=())
    tiny(
        source=CorpusSource(
            "For research only.", (source, extra), ("Put the clips into {root}/clips.",)
        )
    )
    code, out, err = run("data", "download", "tiny", "--root", "here")
    assert code == 2 and "read the terms above" in one_line(err)
    assert out.splitlines() == [
        "terms: For research only.",
        "file: a.csv, 5.0 MB, no published checksum, from http://127.0.0.1:9/a.csv (see a test)",
        "not needed here, available with --file: b.csv",
        "1. Put the clips into here/clips.",
        "2. Check the folder: crossmodal data check tiny --root here",
    ]
    assert not (tmp_path / "here").exists()


def test_download_of_a_corpus_that_is_given_by_hand_only_is_its_steps(run, tiny, tmp_path):
    tiny(source=CorpusSource("Ask first.", (), ("Fill in the form.",)))
    code, out, _ = run("data", "download", "tiny", "--root", "here")
    assert code == 0 and out.splitlines()[:2] == ["terms: Ask first.", "1. Fill in the form."]
    assert not (tmp_path / "here").exists()


def test_download_brings_the_files_of_a_split_or_those_named(run, tiny, tmp_path):
    with ranged_server() as server:
        server.files.update({"a.csv": b"first", "b.csv": b"second", "c.csv": b"third"})
        files = [
            RemoteFile(server.url("a.csv"), "a.csv", "a test", size=5, sha256=sha256_of(b"first")),
            RemoteFile(server.url("b.csv"), "b.csv", "a test", splits=("train",)),
            RemoteFile(server.url("c.csv"), "c.csv", "a test", splits=()),
        ]
        tiny(source=CorpusSource("Free.", tuple(files)))
        code, out, _ = run("data", "download", "tiny", "--root", "here", "--accept-terms")
        assert code == 0 and "a.csv: downloaded, SHA-256 as published" in out
        assert [path for path, _, _ in server.requests] == ["a.csv"]
        code, out, _ = run(
            "data", "download", "tiny", "--root", "here", "--split", "train", "--accept-terms"
        )
        assert (
            "a.csv: there, SHA-256 as published" in out and "b.csv: downloaded. Unverified" in out
        )
        run("data", "download", "tiny", "--root", "here", "--file", "c.csv", "--accept-terms")
        assert [path for path, _, _ in server.requests] == ["a.csv", "b.csv", "c.csv"]
        assert {path.name for path in (tmp_path / "here").glob("*.csv")} == {
            "a.csv",
            "b.csv",
            "c.csv",
        }


def test_download_refuses_what_does_not_fit_on_the_disk(run, tiny):
    huge = RemoteFile("http://127.0.0.1:9/a.zip", "a.zip", "a test", size=10**18)
    tiny(source=CorpusSource("Free.", (huge,)))
    code, _, err = run("data", "download", "tiny", "--root", "here", "--accept-terms")
    assert code == 2 and "GB more on its disk; nothing was downloaded" in one_line(err)


def test_a_publisher_that_has_moved_its_file_is_one_line(run, tiny):
    with ranged_server() as server:
        tiny(source=CorpusSource("Free.", (RemoteFile(server.url("a.csv"), "a.csv", "a test"),)))
        code, _, err = run("data", "download", "tiny", "--root", "here", "--accept-terms")
    assert code == 2 and "answers 404" in one_line(err)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ["check", "tinny", "--root", "."],
            "the corpus must be one of 'tiny'; got 'tinny'. Did you mean 'tiny'?",
        ),
        (
            ["check", "tiny", "--root", ".", "--split", "tset"],
            "--split must be one of 'test', 'train'",
        ),
        (
            ["check", "tiny", "--root", "nowhere"],
            "nowhere is not a folder; `crossmodal data download tiny",
        ),
        (
            ["check", "tiny", "--root", ".", "--option", "captions"],
            "must be NAME=VALUE, for example captions=all",
        ),
        (
            ["check", "tiny", "--root", ".", "--option", "texts=all"],
            "--option of tiny must be one of 'captions'",
        ),
        (
            ["check", "tiny", "--root", ".", "--option", "captions=5"],
            "must be one of 'all', 'first 5'; got '5'",
        ),
        (
            ["check", "tiny", "--root", ".", *2 * ["--option", "captions=all"]],
            "captions is given twice",
        ),
        (["fixture", "tinny", "here"], "the corpus must be one of"),
        (["download", "tinny", "--root", "here"], "the corpus must be one of"),
        (["download", "tiny", "--root", "here", "--file", "x"], "got 'x'"),
    ],
)
def test_mistakes_are_one_line(run, tiny, arguments, message):
    code, _, err = run("data", *arguments)
    assert code == 2 and message in one_line(err)


def test_filter_writes_the_rows_that_pass_and_counts_the_others(run, tmp_path):
    assert run("data", "fixture", "laion", "mini")[0] == 0
    metadata = next((tmp_path / "mini" / "metadata" / "laion2B-en").glob("*.parquet"))
    options = ("--min-similarity", "0.3", "--min-side", "64", "--nsfw", "UNLIKELY")
    code, out, _ = run("data", "filter", str(metadata), "kept.txt", *options)
    assert code == 0 and "3 of 10 rows written to kept.txt" in out
    for label in ("text is not blank", "shorter side >= 64", "nsfw in UNLIKELY"):
        assert label in out
    assert len((tmp_path / "kept.txt").read_text().splitlines()) == 3
    folder = str(metadata.parent)
    for wrong, message in (
        (("kept.csv",), "suffix of kept.csv must be one of"),
        (("kept.txt", "--max-punsafe", "0.5"), "must have a column 'punsafe'"),
        (("kept.txt", "--min-similarity", "2"), "min_similarity must be a number from -1 to 1"),
        (("kept.txt", "--nsfw", "SAFE"), "nsfw tag must be one of"),
    ):
        code, _, err = run("data", "filter", folder, *wrong)
        assert code == 2 and message in one_line(err), wrong
    assert run("data", "filter", "nowhere", "kept.txt")[0] == 2


@pytest.mark.parametrize("arguments", [["check", "msvd", "--root", ""], ["fixture", "msvd", ""]])
def test_an_empty_path_is_not_the_current_folder(run, arguments):
    code, _, err = run("data", *arguments)
    assert code == 2 and "it is empty; give a path, or . for the current folder" in err


def test_a_number_of_thousands_of_digits_is_one_line(run):
    option = f"n_frames={'9' * 5000}"
    code, _, err = run("data", "check", "msvd", "--root", ".", "--option", option)
    assert code == 2 and "n_frames must be a whole number from 1 to 1000" in one_line(err)
