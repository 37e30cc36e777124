"""The table of benchmarks that notebook 19 shows agrees with what the loaders expect."""

import csv

from lib.core.paths import data_dir
from lib.datasets import activitynet, audioset, cirr, coco, flickr30k, msrvtt, vggsound
from lib.datasets.registry import CORPORA, FAMILIES


def cards():
    with open(data_dir() / "published" / "benchmark_cards.csv", newline="") as stream:
        return {card["name"]: card for card in csv.DictReader(stream)}


def test_every_card_is_of_a_corpus_and_has_all_texts():
    found = cards()
    assert set(found) <= set(CORPORA)
    for card in found.values():
        assert all(value for name, value in card.items() if name not in ("n_queries", "n_gallery"))


def test_sizes_are_those_that_the_loaders_check():
    test = {"coco": coco.PUBLISHED["test"], "msrvtt": msrvtt.PUBLISHED["1k-A"]}
    sizes = {
        "coco": (test["coco"]["captions, all"], test["coco"]["images"]),
        "flickr30k": (flickr30k.PUBLISHED["test"]["captions"], 1000),
        "msrvtt": (test["msrvtt"]["captions"], test["msrvtt"]["videos"]),
        "activitynet": (activitynet.PUBLISHED["val_1"]["captions"],) * 2,
        "audioset": (audioset.PUBLISHED["retrieval"]["clips"],) * 2,
        "vggsound": (vggsound.PUBLISHED["retrieval"]["clips"],) * 2,
        "laion": ("", ""),
    }
    found = cards()
    for name, (queries, gallery) in sizes.items():
        card = found[name]
        assert (card["n_queries"], card["n_gallery"]) == (str(queries), str(gallery)), name
    for kept in ("all", "first 5", "unique"):
        assert f"{test['coco'][f'captions, {kept}']:,}" in found["coco"]["say_which"]
    repeated = test["msrvtt"]["captions"] - test["msrvtt"]["distinct sentences"]
    assert found["msrvtt"]["flaw"].startswith(f"{repeated} sentences repeat")


def test_sizes_of_sound_corpora_are_those_of_their_releases():
    found, parts = cards(), audioset.PUBLISHED
    unbalanced_train = 2_041_789  # segments of the set that no split here loads
    total = unbalanced_train + parts["eval"]["segments"] + parts["balanced_train"]["segments"]
    assert found["audioset"]["size"] == f"{total:,} clips, {parts['eval']['classes']} classes"
    assert found["vggsound"]["size"].endswith(f"{vggsound.PUBLISHED['test']['classes']} classes")


def test_every_family_of_benchmarks_is_described_for_readers():
    with open(data_dir() / "published" / "benchmark_families.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    described = [row["family"] for row in rows]
    assert described == [name for name in FAMILIES if name in described]
    benchmarks = {one.family for one in CORPORA.values()} - {"training"}
    assert set(described) == benchmarks
    assert all(all(row.values()) for row in rows)


def test_the_set_of_a_composed_query_has_the_size_that_readers_are_told():
    with open(data_dir() / "published" / "benchmark_families.csv", newline="") as stream:
        by_family = {row["family"]: row for row in csv.DictReader(stream)}
    candidates = {5: "five"}[cirr.SET_SIZE - 1]  # the reference is in the set, and is left out
    assert by_family["composed queries"]["reported"].endswith(f"among {candidates}")
