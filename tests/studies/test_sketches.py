"""The study of sketches: committed numbers agree with each other, and small parts by hand."""

import numpy as np
import pytest

from lib.core.paths import artifacts_dir
from lib.datasets import sketches
from lib.models.artifact_files import CARD, load_card
from lib.models.trained_models import card_text, load_model
from lib.search import BM25Retriever
from lib.search.bm25 import stems_of
from lib.studies.sketches import results
from lib.studies.sketches.leak import LeakSet, train_head
from lib.studies.sketches.retrieval import DEFORMED, hands_of_ablation
from lib.studies.sketches.systems import HISTOGRAMS, PLAIN, TOWER, SketchSystem
from lib.studies.sketches.words import PageSearch, WordQueries

# ---- committed numbers


def test_the_card_is_the_one_inside_the_file():
    card = load_card("sketches")
    assert (artifacts_dir() / "sketches" / CARD).read_text() == card_text("sketches", card)


@pytest.mark.parametrize("task", ["pictures, split", "pictures, all", "icons"])
@pytest.mark.parametrize("system", [TOWER, PLAIN, HISTOGRAMS])
def test_ranks_of_queries_give_the_table(task, system):
    ranks = results.ranks_of(task, DEFORMED, system)
    assert len(ranks) == len(results.concepts_of(task, DEFORMED))
    for k in (1, 10):
        label = {"task": task, "condition": DEFORMED, "system": system}
        value = results.value_of(results.RESULTS, f"R@{k}", **label)
        assert (ranks <= k).mean() == pytest.approx(value, abs=1e-5)


def test_the_model_still_finds_what_the_table_says():
    system = SketchSystem(TOWER, load_model("sketches"))
    task = sketches.task("test")
    assert task.gallery.shape == (169, 64, 64, 3)
    _, ids = system.run(task)
    hits = [item in task.qrels.at_least(3).row(i)[0] for i, item in enumerate(ids[:, 0].tolist())]
    label = {"task": "pictures, split", "condition": DEFORMED, "system": TOWER}
    assert np.mean(hits) == pytest.approx(
        results.value_of(results.RESULTS, "R@1", **label), abs=0.02
    )


def test_promises_of_the_tower():
    label = {"condition": DEFORMED, "system": TOWER}
    for task, least in (("pictures, split", 0.9), ("pictures, all", 0.7), ("icons", 0.4)):
        assert results.value_of(results.RESULTS, "R@10", task=task, **label) >= least
    gain, low, high = results.difference("pictures, all", DEFORMED, TOWER, PLAIN, 10)
    assert 0 < low < gain < high


def test_the_leak_flatters():
    values = {
        name: results.value_of(results.LEAK, "R@1", **{"split by": name})
        for name in ("none", "concept", "drawing")
    }
    assert values["none"] < values["concept"] < values["drawing"]


def test_a_word_helps():
    for task in ("pages, deformed", "pages, by mouse"):
        gain, low, high = results.word_gain(task, both="both, word as a filter")
        assert 0 < low < gain < high


def test_a_sketch_takes_less_than_20_ms():
    assert results.STORE.table(results.TIMES)["median ms"].max() < 20


def test_tables_become_text():
    (first, *_) = results.format_results("icons", DEFORMED)
    assert first["system"] == TOWER and "to" in first["R@10"]
    assert results.format_ablation()[0]["hand"] == "measured"
    assert [row["split by"] for row in results.format_leak()] == ["none", "concept", "drawing"]
    assert len(results.format_words("pages, by mouse")) == 6
    assert all(line.endswith(".") for line in results.sentences_of_results())
    assert set(results.word_tasks()) >= {"pages, deformed", "icons, deformed"}


# ---- parts by hand


def test_hands_of_the_ablation():
    hands = hands_of_ablation()
    assert hands["without drop"].drop == 0 and hands["without drop"].warp > 0
    assert hands["only drop"].drop > 0 and hands["only drop"].warp == 0
    assert "only care" not in hands and hands["none"] == sketches.PLAIN


def test_a_word_as_a_filter_by_hand():
    search = PageSearch.__new__(PageSearch)
    search.pages = ["fruit red", "tool", "fruit green"]
    search.pictures = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8]], np.float32)
    search.titles = search.pictures
    search.words = BM25Retriever(search.pages, tokens_of=stems_of)
    queries = WordQueries(None, ("fruit",), np.array([[0.0, 1.0]], np.float32), None)
    scores, ids = search.by_filter(queries, 1.0)
    # The sketch alone ranks 2, 1, 0; pages with the word come first.
    assert ids.tolist() == [[2, 0, 1]] and (np.diff(scores[0]) < 0).all()
    assert search.by_vector(queries.sketches, 1.0)[1].tolist() == [[2, 1, 0]]


def test_a_head_learns_its_training_set():
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(20, 12, generator=generator)
    vectors = torch.nn.functional.normalize(torch.randn(20, 6, generator=generator), dim=1)
    training = LeakSet(features, torch.arange(20), np.arange(20))
    start = torch.nn.Linear(12, 6, bias=False)
    trained = train_head(start, training, vectors, steps=200)

    def right(weight):
        return ((features @ weight.T) @ vectors.T).argmax(dim=1).eq(training.rows).sum()

    assert right(trained) > right(start.weight)
