"""The gallery of texts: every text, or each item by the best of its texts; a result says which."""

import json

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.metrics import evaluate_by_best_text
from lib.studies.published import Result, compare_results, evaluate_rows
from lib.studies.published.protocol import Protocol, protocol_differences
from lib.studies.published.text_tables import result_notes
from tests.studies.published.corpora import N_ITEMS, OWNER, corpus, rows

CLIPS = corpus(modality="video", name="msvd")
MEDIA, TEXTS = rows(noise=1.5)
BEST = {"text_gallery": "best of item"}


@pytest.fixture(scope="module")
def best():
    return evaluate_rows(MEDIA, TEXTS, CLIPS, **BEST)


def test_only_the_way_from_media_to_text_changes(best):
    every = evaluate_rows(MEDIA, TEXTS, CLIPS)
    ours, theirs = (found.direction("text_to_video") for found in (best, every))
    assert ours.values == theirs.values and ours.n_gallery == N_ITEMS
    part = best.direction("video_to_text")
    expected = evaluate_by_best_text(MEDIA, TEXTS, Qrels.from_owner(OWNER, N_ITEMS))
    assert part.first_ranks.tolist() == expected.first_ranks.tolist()
    assert (part.n_queries, part.n_gallery) == (N_ITEMS, N_ITEMS)
    for metric in ("R@1", "R@5", "R@10", "MRR", "MedR", "MeanR"):
        assert part[metric].value == pytest.approx(expected.value(metric))
    other = every.direction("video_to_text")
    assert other.n_gallery == OWNER.size and part["R@1"].value == other["R@1"].value
    assert part["R@5"].value >= other["R@5"].value and part["MAP@R"].value == part["R@1"].value
    assert part.queries_checksum == other.queries_checksum  # the same queries


def test_the_result_says_which_one_was_used(best, tmp_path):
    assert best.protocol.title.endswith(", video to text by the best sentence of each video")
    assert result_notes(best)[0] == best.protocol.title
    every = evaluate_rows(MEDIA, TEXTS, CLIPS)
    assert "best sentence" not in every.protocol.title
    assert protocol_differences(best.protocol, every.protocol) == [
        "text_gallery: 'best of item' and 'every text'"
    ]
    with pytest.raises(RetrievalInputError, match="text_gallery: 'best of item' and 'every text'"):
        compare_results(best, every)
    loaded = Result.load(best.save(tmp_path / "best.json"))
    assert loaded.protocol == best.protocol


def test_results_of_before_are_of_every_text(tmp_path):
    path = evaluate_rows(MEDIA, TEXTS, CLIPS).save(tmp_path / "old.json")
    data = json.loads(path.read_text())
    del data["protocol"]["text_gallery"]
    path.write_text(json.dumps(data))
    assert Result.load(path).protocol.text_gallery == "every text"
    data["protocol"]["text_gallery"] = "some"
    path.write_text(json.dumps(data))
    with pytest.raises(RetrievalInputError, match="text_gallery must be one of"):
        Result.load(path)


@pytest.mark.parametrize(
    "options",
    [
        {"folds": 2},
        {"inference": "transductive"},
        {"inference": "querybank", "banks": {"text": TEXTS}},
        {"trec_folder": "nowhere"},
        {"judgements": "cxc"},
    ],
)
def test_it_goes_with_nothing_else(options):
    with pytest.raises(RetrievalInputError, match="'best of item' goes with the whole gallery"):
        evaluate_rows(MEDIA, TEXTS, CLIPS, **BEST, **options)


def test_bad_values_and_shared_texts_are_refused():
    with pytest.raises(RetrievalInputError, match="Did you mean 'best of item'"):
        evaluate_rows(MEDIA, TEXTS, CLIPS, text_gallery="best of items")
    with pytest.raises(RetrievalInputError, match="text_gallery must be one of"):
        Protocol("msvd", "test", (("video", 1), ("text", 1)), text_gallery="all")
    qrels = Qrels.from_pairs(
        [*range(OWNER.size), 0], [*OWNER, OWNER[-1]], shape=(OWNER.size, N_ITEMS)
    )
    with pytest.raises(RetrievalInputError, match="text 0 has 2"):
        evaluate_rows(MEDIA, TEXTS, corpus(modality="video", qrels=qrels), **BEST)


def test_equal_rows_count_against(best):
    found = evaluate_rows(np.ones((N_ITEMS, 3)), np.ones((OWNER.size, 3)), CLIPS, **BEST)
    part = found.direction("video_to_text")
    assert part["R@10"].value == 0 and part.tie_share == 1 and part["MeanR"].value == N_ITEMS
