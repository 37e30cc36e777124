"""Results of SugarCrepe and Winoground: the authors' arithmetic on noisy rows, and their files."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.choices import ChoiceCorpus
from lib.datasets.completeness import Count
from lib.datasets.registry import CORPORA
from lib.studies.published import Result, compare_results, evaluate_rows, text_tables
from lib.studies.published.embeddings_file import read_embeddings
from lib.studies.published.evaluation import evaluate_ranking
from lib.studies.published.paper_numbers import COLUMNS, beside_rows, published_numbers
from lib.studies.published.results import CHOICE_METRICS, MEAN_ACCURACY

N, DIM = 60, 8


def corpus(n_images=1, by_subset=True, repeats=1):
    """60 examples of three subsets; each image is in `repeats` of them."""
    per_subset = [30, 20, 10]
    subsets = tuple(np.repeat(["a", "b", "c"], per_subset))
    images = np.arange(N * n_images).reshape(N, n_images) // repeats
    n_items = int(images.max()) + 1
    texts = tuple(f"text {at}" for at in range(2 * N))
    return ChoiceCorpus(
        name="toys", split="test", media=range(n_items),
        item_ids=tuple(f"i{at}" for at in range(n_items)), texts=texts,
        text_ids=tuple(f"t{at}" for at in range(2 * N)),
        example_ids=tuple(f"e{at}" for at in range(N)), images=images,
        captions=np.arange(2 * N).reshape(N, 2), subsets=subsets, by_subset=by_subset,
        counts=(Count("examples", N, N),),
    )  # fmt: skip


def rows(of, seed=0, noise=2.0):
    """Embeddings of the images, and of captions around the right one."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(len(of.item_ids), DIM))
    texts = noise * rng.normal(size=(len(of.texts), DIM))
    own = of.images if of.images.shape[1] == 2 else of.images[:, :1]
    for column in range(own.shape[1]):
        texts[of.captions[:, column]] += images[own[:, column]]
    return images, texts


def cosine(a, b):
    return float(np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b)))


def value(result, direction, metric):
    return result.direction(direction)[metric].value


def test_accuracies_are_those_of_the_authors():
    of = corpus()
    images, texts = rows(of)
    result = evaluate_rows(images, texts, of)
    correct: dict[str, list[int]] = {}
    for example, subset in enumerate(of.subsets):
        image = images[of.images[example, 0]]
        positive, negative = (cosine(texts[at], image) for at in of.captions[example])
        correct.setdefault(subset, []).append(1 if positive > negative else 0)
    metrics = {name: sum(counted) / len(counted) for name, counted in correct.items()}
    for name, accuracy in metrics.items():
        found = value(result, f"image_to_text ({name})", "accuracy")
        assert found == pytest.approx(accuracy, abs=1e-9) and 0.5 < found < 1
    mean = sum(metrics.values()) / len(metrics)
    assert value(result, "image_to_text", MEAN_ACCURACY) == pytest.approx(mean, abs=1e-9)
    pooled = sum(map(sum, correct.values())) / N
    assert value(result, "image_to_text", "accuracy") == pytest.approx(pooled, abs=1e-9)
    assert mean != pytest.approx(pooled, abs=1e-3)
    for part in result.directions:
        for measured in part.values.values():
            assert measured.low <= measured.value <= measured.high <= 1 and measured.chance == 0.5


def test_scores_of_winoground_are_those_of_the_authors():
    of = corpus(n_images=2, by_subset=False)
    images, texts = rows(of)
    result = evaluate_rows(images, texts, of)
    found: dict[str, list[tuple[bool, bool]]] = {}
    for example, tag in enumerate(of.subsets):
        score = {
            f"c{c}_i{i}": cosine(texts[of.captions[example, c]], images[of.images[example, i]])
            for c in range(2)
            for i in range(2)
        }
        text = score["c0_i0"] > score["c1_i0"] and score["c1_i1"] > score["c0_i1"]
        image = score["c0_i0"] > score["c0_i1"] and score["c1_i1"] > score["c1_i0"]
        for name in ("", f" ({tag})"):
            found.setdefault(name, []).append((text, image))
    assert list(found) == ["", " (a)", " (b)", " (c)"]
    for name, answers in found.items():
        text, image, group = np.array([(*pair, all(pair)) for pair in answers]).mean(axis=0)
        scores = {"text": ("image_to_text", text), "image": ("text_to_image", image)}
        scores["group"] = "both", group
        for score, (direction, expected) in scores.items():
            got = value(result, direction + name, f"{score} score")
            assert got == pytest.approx(expected, abs=1e-9) and 0 < got < 1
    chances = [next(iter(part.values.values())).chance for part in result.directions[:3]]
    assert chances == pytest.approx([1 / 4, 1 / 4, 1 / 6])


def test_equal_captions_are_a_tie_and_wrong():
    of = corpus()
    images, texts = rows(of)
    texts[of.captions[:5, 1]] = texts[of.captions[:5, 0]]
    result = evaluate_rows(images, texts, of)
    part = result.direction("image_to_text (a)")
    assert (part.first_ranks[:5] == 2).all() and part.tie_share == pytest.approx(5 / 30)
    assert "16.67% of first ranks depend on ties" in " ".join(text_tables.result_notes(result))


def test_examples_of_one_image_are_one_cluster():
    alone, shared = corpus(), corpus(repeats=5)
    assert evaluate_rows(*rows(alone), alone).directions[0].groups is None
    groups = evaluate_rows(*rows(shared), shared).directions[0].groups
    assert groups.tolist() == (np.arange(N) // 5).tolist()
    right = np.arange(N) // 5 % 2 == 0  # whole clusters succeed or fail
    images, texts = rows(shared)
    texts[shared.captions[:, 0]] = images[shared.images[:, 0]]
    texts[shared.captions[:, 1]] = images[shared.images[:, 0]] * np.where(right, -1, 1)[:, None]
    clustered = evaluate_rows(images, texts, shared).directions[0]["accuracy"]
    single = replace(shared, images=np.arange(N)[:, None], media=range(N),
                     item_ids=tuple(f"i{at}" for at in range(N)))  # fmt: skip
    singly = evaluate_rows(images[shared.images[:, 0]], texts, single).directions[0]["accuracy"]
    assert clustered.value == singly.value == pytest.approx(right.mean())
    assert clustered.high - clustered.low > 1.5 * (singly.high - singly.low)


@pytest.fixture
def written(tmp_path):
    of = corpus()
    paths = []
    for seed, noise in ((0, 2.0), (0, 0.5)):
        result = evaluate_rows(*rows(of, seed, noise), of, identity={"model": str(noise)})
        paths.append(result.save(tmp_path / f"{noise}.json"))
    return paths


def test_a_saved_result_is_compared_by_example(written):
    far, near = (Result.load(path) for path in written)
    assert near.rsum is None and near.protocol.captions == "right and wrong"
    found = {(row["direction"], row["metric"]): row for row in compare_results(near, far)}
    assert len(found) == 5
    for (direction, metric), row in found.items():
        a, b = value(near, direction, metric), value(far, direction, metric)
        assert row["difference"] == pytest.approx(a - b, abs=1e-12)
        assert row["low"] <= row["difference"] <= row["high"]
        assert (row["p_mcnemar"] is None) == (metric == MEAN_ACCURACY)
    assert found["image_to_text", MEAN_ACCURACY]["p_value"] < 0.05
    table = text_tables.format_comparison(compare_results(near, far))
    assert table[0]["direction"] == "image to text"
    assert table[-1]["direction"] == "image to text (c)"


@pytest.mark.parametrize(
    "place, wrong, message",
    [
        (("values", MEAN_ACCURACY, "value"), 0.9, "mean accuracy is 0.9, but its subsets give"),
        (
            ("values", "accuracy", "value"),
            0.9,
            "accuracy is 0.9, but the ranks of its queries give",
        ),
        (("values", "accuracy", "value"), 2, "accuracy is 2.0, expected 0 to 1"),
        (("n_gallery",), 1, "first_ranks"),
    ],
)
def test_changed_files_are_refused(written, place, wrong, message):
    data = json.loads(written[0].read_text())
    entry = data["directions"][0]
    for name in place[:-1]:
        entry = entry[name]
    entry[place[-1]] = wrong
    written[0].write_text(json.dumps(data))
    with pytest.raises(RetrievalInputError, match=message):
        Result.load(written[0])


def test_published_numbers_stand_beside_their_subset(tmp_path):
    columns = dict.fromkeys(COLUMNS, "")
    columns |= {"model": "mine", "kind": "zero-shot", "dataset": "toys", "split": "test"}
    columns |= {"gallery": "whole", "judgements": "original", "source": "here", "verified": "yes"}
    lines = [",".join(COLUMNS)]
    for direction, metric, number in (
        ("image_to_text (b)", "accuracy", "61.5"),
        ("image_to_text", MEAN_ACCURACY, "70.25"),
        ("both", "group score", "8.00"),
    ):
        row = columns | {"direction": direction, "metric": metric, "value": number}
        lines.append(",".join(row.values()))
    path = tmp_path / "numbers.csv"
    path.write_text("\n".join(lines) + "\n")
    of = corpus()
    result = evaluate_rows(*rows(of), of, identity={"model": "mine"})
    found = beside_rows(result, published_numbers(path))
    assert [(row["direction"], row["published"]) for row in found] == [
        ("image_to_text (b)", 61.5), ("image_to_text", 70.25)
    ]  # fmt: skip
    assert found[0]["protocol"] == []


@pytest.mark.parametrize(
    "options",
    [
        {"folds": 5},
        {"metrics": ["R@1"]},
        {"judgements": "cxc"},
        {"inference": "transductive"},
        {"trec_folder": "trec"},
    ],
)
def test_protocols_of_galleries_are_refused(options):
    of = corpus()
    with pytest.raises(RetrievalInputError, match="has no gallery: leave"):
        evaluate_rows(*rows(of), of, **options)


def test_rows_that_do_not_fit_are_refused():
    of = corpus()
    images, texts = rows(of)
    with pytest.raises(RetrievalInputError, match="59 image rows for 60 images"):
        evaluate_rows(images[1:], texts, of)
    with pytest.raises(RetrievalInputError, match="a cosine needs rows of one space"):
        evaluate_rows(images[:, 1:], texts, of)
    with pytest.raises(RetrievalInputError, match="only zeros in row 3"):
        evaluate_rows(images, np.where(np.arange(2 * N)[:, None] == 3, 0, texts), of)
    with pytest.raises(RetrievalInputError, match="has no gallery"):
        evaluate_ranking((np.ones((1, 1)), np.ones((1, 1), int)), "text_to_image", of)


def test_names_of_scores_are_known():
    assert set(CHOICE_METRICS) == {"accuracy", "text score", "image score", "group score"}


def test_rows_from_a_file_in_any_order(tmp_path):
    root = tmp_path / "mini"
    CORPORA["winoground"].write_miniature(root)
    for path in (root / "images").iterdir():
        path.unlink()
    of = CORPORA["winoground"].load(root, need_media=False)
    images, texts = rows(of)
    order = np.random.default_rng(0).permutation(len(images))
    arrays = {"image": images[order], "image_ids": np.array(of.item_ids)[order]}
    arrays |= {"text": texts[::-1], "text_ids": np.array(of.text_ids)[::-1]}
    np.savez(tmp_path / "rows.npz", **arrays)
    given = read_embeddings(tmp_path / "rows.npz", of)
    result = evaluate_rows(given.media, given.text, given.corpus)
    expected = evaluate_rows(images, texts, of)
    assert [part.values for part in result.directions] == [
        part.values for part in expected.directions
    ]
    lost = {name: array[order != 4] if name.startswith("image") else array
            for name, array in arrays.items()}  # fmt: skip
    np.savez(tmp_path / "fewer.npz", **lost)
    given = read_embeddings(tmp_path / "fewer.npz", of, allow_partial=True)
    part = evaluate_rows(given.media, given.text, given.corpus)
    assert part.directions[0].n_queries == 44 and not part.protocol.is_complete
    assert given.notes[0] == "1 image items have no row: they were left out"
