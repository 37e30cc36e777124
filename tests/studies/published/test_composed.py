"""Composed queries: the authors' arithmetic, both halves of a query, files and the command."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from lib.cli import app
from lib.core.checks import RetrievalInputError
from lib.datasets.cirr import load_cirr
from lib.datasets.fashioniq import load_fashioniq
from lib.datasets.registry import CORPORA
from lib.studies.published import (
    Result,
    compare_results,
    embed_composed,
    evaluate_composed,
    evaluate_ranking,
    evaluate_rows,
)
from lib.studies.published.cirr_submission import write_submission
from lib.studies.published.embeddings_file import read_embeddings
from lib.studies.published.paper_numbers import beside_rows, published_numbers


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("composed")
    for name in ("cirr", "fashioniq"):
        CORPORA[name].write_miniature(folder / name)
    return folder


@pytest.fixture(scope="module")
def cirr(roots):
    return load_cirr(roots / "cirr", need_media=False)


def noisy_rows(corpus, seed=0, dim=12):
    """Queries between reference and target, with noise, so that every rank occurs."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(len(corpus.item_ids), dim))
    queries = images[corpus.references] + 0.5 * images[corpus.qrels.items]
    return images, queries + rng.normal(size=queries.shape)


def sorted_names(images, queries, names):
    """As CLIP4Cir: all names by 1 - cosine, ascending."""
    images, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (images, queries))
    return np.array(names)[np.argsort(1 - queries @ images.T, axis=1)]


def names_of(corpus, positions):
    return np.array([corpus.item_ids[at] for at in positions])


@pytest.mark.parametrize("seed", range(3))
def test_cirr_is_the_arithmetic_of_clip4cir(cirr, seed):
    # compute_cirr_val_metrics in src/validate.py of ABaldrati/CLIP4Cir, in numpy.
    images, queries = noisy_rows(cirr, seed)
    ranked = sorted_names(images, queries, cirr.item_ids)
    references, targets = names_of(cirr, cirr.references), names_of(cirr, cirr.qrels.items)
    n = len(targets)
    ranked = ranked[ranked != references[:, None]].reshape(n, -1)
    labels = ranked == targets[:, None]
    sets = cirr.galleries[1].members
    members = np.array([[*names_of(cirr, sets.row(at)[0]), references[at]] for at in range(n)])
    in_set = (ranked[..., None] == members[:, None, :]).sum(-1).astype(bool)
    of_set = labels[in_set].reshape(n, -1)
    assert ranked.shape == (55, 54) and of_set.shape == (55, 5)
    found = evaluate_composed(images, queries, cirr)
    for k in (1, 5, 10, 50):
        expected = labels[:, :k].sum() / n
        assert found.direction("query_to_image")[f"R@{k}"].value == pytest.approx(
            expected, abs=1e-9
        )
    for k in (1, 2, 3):
        expected = of_set[:, :k].sum() / n
        assert found.direction("query_to_subset")[f"R@{k}"].value == pytest.approx(
            expected, abs=1e-9
        )
    assert found.direction("query_to_subset")["R@1"].chance == pytest.approx(1 / 5)
    assert found.direction("query_to_image")["R@1"].chance == pytest.approx(1 / 54)
    assert found.direction("query_to_image").n_gallery == 54


@pytest.mark.parametrize("options", [{}, {"gallery": "union"}, {"reference": "removed"}])
def test_fashioniq_is_the_arithmetic_of_clip4cir(roots, options):
    # compute_fiq_val_metrics: the gallery keeps the reference; the mean is over categories.
    corpus = load_fashioniq(roots / "fashioniq", need_media=False, **options)
    images, queries = noisy_rows(corpus, dim=6)
    found = evaluate_composed(images, queries, corpus, ks=(1, 10, 30))
    expected = []
    for one in corpus.galleries:
        items, asked = one.items, one.queries
        ranked = sorted_names(images[items], queries[asked], names_of(corpus, items))
        if options.get("reference") == "removed":
            references = names_of(corpus, corpus.references[asked])
            ranked = ranked[ranked != references[:, None]].reshape(len(asked), -1)
        labels = ranked == names_of(corpus, corpus.qrels.items[asked])[:, None]
        assert (labels.sum(axis=1) == 1).all()
        expected.append([labels[:, :k].sum() / len(labels) for k in (1, 10, 30)])
        for k, value in zip((1, 10, 30), expected[-1], strict=True):
            part = found.direction(f"query_to_{one.name}")
            assert part[f"R@{k}"].value == pytest.approx(value, abs=1e-9)
    mean = found.direction("query_to_image")
    for k, value in zip((1, 10, 30), np.mean(expected, axis=0), strict=True):
        assert mean[f"R@{k}"].value == pytest.approx(value, abs=1e-9)
        assert 0 <= mean[f"R@{k}"].low <= value <= mean[f"R@{k}"].high <= 1
    lows = [found.direction(f"query_to_{one.name}")["R@10"].low for one in corpus.galleries]
    assert mean["R@10"].low > np.mean(lows)  # three categories say more than one
    assert (found.protocol.gallery, found.protocol.n_folds) == ("mean of folds", 3)
    assert mean.n_gallery == max(part.n_gallery for part in found.directions[1:])


def test_a_reference_is_found_first_where_it_is_kept(roots, cirr):
    images, _ = noisy_rows(cirr)
    alone = images[cirr.references]
    kept = evaluate_composed(
        images, alone, load_cirr(roots / "cirr", reference="kept", need_media=False)
    )
    removed = evaluate_composed(images, alone, cirr)
    assert kept.direction("query_to_image")["R@1"].value == 0
    first = kept.direction("query_to_image").first_ranks
    assert (first == removed.direction("query_to_image").first_ranks + 1).all()
    assert kept.direction("query_to_subset").n_gallery == 6


def test_metrics_and_cut_offs_by_name(cirr):
    rows = noisy_rows(cirr)
    found = evaluate_composed(*rows, cirr, metrics=["R@1", "R@50", "MedR"])
    assert list(found.direction("query_to_image").values) == ["R@1", "R@50", "MedR"]
    assert list(found.direction("query_to_subset").values) == ["R@1", "MedR"]
    with pytest.raises(RetrievalInputError, match="k must be between 1 and 54"):
        evaluate_composed(*rows, cirr, metrics=["R@55"])


def test_a_result_is_read_again_and_compared(roots, cirr, tmp_path):
    results = [evaluate_composed(*noisy_rows(cirr, seed), cirr) for seed in (0, 1)]
    again = [Result.load(one.save(tmp_path / f"{n}.json")) for n, one in enumerate(results)]
    rows = compare_results(*again, n_resamples=99)
    assert {(row["direction"], row["metric"]) for row in rows} == {
        ("query_to_image", "R@1"), ("query_to_image", "R@5"), ("query_to_image", "R@10"),
        ("query_to_subset", "R@1"),
    }  # fmt: skip
    assert rows[0]["n_clusters"] == np.unique(cirr.references).size == 22
    kept = load_cirr(roots / "cirr", reference="kept", need_media=False)
    with pytest.raises(RetrievalInputError, match="'reference removed' and 'reference kept'"):
        compare_results(again[0], evaluate_composed(*noisy_rows(kept), kept))
    fashion = load_fashioniq(roots / "fashioniq", need_media=False)
    one, other = (evaluate_composed(*noisy_rows(fashion, seed, 6), fashion) for seed in (0, 1))
    again = Result.load(one.save(tmp_path / "f.json"))
    assert "mean of 3 folds" in again.protocol.title
    row = compare_results(again, other, n_resamples=99)[0]  # each category counts the same
    assert (row["direction"], row["metric"]) == ("query_to_image", "R@10")
    for side, result in (("a", one), ("b", other)):
        assert row[side] == pytest.approx(result.direction("query_to_image")["R@10"].value)


def test_published_rows_of_a_set_and_a_category_are_put_beside(cirr, tmp_path):
    header = "model,pretrained,kind,dataset,split,direction,gallery,n_queries,n_gallery,captions,"
    header += "judgements,prompt,inference,metric,value,year,source,verified\n"
    row = "m,t,zero-shot,cirr,val,{},whole,4181,{},reference removed,original,none,inductive,R@1,"
    path = tmp_path / "rows.csv"
    lines = [row.format("query_to_image", 2296) + "20.0,2023,paper,yes\n"]
    lines += [row.format("query_to_subset", 5) + "40.0,2023,paper,yes\n"]
    path.write_text(header + "".join(lines))
    result = evaluate_composed(*noisy_rows(cirr), cirr, identity={"model": "m", "tag": "t"})
    beside = beside_rows(result, published_numbers(path))
    assert [(one["direction"], one["published"]) for one in beside] == [
        ("query_to_image", 20.0), ("query_to_subset", 40.0),
    ]  # fmt: skip
    assert "gallery items: 54 here, 2296 there" in beside[0]["protocol"]
    path = tmp_path / "others.csv"
    path.write_text(header + row.format("query_to_text", 5) + "40.0,2023,paper,yes\n")
    with pytest.raises(RetrievalInputError, match="direction 'query_to_text' is not known"):
        published_numbers(path)


# ---- the server of CIRR


def test_a_submission_has_the_form_of_the_release(roots, tmp_path):
    test = load_cirr(roots / "cirr", "test1", need_media=False)
    rng = np.random.default_rng(0)
    images, queries = rng.normal(size=(20, 8)), rng.normal(size=(20, 8))
    whole, subset = write_submission(tmp_path / "new", images, queries, test)
    assert (whole.name, subset.name) == ("recall.json", "recall_subset.json")
    ranked = sorted_names(images, queries, test.item_ids)
    references = names_of(test, test.references)
    for path, metric, depth in ((whole, "recall", 19), (subset, "recall_subset", 3)):
        content = json.loads(path.read_text())
        assert content.pop("version") == "rc2" and content.pop("metric") == metric
        assert list(content) == list(test.text_ids)
        for at, names in enumerate(content.values()):
            members = set(names_of(test, test.galleries[1].members.row(at)[0]))
            expected = [name for name in ranked[at] if name != references[at]]
            if metric == "recall_subset":
                expected = [name for name in expected if name in members]
            assert names == expected[:depth]
    with pytest.raises(RetrievalInputError, match="are not published.*--write-submission"):
        evaluate_composed(images, queries, test)
    kept = load_cirr(roots / "cirr", "test1", reference="kept", need_media=False)
    with pytest.raises(RetrievalInputError, match="a submission is of cirr with reference=removed"):
        write_submission(tmp_path, images, queries, kept)


# ---- rows and models


class HalfEncoder:
    """Pictures are rows of the identity by their mean colour, texts by their length."""

    identity = {"model": "half", "tag": ""}

    def encode_image(self, pictures):
        return np.array([np.asarray(one).reshape(-1, 3).mean(axis=0) for one in pictures])

    def encode_text(self, texts):
        return np.array([[len(text), 1.0, 2.0] for text in texts])


def test_a_model_composes_its_queries(roots, tmp_path):
    corpus = load_cirr(roots / "cirr", "train")
    images, queries = embed_composed(HalfEncoder(), corpus, folder=tmp_path)
    assert images.shape == queries.shape == (15, 3)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in
            (images, HalfEncoder().encode_text(corpus.texts))]  # fmt: skip
    np.testing.assert_allclose(queries, unit[0][corpus.references] + unit[1], rtol=1e-5)


def test_rows_of_a_user_come_in_any_order_and_number(cirr, tmp_path):
    images, queries = noisy_rows(cirr)
    order = np.random.default_rng(1).permutation(55)
    np.savez(
        tmp_path / "rows.npz", image=np.vstack([images[order], images[:1]]),
        image_ids=[*np.array(cirr.item_ids)[order], "dev-0-0-img0"],
        query=queries[order], query_ids=np.array(cirr.text_ids)[order].astype(int),
    )  # fmt: skip
    given = read_embeddings(tmp_path / "rows.npz", cirr)
    np.testing.assert_array_equal(given.media, images)
    np.testing.assert_array_equal(given.text, queries)
    assert given.notes == ("1 of 56 image rows are not of this protocol: they were not used",)
    np.savez(
        tmp_path / "fewer.npz", image=images[1:], image_ids=cirr.item_ids[1:], query=queries,
        query_ids=cirr.text_ids,
    )  # fmt: skip
    with pytest.raises(RetrievalInputError, match="1 of 55 ids of the corpus have no row"):
        read_embeddings(tmp_path / "fewer.npz", cirr)
    part = read_embeddings(tmp_path / "fewer.npz", cirr, allow_partial=True)
    assert (len(part.media), len(part.text), part.corpus.qrels.shape) == (54, 45, (45, 54))
    assert "1 image items have no row: they were left out" in part.notes
    with pytest.raises(RetrievalInputError, match="54 image rows for 55 of cirr"):
        evaluate_composed(images[1:], queries, cirr)
    for evaluate in (
        lambda: evaluate_rows(images, queries, cirr),
        lambda: evaluate_ranking((queries, queries.astype(int)), "query_to_image", cirr),
    ):
        with pytest.raises(RetrievalInputError, match="composed queries; use evaluate_composed"):
            evaluate()


def test_the_command(roots, cirr, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images, queries = noisy_rows(cirr)
    np.savez(
        tmp_path / "rows.npz", image=images, image_ids=cirr.item_ids, query=queries,
        query_ids=cirr.text_ids,
    )  # fmt: skip
    command = ["eval", "cirr", "--root", str(roots / "cirr"), "--embeddings", "rows.npz"]
    shown = CliRunner().invoke(app, [*command, "--model", "mine", "--out", "r.json"])
    assert shown.exit_code == 0, shown.output
    assert "query to subset: 55 queries x 5 items" in shown.output
    assert Result.load(tmp_path / "r.json").direction("query_to_image").n_gallery == 54
    for more, message in (
        (["--folds", "5"], "--folds: composed queries"),
        (["--write-trec", "x"], "--write-trec: composed queries"),
        (["--option", "query=text"], "--option query with --embeddings"),
        (["--split", "test1"], "--write-submission FOLDER"),
    ):
        refused = CliRunner().invoke(app, [*command, *more])
        assert isinstance(refused.exception, RetrievalInputError), more
        assert message in str(refused.exception)
    test = load_cirr(roots / "cirr", "test1", need_media=False)
    np.savez(
        tmp_path / "rows.npz", image=images[:20], image_ids=test.item_ids, query=queries[:20],
        query_ids=test.text_ids,
    )  # fmt: skip
    shown = CliRunner().invoke(app, [*command, "--split", "test1", "--write-submission", "out"])
    assert shown.exit_code == 0 and "no scores here" in shown.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "recall.json", "recall_subset.json",
    ]  # fmt: skip
