"""`crossmodal eval` and `crossmodal compare` on miniatures: models, own embeddings, TREC runs."""

import re
import shutil

import numpy as np
import pytest

from lib.cli import output
from lib.datasets.registry import CORPORA
from lib.studies.published import Result
from lib.studies.published.evaluation import ids_of
from tests.cli.conftest import one_line


@pytest.fixture(scope="module")
def coco_root(tmp_path_factory):
    pytest.importorskip("eccv_caption")
    root = tmp_path_factory.mktemp("benchmarks") / "coco"
    CORPORA["coco"].write_miniature(root)
    return root


@pytest.fixture(scope="module")
def rows(coco_root, tmp_path_factory):
    """Make embeddings of the miniature, in another order."""
    corpus = CORPORA["coco"].load(coco_root)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(len(corpus.item_ids), 16))
    embeddings = {
        "image": images,
        "text": images[corpus.owners] + rng.normal(size=(len(corpus.texts), 16)),
    }
    arrays = {}
    for modality, ids in ids_of(corpus).items():
        order = rng.permutation(len(ids))
        arrays |= {modality: embeddings[modality][order], f"{modality}_ids": np.array(ids)[order]}
    path = tmp_path_factory.mktemp("rows") / "mine.npz"
    np.savez(path, **arrays)
    return path


def words(out: str) -> str:
    """Join the lines of a page that the terminal has broken."""
    return " ".join(out.split())


def test_own_embeddings_beside_the_published_numbers(run, coco_root, rows):
    labels = ["--model", "ViT-B-32", "--pretrained", "openai", "--out", "a.json"]
    code, out, _ = run(
        "eval", "coco", "--root", str(coco_root), "--embeddings", str(rows), *labels
    )  # fmt: skip
    assert code == 0 and "coco (miniature) test: 100 images x 501 texts, captions: all" in out
    assert (
        "50.12" in out and "published" in out
    )  # open_clip's number for this model, on the real one
    result = Result.load("a.json")
    assert result.name == "ViT-B-32 openai" and result.protocol.benchmark == "coco (miniature)"
    assert (
        result.direction("text_to_image")["R@1"].value > 0.3
    )  # rows were put in order by their ids
    assert len(result.identity["embeddings"]) == 64

    code, out, _ = run("compare", "a.json", "a.json", "--plot", "differences.png")
    assert code == 0 and "p (Holm)" in out and "+0.0 to +0.0" in out
    with open("differences.png", "rb") as stream:
        assert stream.read(4) == b"\x89PNG"


def test_tables_fit_a_hundred_columns(run, coco_root, rows, monkeypatch):
    """Sources and protocols of published numbers are notes, so that no cell is broken."""
    monkeypatch.setattr(output.console, "width", 100)
    labels = ["--model", "ViT-B-32", "--pretrained", "openai", "--out", "a.json"]
    code, out, _ = run("eval", "coco", "--root", str(coco_root), "--embeddings", str(rows), *labels)
    cells = [[cell.strip() for cell in row.split("│")[1:-1]] for row in out.splitlines()]
    assert code == 0 and all(row[1] and row[2] for row in cells if row)  # no second lines
    assert ["image to text", "R@1", "50.12"] in [row[:3] for row in cells]
    assert "[1] mlfoundations/open_clip docs/openclip_retrieval_results.csv; protocol: " in out
    code, out, _ = run("compare", "a.json", "a.json")
    assert code == 0 and "…" not in out and "image to text: 100 queries in 100 clusters" in out


def test_protocols_by_name(run, coco_root, rows, tmp_path):
    with np.load(rows) as arrays:
        corpus = CORPORA["coco"].load(coco_root, captions="first 5")
        keep = np.isin(arrays["text_ids"], corpus.text_ids)
        cut = {
            name: array[keep] if name.startswith("text") else array
            for name, array in arrays.items()
        }
    np.savez(tmp_path / "five.npz", **cut)
    call = [
        "eval",
        "coco",
        "--root",
        str(coco_root),
        "--embeddings",
        "five.npz",
        "--captions",
        "first 5",
    ]
    code, out, _ = run(*call, "--folds", "5", "--out", "folds.json")
    assert code == 0 and "20 images x 100 texts, captions: first 5, mean of 5 folds" in out
    code, out, _ = run(*call, "--judgements", "eccv", "--out", "eccv.json")
    assert code == 0 and "without a relevant item were left out" in out and "judgements eccv" in out
    code, _, err = run("compare", "folds.json", "eccv.json")
    assert code == 2 and "different protocols" in one_line(err)


def test_given_rows_need_no_media_and_one_file_serves_protocols(run, coco_root, rows, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(coco_root, bare, ignore=shutil.ignore_patterns("*.jpg"))
    call = ["eval", "coco", "--root", str(bare), "--embeddings", str(rows), "--model", "mine"]
    code, out, _ = run(*call, "--out", "bare.json")
    assert code == 0 and "found" not in out
    code, out, _ = run(*call[:3], str(coco_root), *call[4:], "--out", "whole.json")
    assert code == 0
    assert run("compare", "bare.json", "whole.json")[0] == 0  # the same corpus, with and without
    code, out, _ = run(*call, "--captions", "first 5", "--out", "five.json")
    assert code == 0 and "1 of 501 text rows are not of this protocol" in words(out)
    assert "text rows" in Result.load("five.json").identity["notes"]
    with np.load(rows) as arrays:
        fewer = {name: array for name, array in arrays.items()}
    fewer |= {name: fewer[name][1:] for name in ("image", "image_ids")}
    np.savez("fewer.npz", **fewer, bank_text=np.ones((3, 16)))
    call[5] = "fewer.npz"
    code, _, err = run(*call)
    assert code == 2 and "1 of 100 ids of the corpus have no row" in one_line(err)
    code, out, _ = run(*call, "--allow-partial", "--out", "fewer.json")
    assert code == 0 and "1 image items have no row: they were left out" in words(out)
    assert "not used: bank_text" in words(out) and "found 99 of 100 images" in words(out)
    code, _, err = run("eval", "coco", "--root", str(bare), "--model", "scenes")
    assert code == 2 and "found 0 of 100 images" in one_line(err)  # a model needs them


def test_a_data_set_in_the_form_of_mteb(run, tmp_path):
    assert run("data", "fixture", "beir", "mini")[0] == 0
    assert run("data", "check", "beir", "--root", "mini")[0] == 0
    code, out, _ = run("eval", "beir", "--root", "mini", "--model", "scenes", "--out", "r.json",
                       "--cache", "kept")  # fmt: skip
    assert code == 0 and "18 queries (text), 40 documents (image)" in words(out)
    found = Result.load("r.json").direction("text_to_image")
    assert found["nDCG@5"].value > 0.5 > found["nDCG@5"].chance


@pytest.mark.slow  # encodes pictures
@pytest.mark.parametrize("name", ["urban1k", "docci"])
def test_descriptions_that_are_too_long_are_counted(run, name):
    CORPORA[name].write_miniature("mini")
    code, out, _ = run("eval", name, "--root", "mini", "--model", "scenes", "--cache", "cache")
    assert code == 0
    assert "20 of 20 texts are too long for the model: their ends were cut" in words(out)


def test_a_model_is_encoded_and_named(run, coco_root, tmp_path):
    call = [
        "eval",
        "coco",
        "--root",
        str(coco_root),
        "--model",
        "scenes",
        "--cache",
        str(tmp_path / "cache"),
    ]
    code, out, _ = run(*call, "--split", "val")
    assert code == 0 and "no published numbers of this model" in out
    written = out.splitlines()[-1].removeprefix("written to ")
    assert Result.load(tmp_path / written).protocol.split == "val"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ["eval", "koko", "--root", ".", "--model", "scenes"],
            "the corpus must be one of .* Did you mean 'coco'",
        ),
        (["eval", "coco", "--root", "."], "give --model"),
        (
            ["eval", "coco", "--root", ".", "--model", "scenes", "--out", "a.txt"],
            "the suffix of --out",
        ),
        (
            ["eval", "coco", "--root", ".", "--model", "scenes", "--split", "tset"],
            "--split must be one of",
        ),
        (
            ["eval", "coco", "--root", ".", "--model", "scenes", "--captions", "four"],
            "captions must be one of",
        ),
        (
            ["eval", "coco", "--root", ".", "--model", "scenes", "--option", "four"],
            "must be NAME=VALUE",
        ),
        (
            ["eval", "coco", "--root", ".", "--model", "scenes", "--option", "x=1"],
            "--option of coco must be",
        ),
        (
            ["eval", "coco", "--root", ".", "--model", "scenes", "--bank-split", "val"],
            "go together",
        ),
        (
            ["eval", "coco", "--root", ".", "--model", "scenes", "--beta", "100"],
            "--beta is of --inference querybank",
        ),
        (["eval", "coco", "--root", ".", "--model", "scenes"], "dataset_coco.json"),
        (["compare", "a.json", "b.json"], "a.json is missing"),
        (["compare", "a.json", "b.json", "--plot", "a.pdf"], "the suffix of --plot"),
    ],
)
def test_a_mistake_is_one_line(run, arguments, message):
    code, _, err = run(*arguments)
    assert code == 2 and re.search(message, one_line(err)), err


def test_a_damaged_picture_is_listed_and_left_out_by_name(run, tmp_path):
    pytest.importorskip("eccv_caption")
    CORPORA["coco"].write_miniature(tmp_path / "coco")
    names = [CORPORA["coco"].load(tmp_path / "coco").media.names[at] for at in (3, 40)]
    for name in names:
        path = tmp_path / "coco" / name
        path.write_bytes(path.read_bytes()[:60])
    code, out, _ = run("data", "check", "coco", "--root", str(tmp_path / "coco"))
    assert code == 0 and "--decode also looks for damaged files" in out
    code, out, _ = run("data", "check", "coco", "--root", str(tmp_path / "coco"), "--decode")
    assert code == 1 and "2 damaged" in out and all(name in out for name in names)
    ask = [
        "eval",
        "coco",
        "--root",
        str(tmp_path / "coco"),
        "--model",
        "scenes",
        "--cache",
        str(tmp_path / "c"),
    ]
    code, _, error = run(*ask, "--out", "damaged.json")
    assert (
        code == 2
        and names[0].split("/")[-1] in one_line(error)
        and "data check --decode" in one_line(error)
    )
    code, out, _ = run(*ask, "--out", "damaged.json", "--allow-partial")
    assert code == 0 and all(f"left out: {tmp_path / 'coco' / name}" in out for name in names)
    counts = dict(
        (what, (found, of)) for what, found, of in Result.load("damaged.json").protocol.counts
    )
    assert counts["images"] == (98, 100)


def test_metrics_by_name(run, coco_root, rows):
    call = ["eval", "coco", "--root", str(coco_root), "--embeddings", str(rows), "--metrics"]
    code, out, _ = run(*call, "nDCG@10, R@1,MRR,MedR", "--out", "a.json")
    assert code == 0 and "nDCG@10" in out
    for part in Result.load("a.json").directions:
        assert list(part.values) == ["nDCG@10", "R@1", "MRR", "MedR"]
    code, _, err = run(*call, "nDGC@10")
    assert code == 2 and "Did you mean 'nDCG@10'?" in one_line(err)


def test_ratings_of_cxc_are_grades(run, coco_root, rows):
    call = ["eval", "coco", "--root", str(coco_root), "--embeddings", str(rows), "--out", "g.json"]
    code, out, _ = run(*call, "--judgements", "cxc-grades")
    assert code == 0 and "judgements cxc-grades" in out
    result = Result.load("g.json")
    graded = {part.direction: part["nDCG@10"].value for part in result.directions}
    assert set(graded) == {"image_to_text", "text_to_image"}
    assert all(0 < value < 1 for value in graded.values())


def test_trec_files_there_and_back(run, coco_root, rows):
    call = ["eval", "coco", "--root", str(coco_root)]
    code, out, _ = run(*call, "--embeddings", str(rows), "--write-trec", "t", "--out", "rows.json")
    assert code == 0 and "TREC files written to t" in out
    from_rows = Result.load("rows.json")
    for direction in ("text_to_image", "image_to_text"):
        trec = ["--trec-run", f"t/{direction}.run", "--model", "mine", "--out", "run.json"]
        code, out, _ = run(*call, *trec)
        assert code == 0, out
        (part,) = Result.load("run.json").directions
        assert part.direction == direction
        for metric in ("R@1", "R@10", "MAP@R", "MedR"):
            assert part[metric].value == pytest.approx(from_rows.direction(direction)[metric].value)
    wrong = ["--trec-run", "t/text_to_image.run"]
    for more, message in (
        (["--direction", "image_to_text"], "not all query ids are image ids"),
        (["--split", "val"], "its query ids fit neither side of coco"),
        (["--folds", "5"], "excludes folds"),
        (["--embeddings", str(rows)], "either --embeddings or --trec-run"),
    ):
        code, _, err = run(*call, *wrong, *more)
        assert code == 2 and message in one_line(err), err
    with open("t/image_to_text.run") as lines:  # each image has five captions or more
        first_ranks = [line for line in lines if line.split()[3] == "1"]
    with open("first.run", "w") as stream:
        stream.writelines(first_ranks[:-3])
    shallow = ["--trec-run", "first.run", "--metrics", "R@1,MedR", "--out", "first.json"]
    code, out, err = run(*call, *shallow)
    assert code == 0 and "3 of 100 queries are not in first.run" in out, err
    code, out, _ = run("compare", "first.json", "first.json")
    assert code == 0 and "not tested: MedR" in out
    own = ["--embeddings", str(rows)]
    for more, message in (
        (["--trec-run", "absent"], "absent is missing; each of its lines must be"),
        ([*own, "--direction", "text_to_image"], "--direction is of --trec-run"),
        ([*own, "--bank-split", "train"], "with --embeddings the file holds the bank"),
        ([*own, "--write-trec", "rows.json"], "rows.json is a file, not a folder"),
    ):
        code, _, err = run(*call, *more)
        assert code == 2 and message in one_line(err), err
    judged = run(*call, "--embeddings", str(rows), "--write-trec", "t", "--folds", "5")
    assert judged[0] == 2 and "TREC files are of the whole gallery" in one_line(judged[2])


def test_clips_are_ranked_by_the_best_of_their_sentences_if_asked(run, tmp_path):
    root = tmp_path / "msvd"
    CORPORA["msvd"].write_miniature(root, media=False)
    corpus = CORPORA["msvd"].load(root, need_media=False)
    rng = np.random.default_rng(0)
    clips = rng.normal(size=(len(corpus.item_ids), 6))
    texts = clips[corpus.owners] + rng.normal(size=(len(corpus.texts), 6))
    ids = ids_of(corpus)
    arrays = {f"{side}_ids": np.array(ids[side]) for side in ids}
    np.savez("clips.npz", video=clips, text=texts, **arrays)
    call = ["eval", "msvd", "--root", str(root), "--embeddings", "clips.npz"]
    code, out, _ = run(*call, "--text-gallery", "best of item", "--out", "best.json")
    assert code == 0 and "12 queries x 12 items" in words(out)
    assert "video to text by the best sentence of each video" in words(out)
    code, out, _ = run(*call, "--out", "every.json")
    assert code == 0 and "12 queries x 57 items" in words(out) and "best sentence" not in out
    best, every = (
        Result.load(name).direction("video_to_text") for name in ("best.json", "every.json")
    )
    assert best["R@1"].value == every["R@1"].value and best["R@5"].value >= every["R@5"].value
    code, _, err = run("compare", "best.json", "every.json")
    assert code == 2 and "text_gallery: 'best of item' and 'every text'" in one_line(err)
    code, _, err = run(*call, "--text-gallery", "best of item", "--folds", "2")
    assert code == 2 and "goes with the whole gallery" in one_line(err)
    code, _, err = run(*call, "--text-gallery", "best")
    assert code == 2 and "text_gallery must be one of" in one_line(err)


@pytest.mark.slow
def test_choices_from_end_to_end(run, tmp_path):
    """Training on twins pays where only the order of words differs; data/README.md prints this."""
    assert run("data", "fixture", "winoground", "mini")[0] == 0
    code, out, _ = run("data", "check", "winoground", "--root", "mini", "--decode")
    assert code == 0 and "45" in out
    for model in ("scenes", "scenes_twins"):
        call = ["eval", "winoground", "--root", "mini", "--model", model, "--cache", "kept"]
        code, out, _ = run(*call, "--out", f"{model}.json")
        assert code == 0 and "both: 45 examples, each a choice of 2" in words(out)
        assert "25.0" in out and "16.7" in out  # chance
    plain, twins = (Result.load(f"{model}.json") for model in ("scenes", "scenes_twins"))
    group = [result.direction("both")["group score"].value for result in (plain, twins)]
    assert group == [pytest.approx(29 / 45), 1]
    assert plain.direction("both (Object)")["group score"].value == 0
    code, out, _ = run("compare", "scenes_twins.json", "scenes.json")
    assert code == 0 and "+35.6" in out and "not tested" not in out
    code, _, err = run(*call, "--folds", "5")
    assert code == 2 and "has no gallery" in one_line(err)
    (tmp_path / "mine.run").write_text("0/caption_0 Q0 ex_0_img_0 1 0.5 mine\n")
    code, _, err = run(*call, "--trec-run", "mine.run")
    assert code == 2 and "has no gallery" in one_line(err)


def test_results_of_other_queries_are_not_compared(run, coco_root, rows):
    for split, root in (("test", coco_root), ("val", coco_root)):
        call = ["eval", "coco", "--root", str(root), "--split", split, "--out", f"{split}.json"]
        own = ["--embeddings", str(rows)] if split == "test" else ["--model", "scenes"]
        assert run(*call, *own, "--metrics", "R@1", "--cache", "kept")[0] == 0
    code, _, err = run("compare", "test.json", "val.json")
    assert code == 2 and "different queries: coco (miniature), test and" in one_line(err)
    assert "--allow" not in err


def test_rows_of_other_texts_are_warned_of(run, tmp_path):
    """The ids of Chinese and English sentences of a clip are the same: nothing else could tell."""
    for name, language in (("vatex", "zh"), ("xm3600", "de")):
        CORPORA[name].write_miniature(tmp_path / name, media=False)
        corpus = CORPORA[name].load(tmp_path / name, language=language, need_media=False)
        ids = ids_of(corpus)
        arrays = {side: np.eye(64)[: len(names), :] for side, names in ids.items()}
        arrays |= {f"{side}_ids": np.array(names) for side, names in ids.items()}
        np.savez(tmp_path / "rows.npz", **arrays)
        call = ["eval", name, "--root", name, "--embeddings", "rows.npz"]
        code, out, _ = run(*call, "--option", f"language={language}")
        warned = "the rows of text must be of language=zh" in out
        assert code == 0 and warned == (name == "vatex")
