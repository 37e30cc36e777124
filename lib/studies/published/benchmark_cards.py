"""Describe the published benchmarks: task, sizes, terms of the files, known flaws."""

import csv

from lib.core.paths import data_dir
from lib.datasets.download.sources import load_sources
from lib.studies.published.leaderboard import half_width


def load_cards() -> list[dict]:
    """Read the seven corpora, images first. LAION is not a benchmark and has no sizes.

    Returns:
        Rows `name`, `asks` (query and item), `split` that papers report on, `n_queries` and
        `n_gallery` of that direction, `metrics` that papers print, `files` (known missing ones),
        `flaw`, `say_which` (the choice of protocol that makes two papers differ), and `terms`: the
        first sentence of the terms that a download shows.
    """
    path = data_dir() / "published" / "benchmark_cards.csv"
    with open(path, newline="", encoding="utf-8") as stream:
        cards: list[dict] = list(csv.DictReader(stream))
    sources = load_sources()
    for card in cards:
        for size in ("n_queries", "n_gallery"):
            card[size] = int(card[size]) if card[size] else None
        card["terms"] = sources[card["name"]].terms.partition(". ")[0].removesuffix(".")
    return cards


def size_rows() -> list[dict]:
    """List sizes, the R@1 of chance and the half interval of an R@1 of 50, in percent."""
    rows = []
    for card in load_cards():
        n_queries, n_gallery = card["n_queries"], card["n_gallery"]
        row = {"benchmark": card["name"], "asks": card["asks"], "split": card["split"]}
        row |= {"queries": n_queries, "gallery": n_gallery, "metrics": card["metrics"]}
        row["chance"] = 100 / n_gallery if n_gallery else None
        row["half_interval"] = half_width(50, n_queries) if n_queries else None
        rows.append(row)
    return rows


def caveat_rows() -> list[dict]:
    """List terms, missing files, flaws, and the choice of protocol that papers differ in."""
    columns = ("terms", "files", "flaw", "say_which")
    return [
        {"benchmark": card["name"]} | {name: card[name] for name in columns}
        for card in load_cards()
    ]
