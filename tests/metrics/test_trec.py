import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.metrics import (
    Qrels,
    evaluate,
    load_trec,
    read_trec_qrels,
    read_trec_run,
    write_trec_qrels,
    write_trec_run,
)

RUN = """\
q1 Q0 d2 7 1.5 bm25
q1 Q0 d1 1 2.5 bm25

q2\tQ0  d3 1 0.25 bm25
q2 Q0 d4 2 0.25 bm25
q9 Q0 d1 1 1 bm25
"""
QRELS = """\
q2 0 d3 2
q1 0 d1 1
q1 0 d2 0
q1 0 d5 3
q3 0 d1 1
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "run.txt").write_text(RUN)
    (tmp_path / "qrels.txt").write_text(QRELS)
    return tmp_path / "run.txt", tmp_path / "qrels.txt"


def test_lines_become_dictionaries(files):
    assert read_trec_run(files[0]) == {
        "q1": {"d2": 1.5, "d1": 2.5},
        "q2": {"d3": 0.25, "d4": 0.25},
        "q9": {"d1": 1.0},
    }
    assert read_trec_qrels(files[1])["q1"] == {"d1": 1, "d2": 0, "d5": 3}


def test_arrays_are_in_the_order_of_trec_eval(files):
    data = load_trec(*files)
    assert data.query_ids == ["q2", "q1"]  # in both files, in the order of the qrels
    assert data.item_ids == ["d5", "d4", "d3", "d2", "d1"]
    names = [[data.item_ids[item] for item in row] for row in data.run[1]]
    assert names == [["d4", "d3"], ["d1", "d2"]]  # the rank column is ignored, a tie is z before a
    result = evaluate(data.run, data.qrels, metrics=["MRR", "recall@2", "R@1"])
    assert result.per_query["MRR@2"].tolist() == [1 / 2, 1]
    assert result.per_query["recall@2"].tolist() == [1, 1 / 2]


def test_complete_counts_the_queries_that_the_run_lacks(files):
    data = load_trec(*files, complete=True, depth=3)
    assert data.query_ids == ["q2", "q1", "q3"] and data.run[1].shape == (3, 3)
    assert data.run[1][2].tolist() == [-1, -1, -1]
    assert evaluate(data.run, data.qrels, metrics=["R@3"]).per_query["R@3"].tolist() == [1, 1, 0]


def test_ids_of_the_caller_decide_the_positions(tmp_path):
    (tmp_path / "run").write_text("7 Q0 10 1 3 a\n7 Q0 30 2 2 a\n")
    (tmp_path / "qrels").write_text("7 0 30 1\n5 0 20 1\n")
    data = load_trec(
        tmp_path / "run", tmp_path / "qrels", query_ids=[5, 7], item_ids=np.array([10, 20, 30])
    )
    assert data.run[1].tolist() == [[-1, -1], [0, 2]]
    assert data.qrels == Qrels.from_pairs([0, 1], [1, 2], shape=(2, 3))
    with pytest.raises(RetrievalInputError, match="document '30', returned for query '7'.* 2 item"):
        load_trec(tmp_path / "run", tmp_path / "qrels", query_ids=[7], item_ids=[10, 20])


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_what_is_written_is_read_back(tmp_path_factory, seed):
    rng, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("trec")
    ids = rng.permuted(np.tile(np.arange(9), (4, 1)), axis=1)[:, :5]
    ids[1, 3:] = -1
    scores = -np.sort(-rng.standard_normal((4, 5)).astype(np.float32), axis=1)
    grades = rng.integers(0, 4, (4, 9))
    grades[:, 2] = 1
    queries, items = np.nonzero(grades)
    qrels = Qrels.from_pairs(queries, items, grades[queries, items], shape=(4, 9))
    names = {"query_ids": ["ä", "b", "c", "d"], "item_ids": [f"d{i}" for i in range(9)]}
    write_trec_run(folder / "run", (scores, ids), **names)
    write_trec_qrels(folder / "qrels", qrels, **names)
    data = load_trec(folder / "run", folder / "qrels", **names)
    assert data.qrels == qrels and (data.run[1] == ids).all()
    assert (data.run[0][ids >= 0] == scores[ids >= 0]).all()
    write_trec_run(folder / "run", ids, **names)  # without scores
    assert (load_trec(folder / "run", folder / "qrels", **names).run[1] == ids).all()


def test_ids_alone_get_falling_scores(tmp_path):
    write_trec_run(tmp_path / "run", [[4, 2, -1]], tag="ours")
    assert (tmp_path / "run").read_text() == "0 Q0 4 1 3 ours\n0 Q0 2 2 2 ours\n"
    write_trec_qrels(tmp_path / "qrels", Qrels.from_pairs([0], [2], [3], shape=(1, 5)))
    assert (tmp_path / "qrels").read_text() == "0 0 2 3\n"


# ---- against trec_eval


@pytest.mark.parametrize("seed", range(3))
def test_files_mean_the_same_to_trec_eval(tmp_path, seed):
    pytrec_eval = pytest.importorskip("pytrec_eval", reason="pytrec-eval-terrier is optional")
    rng = np.random.default_rng(seed)
    run_lines, qrels_lines = [], []
    for query in range(30):
        documents = rng.permutation(80)[:40]
        # Many ties, and scores that differ in double precision only.
        scores = rng.integers(0, 12, 40) / 3 + 1e-12 * rng.random(40)
        run_lines += [
            f"q{query} Q0 doc{document} {rng.integers(99)} {score!r} tag"
            for document, score in zip(documents, scores.tolist())
        ]
        judged = rng.permutation(80)[:15]
        grades = rng.integers(-1, 4, 15)
        grades[0] = 0 if query == 7 else 2
        if query == 7:
            grades[:] = 0  # no relevant document
        qrels_lines += [f"q{query} 0 doc{d} {g}" for d, g in zip(judged, grades)]
    qrels_lines.append("q99 0 doc1 1")  # judged, but not in the run
    run_path, qrels_path = tmp_path / "run", tmp_path / "qrels"
    run_path.write_text("\n".join(rng.permutation(run_lines)) + "\n")
    qrels_path.write_text("\n".join(rng.permutation(qrels_lines)) + "\n")
    with open(run_path) as run_file, open(qrels_path) as qrels_file:
        run, qrels = pytrec_eval.parse_run(run_file), pytrec_eval.parse_qrel(qrels_file)
    assert (run, qrels) == (read_trec_run(run_path), read_trec_qrels(qrels_path))
    names = {
        "R@1": "success_1",
        "R@10": "success_10",
        "recall@10": "recall_10",
        "P@5": "P_5",
        "nDCG@10": "ndcg_cut_10",
        "MRR": "recip_rank",
        "MAP": "map",
        "MAP@10": "map_cut_10",
        "R-precision": "Rprec",
    }
    asked = {"success.1,10", "recall.10", "P.5", "ndcg_cut.10", "recip_rank", "map", "map_cut.10"}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {*asked, "Rprec"}).evaluate(run)
    data = load_trec(run_path, qrels_path)
    assert set(data.query_ids) == set(theirs)
    ours = evaluate(data.run, data.qrels, metrics=names, gain="linear", no_relevant="zero")
    for name, trec_name in names.items():
        key = name if name in ours.per_query else f"{name}@{ours.k}"
        expected = [theirs[query][trec_name] for query in data.query_ids]
        np.testing.assert_allclose(ours.per_query[key], expected, atol=1e-12, err_msg=name)


# ---- bad files


@pytest.mark.parametrize(
    "reader, content, message",
    [
        (read_trec_run, "q1 Q0 d1 1 2.5\n", "line 1: expected 6 columns 'query Q0 .*', got 5"),
        (read_trec_run, "q1 Q0 d1 1 2 a\n\nq1 Q0 d 2 1 2 3 a\n", "line 3: expected 6 .* got 8"),
        (read_trec_run, "q1 Q0 d1 1 high a\n", "line 1: the score must be a finite number, got"),
        (read_trec_run, "q1 Q0 d1 1 nan a\n", "line 1: the score must be .* got 'nan'"),
        (read_trec_run, "q Q0 d 1 2 a\nq Q0 d 2 1 a\n", "line 2: document 'd' is there twice"),
        (read_trec_run, " \n", "is empty; each of its lines must be 'query Q0"),
        (read_trec_run, b"\xff\xfeq Q0", "is no TREC file.*Each line must be"),
        (read_trec_run, "q1 Q0 d1 1 1_000 r\n", "line 1: the score must be .* got '1_000'"),
        (read_trec_qrels, "q1 0 d1 1.5\n", "line 1: the grade must be a whole number .* '1.5'"),
        (read_trec_qrels, "q1 0 d1 1_0\n", "line 1: the grade must be a whole number .* '1_0'"),
        (read_trec_qrels, "q1 0 d1 \u0663\n", "line 1: the grade must be a whole number .* got"),
        (read_trec_qrels, "q1 0 d1 40000\n", "line 1: .* up to 32767, got .40000."),
        (read_trec_qrels, "q1 0 d1 1\nq1 d1 1\n", "line 2: expected 4 columns .* got 3: 'q1 d1 1'"),
        (read_trec_qrels, "q1 0 d1 1\nq1 0 d1 0\n", "line 2: document 'd1' is there twice"),
    ],
)
def test_bad_lines_are_named(tmp_path, reader, content, message):
    path = tmp_path / "file"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DamagedFileError, match=message):
        reader(path)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"query_ids": {"q1", "q2"}}, "query_ids must be a list of ids in order"),
        ({"query_ids": (query for query in ["q1"])}, "query_ids must be a list of ids in order"),
        ({"query_ids": 3}, "query_ids must be a list of ids in order, got 3"),
        ({"query_ids": [None]}, "query id None must be a text or a whole number"),
        ({"complete": "no"}, "complete must be True or False"),
        ({"depth": 10**12}, "depth must be at most"),
    ],
)
def test_options_of_loading_are_named(files, options, message):
    with pytest.raises(RetrievalInputError, match=message):
        load_trec(*files, **options)


@pytest.mark.filterwarnings("error")
def test_scores_beyond_single_precision_are_equal_as_in_trec_eval(files):
    files[0].write_text("q1 Q0 d1 1 2e39 r\nq1 Q0 d2 2 1e39 r\nq1 Q0 d5 3 1 r\n")
    data = load_trec(*files)
    assert [data.item_ids[item] for item in data.run[1][0]] == ["d2", "d1", "d5"]


def test_missing_and_unrelated_files_are_named(files, tmp_path):
    with pytest.raises(MissingFileError, match="absent is missing; each of its lines"):
        read_trec_run(tmp_path / "absent")
    files[1].write_text("other 0 d1 1\n")
    with pytest.raises(RetrievalInputError, match="do both files use the same query ids"):
        load_trec(*files)


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        (([[0, 0]],), {}, "id 0 is twice in row 0"),
        (([[0, 1]],), {"item_ids": ["a b", "c"]}, "item id 'a b' at position 0 .* space"),
        (([[0, 1]],), {"item_ids": ["a", "a"]}, "item ids must differ, got 'a'"),
        (([[0, 2]],), {"item_ids": ["a", "b"]}, "id 2 in row 0 of the run is outside"),
        (([[0], [1]],), {"query_ids": ["a"]}, "query_ids must hold at least 2 ids, got 1"),
        (([[0, 1]],), {"query_ids": "q"}, "query_ids must be a list of ids in order, got 'q'"),
        (([[0, 1]],), {"query_ids": {"q"}}, "query_ids must be a list of ids in order, got {'q'}"),
        (([[0, 1]],), {"item_ids": iter("ab")}, "item_ids must be a list of ids in order, got <"),
        (([[0, 1]],), {"item_ids": [1.0, 2.0]}, "item id 1.0 must be a text or a whole number"),
        (([[0, 1]],), {"item_ids": ["a", "\ud800"]}, "cannot be written in a UTF-8 file"),
        (([[0, 1]],), {"query_ids": ["\ufeffq"]}, "cannot be written in a UTF-8 file"),
        (([[-1, 1]],), {}, "row 0 of the run has no item at rank 1"),
        ((([[1.0, 2.0]], [[0, 1]]),), {}, "scores of row 0 rise from 1.0 to 2.0 at rank 2"),
        (([[0, 1]],), {"tag": "my run"}, "tag id 'my run'"),
        (
            (([[1.0]], [[0, 1]]),),
            {},
            r"scores must be numbers of shape \(1, 2\), got float64 \(1, 1\)",
        ),
        ((([[1.0, np.nan]], [[0, 1]]),), {}, "scores has the value nan in row 0, column 1"),
    ],
)
def test_bad_runs_are_not_written(tmp_path, arguments, options, message):
    with pytest.raises(RetrievalInputError, match=message):
        write_trec_run(tmp_path / "run", *arguments, **options)
    assert not list(tmp_path.iterdir())
