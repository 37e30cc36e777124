import re
from pathlib import Path

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.models.artifact_files import load_card
from lib.studies import readme_results

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def rows():
    return readme_results.readme_table()


def value(rows, corpus, system, metric, direction="text_to_image"):
    wanted = (corpus, system, metric, direction)
    found = [r for r in rows if (r["corpus"], r["system"], r["metric"], r["direction"]) == wanted]
    assert len(found) == 1
    return found[0]


def test_one_row_per_corpus_direction_system_and_metric(rows):
    assert len(rows) == (3 + 1 + 1 + 2) * 2 * 2  # icons, test_b, emoji, scenes
    for row in rows:
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
        split = "test_b" if row["corpus"] == "icons, test_b" else "test"
        assert row["split"] == split and row["n_queries"] > 0


def test_pictures_beats_the_dual_encoder_in_both_directions(rows):
    for direction in readme_results.DIRECTIONS:
        newer, older = (
            value(rows, "icons", system, "R@10", direction)
            for system in ("pictures", "dual encoder")
        )
        assert newer["low"] > older["high"]
        assert (newer["n_queries"], newer["n_gallery"]) == (older["n_queries"], older["n_gallery"])


@pytest.mark.parametrize("corpus", ["icons", "scenes"])
def test_the_model_beats_the_baseline_and_the_baseline_beats_chance(rows, corpus):
    model, base = (value(rows, corpus, s, "R@10") for s in ("dual encoder", "word templates"))
    assert model["low"] > base["high"] and base["low"] > base["chance"]


def test_the_size_of_the_tasks(rows):
    icons, scenes = (value(rows, corpus, "dual encoder", "R@1") for corpus in ("icons", "scenes"))
    assert icons["n_queries"] >= 1300 and icons["n_gallery"] >= 1400
    assert (scenes["n_queries"], scenes["n_gallery"]) == (25_000, 5_000)
    assert (
        scenes["value"] >= 0.60 and value(rows, "scenes", "dual encoder", "R@10")["value"] >= 0.95
    )


@pytest.mark.parametrize("corpus", ["icons", "scenes"])
def test_the_model_card_says_what_the_embeddings_give(rows, corpus):
    for line in load_card(corpus)["metrics"]:
        if line["metric"] in ("R@1", "R@10"):
            row = value(rows, corpus, "dual encoder", line["metric"], line["direction"])
            assert row["value"] == pytest.approx(line["value"], abs=1e-12)


def printed(name, page="data/RESULTS.md"):
    pattern = f"<!-- {name}: .*?-->\n(.*?)<!-- end of {name} -->"
    return re.search(pattern, (ROOT / page).read_text(), re.S).group(1).strip()


def test_the_pages_print_these_tables(rows):
    assert printed("results") == readme_results.readme_markdown(rows)
    assert printed("summary", "README.md") == readme_results.summary_markdown(rows)


def test_the_page_prints_the_table_of_harder_queries():
    rows = readme_results.harder_queries_table()
    assert printed("harder queries") == readme_results.harder_queries_markdown(rows)


def test_chance_stands_once_per_direction(rows):
    lines = readme_results.readme_markdown(rows).splitlines()
    assert sum("| chance |" in line for line in lines) == 8
    assert len(lines) == 2 + 8 + (3 + 1 + 1 + 2) * 2
    assert lines[2:] == sorted(lines[2:], key=lambda line: line.split(" | ")[:2])


def test_stored_embeddings_fit_their_task():
    for direction in readme_results.DIRECTIONS:
        task = readme_results.load_test_task("icons", direction)
        queries, gallery = readme_results.stored_embeddings("icons", direction)
        assert (len(queries), len(gallery)) == task.qrels.shape and queries.dtype == np.int8


def test_unknown_names_are_listed():
    with pytest.raises(RetrievalInputError, match="icons"):
        readme_results.load_test_task("icon", "text_to_image")
    with pytest.raises(RetrievalInputError, match="word templates"):
        readme_results.evaluate_system("icons", "text_to_image", "templates")
