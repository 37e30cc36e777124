"""Data sets of queries, corpus and judgements: three forms, either modality, and what is wrong."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from lib.cli import app
from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.judged import load_judged
from lib.datasets.media.files import PictureFiles
from lib.datasets.registry import FORMS
from lib.models.encoder import load_encoder
from lib.studies.published import Result, evaluate_corpus, evaluate_rows
from lib.studies.published.embeddings_file import read_embeddings

TEXTS = {"d1": "red cat", "d2": "blue dog", "d3": "green fish"}
QUERIES = {"q1": "a cat", "q2": "a dog", "q3": "never judged"}
GRADES = [("q1", "d1", 2), ("q1", "d2", 1), ("q2", "d2", 1), ("q2", "d3", 0)]


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def tsv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))


def write_beir(root):
    lines(root / "corpus.jsonl", [{"_id": i, "title": "", "text": t} for i, t in TEXTS.items()])
    lines(root / "queries.jsonl", [{"_id": i, "text": t} for i, t in QUERIES.items()])
    tsv(root / "qrels" / "test.tsv", [("query-id", "corpus-id", "score"), *GRADES])


def write_mteb(root):
    for part, columns in {
        "corpus": {"id": list(TEXTS), "text": list(TEXTS.values()), "title": [None] * 3},
        "queries": {"id": list(QUERIES), "text": list(QUERIES.values())},
        "qrels": dict(zip(("query-id", "corpus-id", "score"), zip(*GRADES))),
    }.items():
        (root / part).mkdir(parents=True)
        pq.write_table(
            pa.table({k: list(v) for k, v in columns.items()}), root / part / "x.parquet"
        )


def write_trec(root):
    tsv(root / "collection.tsv", TEXTS.items())
    tsv(root / "queries.tsv", QUERIES.items())
    (root / "qrels.trec").write_text("".join(f"{q} 0 {d} {g}\n" for q, d, g in GRADES))


def write_mteb_default(root):
    """As MTEB has it where the judgements are the default part: in `data/`."""
    write_mteb(root)
    (root / "qrels").rename(root / "data")


def write_mteb_lines(root):
    """As BEIR, but the judgements of a split are JSON lines."""
    write_beir(root)
    (root / "qrels" / "test.tsv").unlink()
    names = ("query-id", "corpus-id", "score")
    lines(root / "qrels" / "test.jsonl", [dict(zip(names, row)) for row in GRADES])


FORM = {"BEIR": write_beir, "MTEB": write_mteb, "TREC": write_trec}
FORM |= {"MTEB, data": write_mteb_default, "MTEB, lines": write_mteb_lines}


@pytest.mark.parametrize("form", FORM)
def test_all_forms_are_one_corpus(tmp_path, form):
    root = tmp_path / "mine"
    FORM[form](root)
    corpus = load_judged(root)
    assert corpus.directions == ("query_to_text",) and corpus.name == "beir: mine"
    assert corpus.item_ids == ("d1", "d2", "d3") and corpus.text_ids == ("q1", "q2")
    assert list(corpus.texts) == ["a cat", "a dog"] and list(corpus.media) == list(TEXTS.values())
    assert corpus.qrels.row(0)[0].tolist() == [0, 1] and corpus.qrels.row(0)[1].tolist() == [2, 1]
    assert corpus.qrels.row(1)[0].tolist() == [1]  # a grade of 0 is no judgement of relevance
    assert [(one.what, one.found, one.published) for one in corpus.counts] == [
        ("queries", 2, None), ("documents", 3, None), ("judgements", 4, None),
    ]  # fmt: skip


def test_ndcg_by_hand_and_a_result_that_is_read_again(tmp_path):
    write_beir(tmp_path / "mine")
    corpus = load_judged(tmp_path / "mine")
    rows = np.eye(3)
    queries = np.array([[0.1, 0.9, 0.0], [0.1, 0.9, 0.0]])  # both rank d2, d1, d3
    result = evaluate_rows(rows, queries, corpus, metrics=["nDCG@2", "recall@1"])
    found = result.direction("query_to_text")
    first = (1 + 2 / np.log2(3)) / (2 + 1 / np.log2(3))  # the gain is the grade, as in trec_eval
    assert found["nDCG@2"].value == pytest.approx((first + 1) / 2, abs=1e-12)
    assert found["recall@1"].value == pytest.approx((0.5 + 1) / 2)
    again = Result.load(result.save(tmp_path / "r.json"))
    assert again.protocol.title == result.protocol.title
    assert "3 texts x 2 queries" in again.protocol.title


def test_metrics_are_those_of_trec_eval(tmp_path):
    pytrec_eval = pytest.importorskip("pytrec_eval")
    rng = np.random.default_rng(0)
    cells = {(q, d): int(rng.integers(0, 4)) for q in range(30) for d in rng.integers(0, 80, 12)}
    for q in range(30):
        cells[q, int(rng.integers(80))] = 3
    lines(tmp_path / "corpus.jsonl", [{"_id": f"d{i}", "text": "x"} for i in range(80)])
    lines(tmp_path / "queries.jsonl", [{"_id": f"q{i}", "text": "x"} for i in range(30)])
    grades = [(f"q{q}", f"d{d}", grade) for (q, d), grade in cells.items()]
    tsv(tmp_path / "qrels" / "test.tsv", [("query-id", "corpus-id", "score"), *grades])
    corpus = load_judged(tmp_path)
    media, queries = rng.normal(size=(80, 16)), rng.normal(size=(30, 16))
    result = evaluate_rows(media, queries, corpus, metrics=["nDCG", "recall", "MAP@10", "P@5"])
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, media)]
    scores = unit[0] @ unit[1].T
    run = {q: dict(zip(corpus.item_ids, row.tolist())) for q, row in zip(corpus.text_ids, scores)}
    qrels: dict[str, dict[str, int]] = {}
    for query, document, grade in grades:
        qrels.setdefault(query, {})[document] = grade
    measures = {"ndcg_cut.5,10", "recall.5,10", "map_cut.10", "P.5"}
    judged = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run).values()
    found = result.direction("query_to_text")
    for ours, theirs in {
        "nDCG@5": "ndcg_cut_5", "nDCG@10": "ndcg_cut_10", "recall@5": "recall_5",
        "recall@10": "recall_10", "P@5": "P_5",
    }.items():  # fmt: skip
        assert found[ours].value == pytest.approx(
            np.mean([one[theirs] for one in judged]), abs=1e-9
        )


def test_the_miniature_has_pictures_inside_parquet(tmp_path):
    FORMS["beir"].write_miniature(tmp_path / "mini")
    corpus = FORMS["beir"].load(tmp_path / "mini", "test")
    assert corpus.directions == ("text_to_image",) and corpus.media[39].size == (64, 64)
    assert corpus.media.take([13, 2])[0].tobytes() == corpus.media[13].tobytes()
    assert len(FORMS["beir"].load(tmp_path / "mini", "dev").texts) == 1
    assert corpus.name == "beir: mini (miniature)" and all(one.ok for one in corpus.counts)
    assert corpus.checksum() != corpus.checksum(media=False)
    rows = np.random.default_rng(0).normal(size=(40, 8))
    np.savez(
        tmp_path / "rows.npz", image=rows[1:], image_ids=corpus.item_ids[1:],
        text=rows[: len(corpus.texts)], text_ids=corpus.text_ids,
    )  # fmt: skip
    given = read_embeddings(tmp_path / "rows.npz", corpus, allow_partial=True)
    assert given.corpus.missing == ("1",) and given.corpus.qrels.shape == (18, 39)
    write_beir(tmp_path / "mine")
    with pytest.raises(MissingFileError, match="no qrels of the split 'train'"):
        load_judged(tmp_path / "mine", "train")


@pytest.mark.parametrize("form", ["a column", "folders", "lines"])
def test_one_language_of_several(tmp_path, form):
    """The forms of ViDoRe v3: its own, with a column, and MTEB's, with folders of a language."""
    spoken = dict(zip(QUERIES, ("english", "french", "french")))
    grades = dict(zip(("query_id", "corpus_id", "score"), map(list, zip(*GRADES))))
    pages = {"corpus_id": list(TEXTS), "image": [{"bytes": b"x", "path": ""}] * 3}
    pages |= {"markdown": ["# page"] * 3, "page_number_in_doc": [0, 1, 2]}
    asked = {"query_id": list(QUERIES), "query": list(QUERIES.values())}
    parts = {"corpus": pages, "qrels": grades}
    if form == "a column":
        parts["queries"] = asked | {"language": list(spoken.values())}
    if form == "folders":
        of_french = [at for at, one in enumerate(spoken.values()) if one == "french"]
        parts = {f"french-{part}": columns for part, columns in parts.items()}
        parts["french-queries"] = {k: [v[at] for at in of_french] for k, v in asked.items()}
        for name, values in parts["french-qrels"].items():
            parts["french-qrels"][name] = values[2:]
    for part, columns in parts.items():
        (tmp_path / part).mkdir()
        pq.write_table(pa.table(columns), tmp_path / part / "test-00000-of-00001.parquet")
    if form == "lines":
        rows = [{"id": i, "text": t, "language": spoken[i]} for i, t in QUERIES.items()]
        lines(tmp_path / "queries.jsonl", rows)
    french = load_judged(tmp_path, language="french")
    assert french.text_ids == ("q2",) and french.qrels.items.tolist() == [1]
    assert french.split == "test french" and french.directions == ("text_to_image",)
    assert [one.found for one in french.counts] == [1, 3, 2]
    if form == "folders":
        with pytest.raises(MissingFileError, match="has corpus of french: --option language"):
            load_judged(tmp_path)
    else:
        assert load_judged(tmp_path).text_ids == ("q1", "q2")
    with pytest.raises(ValueError, match=r"no judgement of the split|has no corpus"):
        load_judged(tmp_path, language="german")


def test_a_column_without_any_value_is_no_side(tmp_path):
    """MIEB's corpora have text, image and modality; what they do not hold has the type null."""
    write_mteb(tmp_path)
    columns = {"id": list(TEXTS), "modality": ["image"] * 3, "text": pa.nulls(3)}
    columns["image"] = [{"bytes": b"x", "path": None}] * 3
    pq.write_table(pa.table(columns), tmp_path / "corpus" / "x.parquet")
    assert load_judged(tmp_path).directions == ("text_to_image",)
    columns["text"] = list(TEXTS.values())
    pq.write_table(pa.table(columns), tmp_path / "corpus" / "x.parquet")
    with pytest.raises(RetrievalInputError, match="where it has both, choose with"):
        load_judged(tmp_path)


def test_a_language_needs_its_column(tmp_path):
    write_mteb(tmp_path)
    with pytest.raises(RetrievalInputError, match="the queries have no column language"):
        load_judged(tmp_path, language="french")


def test_judgements_of_another_split_are_not_taken_for_those_of_this_one(tmp_path):
    write_mteb(tmp_path)
    assert load_judged(tmp_path, "train").qrels.items.size == 3, "a name that tells no split"
    (tmp_path / "qrels" / "x.parquet").rename(tmp_path / "qrels" / "test-00000-of-00001.parquet")
    assert load_judged(tmp_path).qrels.items.size == 3
    with pytest.raises(MissingFileError, match="no qrels of the split 'train', but test-00000-of"):
        load_judged(tmp_path, "train")


def test_pictures_by_path(tmp_path):
    write_beir(tmp_path)
    lines(tmp_path / "corpus.jsonl", [{"_id": i, "image": f"p/{i}.png"} for i in TEXTS])
    assert isinstance(load_judged(tmp_path, need_media=False).media, PictureFiles)
    with pytest.raises(RetrievalInputError, match="found 0 of 3 pictures of documents"):
        load_judged(tmp_path)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "d2.png").write_bytes(b"x")
    with pytest.raises(RetrievalInputError, match="found 1 of 3"):
        load_judged(tmp_path)
    part = load_judged(tmp_path, allow_partial=True)
    assert part.item_ids == ("d2",) and part.missing == ("d1", "d3")
    lines(tmp_path / "corpus.jsonl", [{"_id": "d1", "image": "../../etc/passwd"}])
    with pytest.raises(RetrievalInputError):
        load_judged(tmp_path, allow_partial=True)


def write_both(root, form):
    """A corpus of pictures with texts, by path or inside Parquet."""
    write_beir(root)
    for at, id_ in enumerate(TEXTS):
        Image.new("RGB", (8, 8), (80 * at, 0, 0)).save(root / f"{id_}.png")
    rows = [{"_id": id_, "image": f"{id_}.png", "text": text} for id_, text in TEXTS.items()]
    if form == "jsonl":
        lines(root / "corpus.jsonl", rows)
        return
    (root / "corpus.jsonl").unlink()
    for row in rows:
        row["image"] = {"bytes": (root / row["image"]).read_bytes(), "path": None}
    pq.write_table(pa.Table.from_pylist(rows), root / "corpus.parquet")


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_side_of_pictures_with_texts(tmp_path, form):
    write_both(tmp_path, form)
    with pytest.raises(RetrievalInputError, match=r"corpus=image or queries=text \(or both\)"):
        load_judged(tmp_path)
    both = load_judged(tmp_path, corpus="both")
    assert both.directions == ("text_to_both",) and both.item_ids == tuple(TEXTS)
    assert "3 documents (pictures with texts)" in both.describe()
    picture, text = both.media[2]
    assert picture.getpixel((0, 0)) == (160, 0, 0) and text == "green fish"
    kept = both.without_items([0])
    assert kept.media.texts == ("blue dog", "green fish") and len(kept.media[:1]) == 1
    other = load_judged(tmp_path, corpus="image")
    assert len({both.checksum(), other.checksum(), kept.checksum()}) == 3
    np.savez(tmp_path / "rows.npz", both=np.eye(3), both_ids=list(TEXTS), text=np.eye(3)[:2],
             text_ids=["q1", "q2"])  # fmt: skip
    given = read_embeddings(tmp_path / "rows.npz", both)
    result = evaluate_rows(given.media, given.text, given.corpus)
    assert result.directions[0]["R@1"].value == 1 and "3 pictures with texts" in str(
        result.protocol.title
    )


def test_a_missing_picture_of_a_pair_is_named(tmp_path):
    write_both(tmp_path, "jsonl")
    (tmp_path / "d2.png").unlink()
    with pytest.raises(RetrievalInputError, match="found 2 of 3 pictures of documents"):
        load_judged(tmp_path, corpus="both")
    part = load_judged(tmp_path, corpus="both", allow_partial=True)
    assert part.item_ids == ("d1", "d3") and part.media.texts == ("red cat", "green fish")
    call = ["data", "check", "beir", "--root", str(tmp_path), "--option", "corpus=both"]
    shown = CliRunner().invoke(app, call)
    assert shown.exit_code == 1 and "1 missing" in shown.output and "d2.png" in shown.output
    lines(tmp_path / "corpus.jsonl", [{"_id": "d1", "image": "d1.png", "text": ""}])
    with pytest.raises(RetrievalInputError, match="line 1: it must have a text"):
        load_judged(tmp_path, corpus="both", need_media=False)


def test_an_encoder_adds_the_vectors_of_a_picture_and_its_text(tmp_path):
    write_both(tmp_path, "jsonl")
    lines(tmp_path / "queries.jsonl", [
        {"_id": "q1", "text": "a red circle", "image": "d1.png"},
        {"_id": "q2", "text": "a blue square", "image": "d3.png"},
    ])  # fmt: skip
    both = load_judged(tmp_path, corpus="both", queries="both")
    assert both.directions == ("query_to_both",)
    encoder = load_encoder("scenes")
    rows = encoder.encode_both(both.texts)
    summed = encoder.encode_image(both.texts.pictures) + encoder.encode_text(both.texts.texts)
    assert np.allclose(rows, summed / np.linalg.norm(summed, axis=1, keepdims=True), atol=1e-6)
    result = evaluate_corpus(encoder, both, folder=tmp_path / "cache")
    assert [part.direction for part in result.directions] == ["query_to_both"]
    assert Result.load(result.save(tmp_path / "r.json")).directions[0].n_queries == 2


def test_check_decodes_the_pictures_that_exist(tmp_path):
    write_beir(tmp_path)
    lines(tmp_path / "corpus.jsonl", [{"_id": i, "image": f"{i}.png"} for i in TEXTS])
    Image.new("RGB", (8, 8)).save(tmp_path / "d1.png")
    (tmp_path / "d2.png").write_bytes(b"no picture")
    call = ["data", "check", "beir", "--root", str(tmp_path), "--decode"]
    shown = CliRunner().invoke(app, call)
    assert shown.exit_code == 1 and not isinstance(shown.exception, AttributeError)
    said = " ".join(shown.output.split())
    assert "1 missing" in said and "d3.png" in said
    assert "1 damaged" in said and "d2.png: " in said and "d1.png" not in said


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda root: (root / "queries.jsonl").unlink(), MissingFileError, "has no queries:"),
        (lambda root: (root / "corpus.jsonl").write_text("{\n"), DamagedFileError, "line 1"),
        (lambda root: (root / "corpus.jsonl").write_text("[1]\n"), DamagedFileError, "no JSON obj"),
        (lambda root: (root / "corpus.jsonl").write_text(""), DamagedFileError, "has no entry"),
        (lambda root: lines(root / "corpus.jsonl", [{"_id": "d1"}]), RetrievalInputError,
         "must have a column text or image"),
        (lambda root: lines(root / "corpus.jsonl", [{"_id": "d1", "text": " "}]),
         RetrievalInputError, "must have a text"),
        (lambda root: lines(root / "corpus.jsonl", [{"_id": "d1", "text": "a"}] * 2),
         RetrievalInputError, "document ids .*'d1'|'d1'.*twice|distinct.*'d1'"),
        (lambda root: lines(root / "corpus.jsonl", [{"_id": "d1", "text": "a"}]),
         RetrievalInputError, "2 of 4 judgements.*first 'q1', 'd2'|3 of 4 judgements"),
        (lambda root: tsv(root / "qrels" / "test.tsv", [("query-id", "corpus-id", "score"),
                                                        ("q1", "d1", "1.5")]),
         RetrievalInputError, "whole number, got '1.5'"),
        (lambda root: tsv(root / "qrels" / "test.tsv", [("query-id", "corpus-id", "score"),
                                                        ("q1", "d1", "nan")]),
         RetrievalInputError, "whole number, got 'nan'"),
        (lambda root: tsv(root / "qrels" / "test.tsv", [("query-id", "corpus-id", "score"),
                                                        ("q1", "d1", 1), ("q1", "d1", 2)]),
         RetrievalInputError, "has the grades 1 and 2"),
        (lambda root: tsv(root / "qrels" / "test.tsv", [("q", "d", "s"), ("q1", "d1", 1)]),
         RetrievalInputError, "must have a column query-id"),
        (lambda root: tsv(root / "qrels" / "test.tsv", [("query-id", "corpus-id", "score"),
                                                        ("q1", "d1", 0)]),
         RetrievalInputError, "no judgement of the split has a grade above 0"),
        (lambda root: (root / "corpus.parquet").write_bytes(b"PAR1 no"), DamagedFileError,
         "no Parquet file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path, change, error, message):
    write_beir(tmp_path)
    change(tmp_path)
    with pytest.raises(error, match=message):
        load_judged(tmp_path)


def test_judgements_without_their_document_are_left_out_where_that_is_allowed(tmp_path):
    write_beir(tmp_path)
    lines(tmp_path / "corpus.jsonl", [{"_id": i, "text": "a"} for i in ("d1", "d2")])
    part = load_judged(tmp_path, allow_partial=True)
    assert part.qrels.shape == (2, 2) and part.counts[2].text() == "found 3 of 4 judgements"
    lines(tmp_path / "corpus.jsonl", [{"_id": i, "text": "a", "image": "x"} for i in TEXTS])
    with pytest.raises(RetrievalInputError, match="--option corpus=image"):
        load_judged(tmp_path)
    assert load_judged(tmp_path, corpus="text").modality == "text"
