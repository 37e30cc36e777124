"""Printed numbers read as measurements, and the cards of benchmarks."""

from dataclasses import replace

import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets import activitynet, audioset, coco, flickr30k, msrvtt, vggsound
from lib.datasets.registry import CORPORA
from lib.studies.published import benchmark_cards, evaluate_rows, leaderboard, paper_numbers
from tests.studies.published.corpora import corpus, rows

TABLE = paper_numbers.published_numbers()
LIKE = leaderboard.select_numbers(
    TABLE, model="ViT-B-32", pretrained="openai", dataset="coco", metric="R@1", n_queries=25_010
)[0]


def row(value, year=None, model="", **columns):
    return replace(
        LIKE, value=value, year=year, model=model or f"m{value}", pretrained="", **columns
    )


# ---- intervals


def test_half_of_an_interval():
    assert leaderboard.half_width(50, 10_000) == pytest.approx(0.98, abs=5e-4)
    assert leaderboard.half_width(43, 1000) == pytest.approx(3.07, abs=5e-3)  # MSR-VTT 1k-A
    assert leaderboard.half_width(100, 10) == 0
    for percent, n in ((101, 10), (-1, 10), (50, 0)):
        with pytest.raises(RetrievalInputError, match="must be 0 to 100 of at least 1 query"):
            leaderboard.half_width(percent, n)


def test_steps_by_hand():
    found = leaderboard.step_rows([row(50.0), row(40.0), row(50.5), row(40.1)])
    assert [line["value"] for line in found] == [40.0, 40.1, 50.0, 50.5]
    assert found[0]["step"] is None and not found[0]["within"]
    assert [line["step"] for line in found[1:]] == pytest.approx([0.1, 9.9, 0.5])
    assert [line["within"] for line in found] == [
        False,
        True,
        False,
        True,
    ]  # the half interval is 0.6
    assert [line["n_within"] for line in found] == [1, 1, 1, 1]


def test_steps_need_one_measurement():
    for wrong in ([], [row(1.0), replace(row(2.0), metric="R@5")], [row(1.0, n_queries=None)]):
        with pytest.raises(RetrievalInputError, match="the number of queries"):
            leaderboard.step_rows(wrong)


# ---- which may stand side by side


def test_silence_is_no_agreement():
    silent, other, same = row(1.0, n_queries=None), row(2.0, prompt="a photo of {}"), row(3.0)
    assert leaderboard.comparable_numbers(
        [silent, other, same, row(4.0, kind="trained")], LIKE
    ) == [same]


def test_what_the_table_has_of_one_protocol():
    found = leaderboard.comparable_numbers(TABLE, LIKE)
    assert LIKE in found and {line.n_queries for line in found} == {
        coco.PUBLISHED["test"]["captions, all"]
    }
    assert {(line.prompt, line.direction) for line in found} == {("none", "text_to_image")}


def test_columns_by_name():
    assert (
        leaderboard.select_numbers(TABLE, metric="R@1", value=58.4, dataset="coco")[0].model
        == "ViT-L-14-336"
    )
    with pytest.raises(RetrievalInputError, match="no column is named modle"):
        leaderboard.select_numbers(TABLE, modle="ViT-B-32")


# ---- a result beside them


def test_a_result_beside_printed_numbers():
    media, texts = rows(noise=0.1)
    result = evaluate_rows(media, texts, corpus())
    own = 100 * result.direction("text_to_image")["R@1"].value
    line, far = leaderboard.against_rows(result, [row(own), row(0.0)])
    assert line["ours"][0] == own and line["difference"] == 0 and line["inside"]
    assert far["difference"] == own and not far["inside"]
    assert "toys here" in line["protocol"] and "25010 there" in line["protocol"]
    with pytest.raises(RetrievalInputError, match="direction"):
        leaderboard.against_rows(result, [row(1.0, direction="text_to_video")])


# ---- benchmark cards


def test_cards_hold_every_corpus_once_with_all_texts():
    cards = benchmark_cards.load_cards()
    assert sorted(card["name"] for card in cards) == sorted(CORPORA)
    assert all(card["terms"] and card["flaw"] and card["files"] for card in cards)
    assert all(card["say_which"] for card in cards)


def test_sizes_are_those_that_loaders_check():
    coco_counts, msrvtt_counts = coco.PUBLISHED["test"], msrvtt.PUBLISHED["1k-A"]
    sizes = {
        "coco": (coco_counts["captions, all"], coco_counts["images"]),
        "flickr30k": (flickr30k.PUBLISHED["test"]["captions"], 1000),
        "msrvtt": (msrvtt_counts["captions"], msrvtt_counts["videos"]),
        "activitynet": (activitynet.PUBLISHED["val_1"]["captions"],) * 2,
        "audioset": (audioset.PUBLISHED["retrieval"]["clips"],) * 2,
        "vggsound": (vggsound.PUBLISHED["retrieval"]["clips"],) * 2,
        "laion": (None, None),
    }
    lines = {line["benchmark"]: line for line in benchmark_cards.size_rows()}
    assert {name: (line["queries"], line["gallery"]) for name, line in lines.items()} == sizes
    cards = {card["name"]: card for card in benchmark_cards.load_cards()}
    for kept in ("all", "first 5", "unique"):
        assert f"{coco_counts[f'captions, {kept}']:,}" in cards["coco"]["say_which"]
    repeated = msrvtt_counts["captions"] - msrvtt_counts["distinct sentences"]
    assert cards["msrvtt"]["flaw"].startswith(f"{repeated} sentences repeat")
    assert lines["coco"]["chance"] == pytest.approx(0.02)
    assert lines["msrvtt"]["half_interval"] == pytest.approx(leaderboard.half_width(50, 1000))
    assert lines["laion"]["chance"] is None


def test_caveats_say_whose_terms_apply():
    assert {line["benchmark"]: line for line in benchmark_cards.caveat_rows()}["vggsound"][
        "terms"
    ].startswith("Labels: CC BY")
