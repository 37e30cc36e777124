"""Compare scores of familiarity on validation queries, fit the chosen one, report it on test."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd
import torch

from lib.core.checks import unit_rows
from lib.core.paths import artifacts_dir
from lib.core.writing import sha256_of
from lib.datasets import emoji, pictures
from lib.metrics.intervals import bootstrap_interval
from lib.metrics.separation import auroc, auroc_interval
from lib.models.artifact_files import load_embeddings
from lib.models.dual_encoder import DualEncoder
from lib.models.numpy_text import NumpyTextEncoder, load_text_encoder
from lib.models.published_weights import WEIGHTS
from lib.models.text_tower import frozen_states
from lib.models.tokenizer import words_of
from lib.models.trained_models import load_model
from lib.search.familiarity import (
    FamiliarityScale,
    load_scale,
    logistic,
    part_inside,
    pieces_per_word,
    split_words,
)
from lib.studies.everyday_queries import read_queries
from lib.studies.familiarity.off_topic import STORE
from lib.studies.familiarity.query_sets import (
    REAL,
    STRINGS,
    UNKNOWN,
    QuerySets,
    load_query_sets,
    order_of,
)

MODEL = "pictures"
N_CAPTIONS = 4_000  # training captions, chosen by hash, whose directions are kept
N_DIRECTIONS = 64
EXCEED = 0.95  # share of real validation queries above the threshold
EXCEED_WORD = 0.9  # the same for real words of several pieces: each is rare
RIDGE = 1e-3
BATCH = 256  # texts in a pass of the head
SIDES = ("model", "sentence")
LANGUAGES = ("en", "de", "es", "fr", "ja")
SINGLE = {
    "best cosine": "best cosine",
    "mean of the 10 best cosines": "mean of 10",
    "best cosine minus the 100th": "margin",
    "best cosine in standard deviations": "deviations",
    "nearest caption, vectors of the model": "nearest, model",
    "nearest caption, sentence vectors": "nearest, sentence",
    "part inside the captions' directions": "inside",
    "pieces per word, negative": "pieces",
}
CHOSEN = "logistic: part inside, pieces"
COMBINED = {
    "logistic: best cosine, pieces": ("best cosine", "pieces"),
    "logistic: nearest caption, pieces": ("nearest, sentence", "pieces"),
    CHOSEN: ("inside", "pieces"),
    "logistic: part inside, pieces, best cosine": ("inside", "pieces", "best cosine"),
    "logistic: part inside, pieces, margin": ("inside", "pieces", "margin"),
    "logistic: part inside, pieces, deviations": ("inside", "pieces", "deviations"),
}
WITH_HITS = tuple(name for name in COMBINED if name.startswith(f"{CHOSEN},"))  # see the hits too
TABLES = {
    "separation.csv": "AUROC of real against unknown queries, in percent",
    "flagged.csv": "queries and words judged unknown, in percent",
    "hits.csv": "the score of the query alone beside one that sees the hits, in percent",
    "languages.csv": "emoji names judged unknown, and R@10 of both parts, in percent",
}
Log = Callable[[str], None]


@lru_cache(maxsize=1)
def encoder() -> NumpyTextEncoder:
    """Load the text side of the model; once a process."""
    return load_text_encoder(MODEL)


def training_captions() -> list[str]:
    """Return the captions of training pictures, each once."""
    corpus = pictures.load_pictures()
    positions = corpus.positions("train", pictures.GALLERIES)
    return sorted({text.lower() for p in positions.tolist() for text in corpus.captions[p]})


@lru_cache(maxsize=1)
def model() -> DualEncoder:
    """Load the model with torch, which encodes many texts at a time; once a process."""
    return load_model(MODEL)


@torch.inference_mode()
def encode_side(texts: Sequence[str], side: str) -> np.ndarray:
    """Encode texts in batches, to what `sentence_vectors` or `NumpyTextEncoder` gives for each."""
    states = frozen_states(encoder().tower.name, model().tokenizer.encode(texts, cut=True))
    starts = np.cumsum(states.lengths) - states.lengths
    if side == "sentence":
        sums = np.add.reduceat(states.contexts.astype(np.float32), starts, axis=0)
        return unit_rows(sums, "texts")
    head, rows = model().network.text.features_of_states, []
    for chunk in np.array_split(np.arange(len(texts)), -(-len(texts) // BATCH)):
        rows.append(head(*states.batch(chunk)).float().numpy())
    return unit_rows(np.concatenate(rows), "texts")


def vectors_of(texts: Sequence[str], name: str, side: str = "sentence") -> np.ndarray:
    """Encode texts, cached: `"sentence"`, the mean of frozen states, or `"model"`, with its head.

    Returns:
        float32 (n, width or dim), rows of length 1.
    """
    key = {"queries": name, "side": side, "texts": order_of("\n".join(texts))}
    key["tower"] = encoder().tower.sha256[WEIGHTS]
    if side == "model":  # its head changes in a training
        key["model"] = sha256_of(artifacts_dir() / MODEL / WEIGHTS)
    return STORE.cached(key, lambda: {side: encode_side(texts, side)})[side]


def caption_sample() -> list[str]:
    """Return the training captions whose directions are kept."""
    return sorted(training_captions(), key=order_of)[:N_CAPTIONS]


def main_directions(vectors: np.ndarray, n: int = N_DIRECTIONS) -> np.ndarray:
    """Compute the first right singular vectors of rows, (width, n), without a mean taken off."""
    return np.linalg.svd(vectors.astype(np.float64), full_matrices=False)[2][:n].T


def features_of(texts: Sequence[str], name: str, directions: np.ndarray) -> dict[str, np.ndarray]:
    """Compute every single score of texts, each larger for what is more familiar."""
    captions = {side: vectors_of(caption_sample(), "captions", side) for side in SIDES}
    own = {side: vectors_of(texts, name, side) for side in SIDES}
    gallery = load_embeddings(MODEL)["all_image"].astype(np.float32)
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    cosines = own["model"] @ gallery.T
    best = -np.sort(-np.partition(cosines, -100, axis=1)[:, -100:], axis=1)
    spread = cosines.std(axis=1)
    return {
        "best cosine": best[:, 0],
        "mean of 10": best[:, :10].mean(axis=1),
        "margin": best[:, 0] - best[:, -1],
        "deviations": (best[:, 0] - cosines.mean(axis=1)) / spread,
        "nearest, model": (own["model"] @ captions["model"].T).max(axis=1),
        "nearest, sentence": (own["sentence"] @ captions["sentence"].T).max(axis=1),
        "inside": part_inside(own["sentence"], directions),
        "pieces": -pieces_per_word(encoder(), texts),
    }


def fit_logistic(features: np.ndarray, is_real: np.ndarray, *, steps: int = 30) -> np.ndarray:
    """Fit logistic weights by Newton's method, both classes of equal weight; the last is constant.

        minimise mean over classes of mean log(1 + exp(-y t)), t = X w + b, plus RIDGE / 2 |w s|^2

    with s the standard deviations of the features.
    """
    centre, spread = features.mean(axis=0), features.std(axis=0)
    x = np.column_stack([(features - centre) / spread, np.ones(len(features))])
    share = np.where(is_real, 0.5 / is_real.sum(), 0.5 / (~is_real).sum())
    penalty = np.diag([*np.full(len(spread), RIDGE), 0.0])
    weights = np.zeros(x.shape[1])
    for _ in range(steps):
        p = logistic(x[:, :-1], weights)
        slope = x.T @ (share * (p - is_real)) + penalty @ weights
        curvature = (x * (share * p * (1 - p))[:, None]).T @ x + penalty
        weights = weights - np.linalg.solve(curvature, slope)
    scaled = weights[:-1] / spread
    return np.append(scaled, weights[-1] - scaled @ centre)


@dataclass(frozen=True)
class Fit:
    """A logistic score of some features, and the least of it that is known."""

    keys: tuple[str, ...]
    weights: np.ndarray
    least: float

    def score(self, features: Mapping[str, np.ndarray]) -> np.ndarray:
        """Compute the score of queries from their features, see `features_of`."""
        return logistic(_columns(features, self.keys), self.weights)


def _columns(features: Mapping[str, np.ndarray], keys: Sequence[str]) -> np.ndarray:
    return np.column_stack([features[key] for key in keys]).astype(np.float64)


def fit_score(
    features: Mapping[str, np.ndarray], keys: tuple[str, ...], is_real: np.ndarray
) -> Fit:
    """Fit a logistic score of the features; `EXCEED` of the real queries reach its least."""
    x = _columns(features, keys)
    weights = fit_logistic(x, is_real)
    least = np.quantile(logistic(x, weights)[is_real], 1 - EXCEED)
    return Fit(keys, weights, float(least))


def separation_rows(scores: np.ndarray, sets: QuerySets, labels: Mapping) -> list[dict]:
    """Return rows of AUROC with intervals, real queries against each kind of unknown ones."""
    real, groups = scores[sets.is_real], sets.groups[sets.is_real]
    rows = []
    for kind in UNKNOWN:
        unknown = scores[sets.kinds == kind]
        low, high = auroc_interval(real, unknown, groups)
        n = {"n_real": len(real), "n_unknown": len(unknown)}
        row = {"against": kind, "auroc": auroc(real, unknown), "low": low, "high": high}
        rows.append({**labels, **row, **n})
    return rows


def share_row(values: np.ndarray, groups: np.ndarray, labels: Mapping) -> dict:
    """Return a share with its 95% interval by group."""
    low, high = bootstrap_interval(values.astype(float), groups)
    return {**labels, "share": float(values.mean()), "low": low, "high": high, "n": len(values)}


def familiarity_of(texts: Sequence[str], name: str, scale: FamiliarityScale) -> np.ndarray:
    """Compute the familiarity of texts from cached vectors, float64 (n,)."""
    inside = part_inside(vectors_of(texts, name), scale.directions).astype(np.float64)
    return logistic(np.column_stack([inside, pieces_per_word(encoder(), texts)]), scale.weights)


# ---- the study


def calibrate() -> tuple[FamiliarityScale, list[dict], dict[str, Fit]]:
    """Compare all scores on validation and fit the scale: it, rows of AUROC, logistic scores."""
    sets, captions = load_query_sets("validation"), caption_sample()
    directions = main_directions(vectors_of(captions, "captions"))
    # As they are stored: the thresholds belong to the rounded directions.
    directions = directions.astype(np.float16).astype(np.float32)
    found = features_of(sets.texts, "validation", directions)
    scores = {name: found[key] for name, key in SINGLE.items()}
    fits = {name: fit_score(found, keys, sets.is_real) for name, keys in COMBINED.items()}
    scores |= {name: fit.score(found) for name, fit in fits.items()}
    rows = [
        row
        for name, values in scores.items()
        for row in separation_rows(values, sets, {"split": "validation", "score": name})
    ]
    of_inside, of_pieces, constant = fits[CHOSEN].weights.tolist()
    known = {word for text in training_captions() for word in words_of(text)}
    tokens = sorted(known)
    pieces = encoder().tokenizer.lengths(tokens) - 2
    scale = FamiliarityScale(
        directions=directions,
        weights=(of_inside, -of_pieces, constant),
        least=fits[CHOSEN].least,
        least_word=0.0,
        exceed=EXCEED,
        words=frozenset(word for word, n in zip(tokens, pieces, strict=True) if n > 1),
        sha256=encoder().tower.sha256[WEIGHTS],
    )
    real, _ = word_scores("validation", scale)
    return replace(scale, least_word=float(np.quantile(real, 1 - EXCEED_WORD))), rows, fits


def word_scores(split: str, scale: FamiliarityScale) -> tuple[np.ndarray, np.ndarray]:
    """Compute the familiarity of split words of real queries, and of words of made-up strings."""
    sets = load_query_sets(split)
    scores = []
    kinds = {"real": REAL[:2], "made up": UNKNOWN[:1]}
    for name, some in kinds.items():
        chosen = np.isin(sets.kinds, some)
        texts = [sets.texts[i] for i in np.flatnonzero(chosen)]
        words = {word for text in texts for word in split_words(text, encoder(), scale.words)}
        scores.append(familiarity_of(sorted(words), f"{split} words, {name}", scale))
    return scores[0], scores[1]


def flagged_rows(split: str, scale: FamiliarityScale) -> list[dict]:
    """Return the share of queries and of words of each kind that are unknown to the scale."""
    sets = load_query_sets(split)
    scores = familiarity_of(sets.texts, split, scale)
    unknown = scores < scale.least
    rows = []
    for name, values in (("kind", sets.kinds), ("detail", sets.details)):
        for value in dict.fromkeys(values.tolist()):
            chosen = values == value
            if value and (name == "kind" or value in STRINGS):
                labels = {"split": split, "of": "queries", "kind": value}
                rows.append(share_row(unknown[chosen], sets.groups[chosen], labels))
    for kind, found in zip(("real", UNKNOWN[0]), word_scores(split, scale), strict=True):
        labels = {"split": split, "of": "words of several pieces", "kind": kind}
        rows.append(share_row(found < scale.least_word, np.arange(len(found)), labels))
    return rows


def everyday_rows(scale: FamiliarityScale) -> list[dict]:
    """Return the share of the everyday queries that are unknown, English and others apart."""
    queries = read_queries()
    unknown = familiarity_of([q.query for q in queries], "everyday", scale) < scale.least
    english = np.array([query.language == "en" for query in queries])
    kinds = {"everyday, English": english, "everyday, German and Spanish": ~english}
    return [
        share_row(unknown[own], np.arange(own.sum()), {"split": "test", "of": "queries", "kind": k})
        for k, own in kinds.items()
    ]


def best_with_hits(rows: Sequence[dict]) -> str:
    """Choose the entry of `WITH_HITS` with the largest mean AUROC in rows of validation."""
    means = {
        name: np.mean([row["auroc"] for row in rows if row["score"] == name]) for name in WITH_HITS
    }
    return max(means, key=means.get)


def hits_rows(fits: Mapping[str, Fit], with_hits: str, directions: np.ndarray) -> list[dict]:
    """Compare the score of the query alone with one that sees the hits, on test.

    Returns:
        Rows: score, measure, value, low, high, n: AUROC against each kind of unknown queries, and
        the share that is judged unknown of those kinds, of real and of everyday queries.
    """
    sets, queries = load_query_sets("test"), read_queries()
    english = np.array([query.language == "en" for query in queries])
    features = {
        name: features_of(texts, name, directions)
        for name, texts in (("test", sets.texts), ("everyday", [q.query for q in queries]))
    }
    kinds = {"real queries": sets.is_real, **{kind: sets.kinds == kind for kind in UNKNOWN}}
    everyday = {"everyday, English": english, "everyday, German and Spanish": ~english}
    rows = []
    for name in (CHOSEN, with_hits):
        scores = {part: fits[name].score(found) for part, found in features.items()}
        for row in separation_rows(scores["test"], sets, {}):
            measure = {"score": name, "measure": f"AUROC, {row['against']}"}
            values = {"value": row["auroc"], "low": row["low"], "high": row["high"]}
            rows.append({**measure, **values, "n": row["n_unknown"]})
        for part, chosen in (("test", kinds), ("everyday", everyday)):
            unknown = scores[part] < fits[name].least
            groups = sets.groups if part == "test" else np.arange(len(queries))
            for kind, own in chosen.items():
                row = share_row(unknown[own], groups[own], {"score": name})
                row["measure"], row["value"] = f"judged unknown, {kind}", row.pop("share")
                rows.append({key: row[key] for key in rows[0]})
    return rows


def language_rows(split: str, scale: FamiliarityScale) -> list[dict]:
    """Return by language the share of emoji names that are unknown, and R@10 of both parts."""
    corpus = emoji.load_emoji()
    positions = corpus.positions(split)
    gallery = pictures.load_pictures().positions(None, ["emoji"])[positions]
    images = load_embeddings(MODEL)["all_image"][gallery].astype(np.float32)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    rows = []
    for language in LANGUAGES:
        texts = [corpus.names[language][p].lower() for p in positions.tolist()]
        cosines = vectors_of(texts, f"emoji {split} {language}", "model") @ images.T
        hit = (cosines > np.diag(cosines)[:, None]).sum(axis=1) < 10
        unknown = familiarity_of(texts, f"emoji {split} {language}", scale) < scale.least
        groups = corpus.groups[positions]
        row = share_row(unknown, groups, {"split": split, "language": language})
        parts = {"all": np.ones(len(hit), bool), "unknown": unknown, "known": ~unknown}
        recall = {
            f"R@10 {k}": float(hit[v].mean()) if v.any() else np.nan for k, v in parts.items()
        }
        rows.append({**row, **recall, "chance": 10 / len(texts)})
    return rows


def write_committed(log: Log = print) -> None:
    """Calibrate on validation, store the scale, and report it on test; writes four tables."""
    log(f"encoding {N_CAPTIONS:,} training captions and the validation queries")
    scale, rows, fits = calibrate()
    with_hits = best_with_hits(rows)
    scale.save()
    load_scale.cache_clear()
    log("encoding the test queries")
    sets = load_query_sets("test")
    scores = familiarity_of(sets.texts, "test", scale)
    rows += separation_rows(scores, sets, {"split": "test", "score": CHOSEN})
    for split in ("validation", "test"):
        real, made_up = word_scores(split, scale)
        low, high = auroc_interval(real, made_up)
        labels = {"split": split, "score": f"{CHOSEN}, single words", "against": UNKNOWN[0]}
        n = {"n_real": len(real), "n_unknown": len(made_up)}
        rows.append({**labels, "auroc": auroc(real, made_up), "low": low, "high": high, **n})
    STORE.save_table("separation.csv", rows)
    STORE.save_table("hits.csv", hits_rows(fits, with_hits, scale.directions))
    shares = [row for split in ("validation", "test") for row in flagged_rows(split, scale)]
    shares += everyday_rows(scale)
    STORE.save_table("flagged.csv", shares)
    STORE.save_table(
        "languages.csv",
        [row for split in ("validation", "test") for row in language_rows(split, scale)],
    )


def format_shares(table: pd.DataFrame) -> list[dict]:
    """Format the rows of a committed table: shares and areas in percent, as text."""
    return [
        {
            name: f"{100 * value:.1f}" if isinstance(value, float) else str(value)
            for name, value in row.items()
        }
        for row in table.to_dict("records")
    ]
