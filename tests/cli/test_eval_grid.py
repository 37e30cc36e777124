"""`crossmodal eval --models --corpora` on two miniatures: continued, reported, and refused."""

import csv

import numpy as np
import pytest

from lib.datasets.registry import CORPORA, FORMS
from lib.models.encoder import PretrainedEncoder
from lib.studies.published import Result
from lib.studies.published.evaluation import ids_of
from tests.cli.conftest import one_line


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    root = tmp_path_factory.mktemp("benchmarks")
    CORPORA["flickr30k"].write_miniature(root / "flickr30k")
    FORMS["class-folders"].write_miniature(root / "elsewhere")
    return root


@pytest.fixture
def encoded(monkeypatch):
    """Count the pictures that are encoded."""
    counts = []
    encode = PretrainedEncoder.encode_image

    def counting(self, pictures, **options):
        counts.append(len(pictures))
        return encode(self, pictures, **options)

    monkeypatch.setattr(PretrainedEncoder, "encode_image", counting)
    return counts


def test_two_models_on_two_corpora_and_a_second_call(run, roots, encoded, tmp_path):
    (tmp_path / "models.txt").write_text("scenes  # colours\n\nscenes_twins\n")
    corpora = f"flickr30k,class-folders:val={roots / 'elsewhere'}"
    call = ["eval", "--models", "models.txt", "--corpora", corpora, "--root", str(roots),
            "--out", "out", "--cache", "kept"]  # fmt: skip
    code, out, err = run(*call)
    assert code == 0, err
    assert out.count("computed: image to text R@1") == 2 and out.count("acc1") == 2 + 1
    assert "loading scenes_twins" in out and encoded == [20, 48, 20, 48]
    saved = Result.load("out/class-folders-elsewhere-val--scenes.json")
    shown = f"{100 * saved.direction('image_to_text')['acc1'].value:.1f} ("
    assert f"scenes on class-folders elsewhere val: computed: image to text acc1 {shown}" in out
    with open("out/results.csv", encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["main"] == "True"]
    assert [(row["model"], row["metric"]) for row in rows] == [
        ("scenes", "R@1"), ("scenes", "R@1"), ("scenes", "acc1"),
        ("scenes_twins", "R@1"), ("scenes_twins", "R@1"), ("scenes_twins", "acc1"),
    ]  # fmt: skip
    with open("out/results.png", "rb") as stream:
        assert stream.read(4) == b"\x89PNG"

    (tmp_path / "out" / "flickr30k-test--scenes_twins.json").write_text("{")
    (tmp_path / "kept").rename(tmp_path / "lost")  # with no cache, encoding again would be seen
    code, out, _ = run(*call)
    assert code == 0 and out.count(": kept: ") == 3 and encoded[4:] == [20]
    assert "scenes_twins on flickr30k test: computed again (" in out and "is not JSON" in out


def test_pairs_that_fail_are_listed_and_the_others_go_on(run, roots, tmp_path):
    call = ["eval", "--models", "scenes,ViT-B-32:absent.pt", "--root", str(roots),
            "--corpora", "flickr30k:val+captions=tokens,coco", "--out", "out", "--cache", "kept",
            "--option", "flickr30k.captions=all", "--metrics", "R@1"]  # fmt: skip
    code, out, err = run(*call)
    assert "flickr30k (miniature), val split, captions: tokens" in out
    assert code == 1 and err == "" and "3 of 4 pairs failed:" in out
    assert "scenes on flickr30k val captions=tokens: computed" in out
    assert "  scenes on coco test, ViT-B-32 absent.pt on coco test: " in out
    assert "  ViT-B-32 absent.pt on flickr30k val captions=tokens: " in out
    assert [path.name for path in (tmp_path / "out").glob("*.json")] == [
        "flickr30k-val-captions-tokens--scenes.json"
    ]
    assert "failed" in out


def write_rows(corpus, path, seed):
    """Write random rows for every id of a corpus."""
    arrays, rng = {}, np.random.default_rng(seed)
    for side, ids in ids_of(corpus).items():
        arrays |= {side: rng.normal(size=(len(ids), 4)), f"{side}_ids": np.array(ids)}
    path.parent.mkdir(exist_ok=True)
    np.savez(path, **arrays)


def test_rows_of_a_user_are_models_of_the_grid(run, roots, tmp_path):
    """No media are needed; a changed file is evaluated again; files are those of the corpora."""
    CORPORA["vggsound"].write_miniature(tmp_path / "here" / "vggsound", media=False)
    (tmp_path / "here" / "flickr30k").symlink_to(roots / "flickr30k")
    sounds = CORPORA["vggsound"].load(tmp_path / "here" / "vggsound", "retrieval", need_media=False)
    classes = FORMS["class-folders"].load(roots / "elsewhere", "val")
    pictures = CORPORA["flickr30k"].load(roots / "flickr30k", "val")
    mine = tmp_path / "mine"
    write_rows(sounds, mine / "vggsound.npz", 0)
    write_rows(classes, mine / "class-folders-elsewhere-val.npz", 0)
    write_rows(pictures, mine / "flickr30k-val.npz", 0)
    write_rows(pictures, mine / "flickr30k.npz", 0)  # rows of another split
    corpora = f"vggsound,flickr30k:val,flickr30k,class-folders:val={roots / 'elsewhere'}"
    call = ["eval", "--models", "mine=mine,other=mine", "--corpora", corpora, "--root", "here",
            "--out", "out"]  # fmt: skip
    code, out, err = run(*call)
    assert code == 1 and err == "" and out.count(": computed: ") == 6
    assert "mine on flickr30k test, other on flickr30k test: " in out
    assert "20 of 20 ids of the corpus have no row" in out
    saved = Result.load("out/vggsound-retrieval--mine.json")
    assert saved.identity["model"] == "mine" and len(saved.identity["embeddings"]) == 64
    assert saved.rows() == Result.load("out/vggsound-retrieval--other.json").rows()

    write_rows(sounds, mine / "vggsound.npz", 1)
    (mine / "flickr30k.npz").unlink()
    code, out, _ = run(*call)
    assert code == 1 and out.count(": kept: ") == 4
    assert "mine on vggsound retrieval: computed again (embeddings was " in out
    assert "flickr30k.npz is missing; `crossmodal data rows flickr30k` lists" in out


def test_rows_of_a_user_need_a_name_and_a_folder(run, roots):
    call = ["--corpora", "flickr30k", "--root", str(roots), "--out", "out"]
    code, _, err = run("eval", "--models", "mine=", *call)
    assert code == 2 and "--models takes NAME=FOLDER for your rows; got 'mine='" in one_line(err)
    code, out, _ = run("eval", "--models", "mine=nowhere", *call)
    assert code == 1 and "--models mine=nowhere: this is not a folder" in out


GRID = ["eval", "--models", "scenes", "--corpora", "coco", "--root", ".", "--out", "o"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (GRID[:3], "go together"),
        (["eval", "--corpora", "coco"], "go together"),
        (["eval", "--model", "scenes"], "give a benchmark and --root DIR"),
        (GRID[:-2], "--models needs --out FOLDER"),
        ([*GRID, "--model", "icons", "--folds", "5"], "exclude --model, --folds"),
        ([GRID[0], "coco", *GRID[1:]], "exclude a benchmark before the options"),
        ([*GRID[:2], "scenes,", *GRID[3:]], "--models has an empty entry"),
        ([*GRID[:2], "scenes,scenes", *GRID[3:]], "--models has 'scenes' twice, last as 'scenes'"),
        ([*GRID[:2], ":openai", *GRID[3:]], "--models takes NAME or NAME:WEIGHTS"),
        ([*GRID[:2], "list.txt", *GRID[3:]], "list.txt is missing"),
        ([*GRID[:4], "koko", *GRID[5:]], "Did you mean 'coco'"),
        ([*GRID[:4], "coco,coco:test", *GRID[5:]], "has 'coco test' twice, last as 'coco:test'"),
        ([*GRID[:4], "coco:", *GRID[5:]], "--corpora takes NAME, NAME:SPLIT"),
        ([*GRID[:4], "coco@best", *GRID[5:]], "--split must be one of"),
        ([*GRID[:5], *GRID[7:]], "--corpora coco needs a folder"),
        ([*GRID, "--option", "captions=all"], "must be CORPUS.NAME=VALUE"),
        ([*GRID[:4], "coco+captions", *GRID[5:]], "--corpora takes NAME, NAME:SPLIT"),
        ([*GRID[:4], "coco+captions=four=d", *GRID[5:]], "captions must be one of"),
        ([*GRID[:4], "coco+best=1", *GRID[5:]], "--option of coco must be one of"),
        ([*GRID, "--option", "flickr30k.captions=all"], "which --corpora has not"),
        ([*GRID, "--option", "coco.captions=four"], "must be one of"),
        ([*GRID, "--metrics", "R@1,best"], "best"),
    ],
)
def test_a_mistake_is_one_line_before_the_work(run, arguments, message):
    code, _, err = run(*arguments)
    assert code == 2 and message in one_line(err), err


def test_the_folder_of_results_is_no_file(run, tmp_path):
    (tmp_path / "o").touch()
    code, _, err = run(*GRID)
    assert code == 2 and "--out must be a folder" in one_line(err)


@pytest.mark.slow
def test_every_benchmark_of_pictures_has_a_main_metric(run, tmp_path):
    pytest.importorskip("eccv_caption")
    names = [
        "coco", "flickr30k", "urban1k", "docci", "xtd10", "xm3600", "xflickrco", "flickr30k_cn",
        "sugarcrepe", "winoground", "cirr", "fashioniq", "beir", "class-folders",
    ]  # fmt: skip
    for name in names:
        (CORPORA | FORMS)[name].write_miniature(tmp_path / "all" / name)
    corpora = ",".join([*names[:-1], "class-folders:val"])
    call = ["eval", "--models", "scenes", "--corpora", corpora, "--root", "all", "--out", "out"]
    code, out, _ = run(*call, "--cache", "kept")
    assert code == 0 and out.count(": computed: ") == len(names)
    with open("out/results.csv", encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["main"] == "True"]
    metrics: dict[str, set[str]] = {}
    for row in rows:
        metrics.setdefault(row["corpus"].split("(")[0].strip(), set()).add(row["metric"])
    usual = {name: {"R@1"} for name in names}
    assert metrics == {
        **{name: metric for name, metric in usual.items() if name not in ("beir", "class-folders")},
        "xtd10": {"R@10"}, "fashioniq": {"R@10"}, "sugarcrepe": {"mean accuracy"},
        "winoground": {"text score", "image score", "group score"},
        "beir: beir": {"nDCG@10"}, "class-folders: class-folders": {"acc1"},
    }  # fmt: skip
    code, out, _ = run(*call, "--cache", "kept")
    assert code == 0 and out.count(": kept: ") == len(names)
