"""Compute what each interactive figure starts from, and the sentence that describes its start."""

from collections.abc import Sequence

import faiss
import numpy as np
import torch

from lib import losses, report
from lib.core.checks import (
    RetrievalInputError,
    as_array,
    as_embeddings,
    check_choice,
    check_count,
    check_k,
    check_number,
    real_numbers,
    unit_rows,
    whole_numbers,
)
from lib.course.explorables.page import DECIMALS, picture
from lib.datasets import icons, scenes
from lib.index.exact import topk_exact
from lib.index.from_scratch import cells
from lib.index.from_scratch import hyperplanes as hashing
from lib.index.from_scratch.graph import descend, levels_of
from lib.losses import siglip_bias_for
from lib.metrics import ranking
from lib.models import maxsim as late_interaction
from lib.models.trained_models import load_model
from lib.studies import readme_results

EXACT = 1e-4  # tolerance of numbers that follow from given points
MOST_BITS, MOST_TABLES = 8, 4  # of the sliders of "hyperplanes"
MOST_EF = 16  # of the slider of "hnsw"
EXAMPLE_NAME, EXAMPLE_CAPTION = 753, 24  # positions of queries
LOSSES = {"infonce": "InfoNCE", "triplet": "triplet", "sigmoid": "sigmoid"}


def temperature(
    queries: Sequence[float] = (20, 80, 175, 290),
    items: Sequence[float] = (55, 110, 140, 335),
    loss: str = "infonce",
    temperature: float = 0.2,
    margin: float = 0.2,
    bias: float | None = None,
):
    """Prepare pairs of points of a circle and the forces of a loss on them.

    Args:
        queries, items: angles in degrees, 2 to 6 of each; item i belongs to query i.
        loss: "infonce" (both directions), "triplet" (all triplets, both directions) or "sigmoid".
        temperature, margin, bias: where the sliders start, from 0.01 to 3, 0 to 1 and -10 to 5; by
            default the bias fits the pairs.
    """
    check_choice(loss, LOSSES, "loss")
    queries, items = real_numbers(queries, "queries"), real_numbers(items, "items")
    if len(queries) != len(items) or not 2 <= len(queries) <= 6:
        raise RetrievalInputError(
            f"queries and items must be 2 to 6 angles each, got {len(queries)} and {len(items)}"
        )
    temperature = check_number(temperature, "temperature", 0.01, 3)
    margin = check_number(margin, "margin", 0, 1)
    bias = check_number(siglip_bias_for(len(queries)) if bias is None else bias, "bias", -10, 5)
    both = [_on_circle(angles) for angles in (queries, items)]
    value = {
        "infonce": lambda: losses.infonce_loss(*both, temperature, direction="both"),
        "triplet": lambda: losses.mined_triplet_loss(*both, margin, direction="both"),
        "sigmoid": lambda: losses.sigmoid_loss(*both, temperature, bias),
    }[loss]()
    data = {"queries": queries, "items": items, "loss": loss}
    data |= {"temperature": temperature, "margin": margin, "bias": bias}
    sentence = report.sentence(
        "Interactive figure: {n} queries and their items on a circle, and the forces of a loss on"
        " them. At the start the loss ({loss}) is {value:.3f}.",
        n=len(queries),
        loss=LOSSES[loss],
        value=float(value),
        tolerance=EXACT,
    )
    return data, sentence


def _on_circle(degrees: np.ndarray) -> torch.Tensor:
    radians = torch.as_tensor(np.radians(degrees, dtype=np.float64))
    return torch.stack([radians.cos(), radians.sin()], dim=1)


def margin(
    anchor: Sequence[float] = (-0.2, 0.15),
    positive: Sequence[float] = (0.3, 0.45),
    negative: Sequence[float] = (0.35, -0.2),
    margin: float = 0.2,
):
    """Prepare a triplet on the half of the unit sphere that faces the reader.

    Args:
        anchor, positive, negative: `(x, y)` inside the unit circle, seen from above.
        margin: where the slider starts, from 0 to 1.
    """
    margin = check_number(margin, "margin", 0, 1)
    points = {"anchor": anchor, "positive": positive, "negative": negative}
    vectors = {name: _on_sphere(point, name) for name, point in points.items()}
    rows = [torch.as_tensor(vector)[None] for vector in vectors.values()]
    value = losses.triplet_loss(*rows, margin=margin)
    sentence = report.sentence(
        "Interactive figure: an anchor, a positive and a negative on a sphere. At the start, with a"
        " margin of {margin:.2f}, the loss is {value:.3f}.",
        margin=margin,
        value=float(value),
        tolerance=EXACT,
    )
    return vectors | {"margin": margin}, sentence


def _on_sphere(point: Sequence[float], name: str) -> np.ndarray:
    x, y = _point(point, name)
    if x * x + y * y >= 1:
        raise RetrievalInputError(f"{name} must lie inside the unit circle, got ({x}, {y})")
    return np.array([x, y, np.sqrt(1 - x * x - y * y)])


def nprobe(
    rows=None,
    nlist: int = 16,
    query: Sequence[float] | None = None,
    k: int = 10,
    nprobe: int = 1,
):
    """Prepare points of a plane in the cells of k-means, and a query.

    Args:
        rows: `(n, 2)`; by default 400 points in clusters.
        nlist: cells, at least 2, at most as many as there are rows.
        query: where the query starts; by default half way between two neighbouring centroids.
        k: neighbours that are wanted.
        nprobe: where the slider starts, 1 to nlist.
    """
    rows = _in_plane(_clusters(400, 9) if rows is None else rows)
    nlist = check_count(nlist, "nlist", least=2, most=len(rows))
    k, nprobe = check_k(k, len(rows)), check_count(nprobe, "nprobe", most=nlist)
    centroids, _ = cells.kmeans(rows, cells.first_centroids(rows, nlist), 25)
    if query is None:
        to_first = cells.similarities(centroids[:1], centroids, "l2")[0]
        query = centroids[np.argsort(-to_first)[:2]].mean(axis=0)
    query = _point(query, "query")
    cell = cells.assign(rows, centroids)
    lists = cells.inverted_lists(cell, nlist)
    point = np.asarray(query, np.float32)[None]
    _, exact, _ = cells.search_cells(point, rows, centroids, lists, k, nlist)
    _, found, read = cells.search_cells(point, rows, centroids, lists, k, nprobe)
    sentence = report.sentence(
        "Interactive figure: {n} vectors in {nlist} cells, and a query. At the start, with nprobe ="
        " {nprobe}, {found} of its {k} nearest vectors are found and {read} vectors are read.",
        n=len(rows),
        nlist=nlist,
        nprobe=nprobe,
        found=int(np.isin(exact, found).sum()),
        k=k,
        read=int(read[0]),
    )
    data = {"rows": rows, "centroids": centroids, "cells": cell, "query": query}
    return data | {"k": k, "nprobe": nprobe}, sentence


def hyperplanes(
    rows=None,
    bits: int = 2,
    tables: int = 1,
    query: Sequence[float] = (1.1, 0.5),
    k: int = 10,
):
    """Prepare points of a plane, a query, and random hyperplanes for up to 4 tables of 8 bits.

    Args:
        rows: `(n, 2)`, not zero; by default 150 points around the origin.
        bits, tables: where the sliders start, 1 to 8 and 1 to 4.
        query: where the query starts, not the origin.
        k: neighbours by angle that are wanted.
    """
    rows = _in_plane(np.random.default_rng(3).normal(size=(150, 2)) if rows is None else rows)
    bits = check_count(bits, "bits", most=MOST_BITS)
    tables = check_count(tables, "tables", most=MOST_TABLES)
    k, query = check_k(k, len(rows)), _point(query, "query")
    units, asked = unit_rows(rows, "rows"), unit_rows(query[None], "query")
    flat = [hashing.draw_hyperplanes(2, MOST_TABLES * MOST_BITS, seed) for seed in range(5)]
    normals = np.stack(flat).reshape(-1, MOST_TABLES, MOST_BITS, 2).round(DECIMALS)
    _, exact = topk_exact(asked, units, k=k)
    _, found, scored = hashing.search_buckets(asked, units, normals[0, :tables, :bits], k)
    sentence = report.sentence(
        "Interactive figure: {n} points, a query, and random hyperplanes through the origin. At the"
        " start, with bits = {bits} and tables = {tables}, {scored} points are in the query's"
        " bucket and {found} of its {k} nearest are among them.",
        n=len(rows),
        bits=bits,
        tables=tables,
        scored=int(scored[0]),
        found=int(np.isin(exact, found).sum()),
        k=k,
    )
    data = {"rows": rows, "normals": normals, "query": query}
    return data | {"bits": bits, "tables": tables, "k": k}, sentence


def hnsw(
    rows=None,
    levels=None,
    entry: int | None = None,
    query: Sequence[float] = (0.6, 0.3),
    ef: int = 1,
):
    """Prepare an HNSW over points of a plane, and a query.

    Args:
        rows: `(n, 2)`; by default 150 points.
        levels: links, `(n, degree)` a level, bottom first, -1 for none, as `levels_of` reads them
            from faiss, with `entry`; by default faiss builds them with M = 6.
        entry: the node where a search starts.
        query: where the query starts.
        ef: where the slider starts, 1 to 16.
    """
    rows = _in_plane(np.random.default_rng(8).random((150, 2)) if rows is None else rows)
    ef, query = check_count(ef, "ef", most=MOST_EF), _point(query, "query")
    if (levels is None) != (entry is None):
        given = "levels" if entry is None else "entry"
        raise RetrievalInputError(f"give both levels and entry, or neither; got only {given}")
    if levels is None:
        index = faiss.IndexHNSWFlat(2, 6)
        index.add(rows)
        levels, entry = levels_of(index.hnsw), index.hnsw.entry_point
    levels = _links(levels, len(rows))
    entry = check_count(entry, "entry", least=0, most=len(rows) - 1)
    found = descend(query, rows, levels, entry, ef)
    links = [[[i for i in row if i >= 0] for row in level.tolist()] for level in levels]
    sentence = report.sentence(
        "Interactive figure: a search in an HNSW of {n} vectors and {n_levels} levels, step by"
        " step. At the start, with ef = {ef}, it expands {hops} nodes and compares {compared}"
        " vectors with the query.",
        n=len(rows),
        n_levels=len(levels),
        ef=ef,
        hops=len(found.path),
        compared=len(found.scored),
    )
    data = {"rows": rows, "levels": links, "entry": entry, "query": query, "ef": ef}
    data["most"] = MOST_EF
    return data, sentence


def metrics(
    query: str | None = None,
    names: Sequence[str] = (),
    grades: Sequence[int] = (),
    elsewhere: Sequence[int] = (),
    pictures: Sequence[np.ndarray] | None = None,
    k: int | None = None,
):
    """Prepare a ranking with graded items.

    Args:
        query: what was asked; None for an example: a name of the test split of icons.
        names, grades: of the items in the order of the ranking, 2 to 10 of each; grades 0 to 3.
        elsewhere: grades of the relevant items that are not in the ranking.
        pictures: uint8 pixels of the items; dark on light.
        k: where the cut-off starts; by default at 5, or at the last item.
    """
    if query is None:
        _nothing_else("query", names=names, grades=grades, elsewhere=elsewhere, pictures=pictures)
        query, names, grades, elsewhere, pictures = _icon_ranking(EXAMPLE_NAME)
    query, names = _text(query, "query"), _texts(names, "names")
    grades, rest = whole_numbers(grades, "grades"), whole_numbers(elsewhere, "elsewhere")
    if not 2 <= len(names) == len(grades) <= 10:
        raise RetrievalInputError(
            f"names and grades must be 2 to 10 of each, got {len(names)} and {len(grades)}"
        )
    for name, values, least in (("grades", grades, 0), ("elsewhere", rest, 1)):
        wrong = values[(values < least) | (values > 3)]
        if wrong.size:
            raise RetrievalInputError(f"{name} must be from {least} to 3, got {wrong[0]}")
    if not grades.any() and not rest.size:
        raise RetrievalInputError("grades must hold a relevant item, above 0, or elsewhere must")
    k = check_count(min(5, len(names)) if k is None else k, "k", most=len(names))
    pictures = () if pictures is None else _pictures(pictures, len(names), "names")
    judged = {i: int(grade) for i, grade in enumerate([*grades, *rest]) if grade > 0}
    run = np.arange(len(names))[None]
    sentence = report.sentence(
        "Interactive figure: a ranking for “{query}” that can be rearranged and graded. At the"
        " start its average precision is {ap:.3f} and its nDCG@{k} {ndcg:.3f}.",
        query=query,
        ap=float(ranking.average_precision(run, [judged])[0]),
        k=k,
        ndcg=float(ranking.ndcg_at_k(run, [judged], k)[0]),
        tolerance=EXACT,
    )
    items = [{"name": name, "grade": int(grade)} for name, grade in zip(names, grades)]
    for item, pixels in zip(items, pictures):
        item["picture"] = picture(pixels)
    return {"query": query, "items": items, "elsewhere": rest, "k": k}, sentence


def maxsim(
    text: str | None = None,
    tokens=None,
    images=None,
    pictures: Sequence[np.ndarray] = (),
    names: Sequence[str] = (),
):
    """Prepare the similarities of the words of a text and the patches of images.

    Args:
        text: the caption; None for an example: a scene and its three twins.
        tokens: `(words, d)`, unit vectors of the words of the text, and of its end if it counts.
        images: `(n, patches, d)`, unit vectors of the patches, row by row of a square grid.
        pictures: uint8 pixels of the images.
        names: of the images.
    """
    if text is None:
        _nothing_else("text", tokens=tokens, images=images, pictures=pictures, names=names)
        text, tokens, images, pictures, names = _scene_and_twins(EXAMPLE_CAPTION)
    words, names = _text(text, "text").split(), _texts(names, "names")
    tokens, images = as_embeddings(tokens, "tokens"), _patches(images)
    if len(tokens) == len(words) + 1:
        words.append("(end)")
    if len(tokens) != len(words):
        raise RetrievalInputError(
            "tokens must be as many as the words of the text, or one more for its end; got"
            f" {len(words)} words and {len(tokens)} tokens"
        )
    if images.shape[2] != tokens.shape[1]:
        raise RetrievalInputError(
            f"images must have the dimension of the tokens, {tokens.shape[1]}, got {images.shape}"
        )
    if len(names) != len(images):
        raise RetrievalInputError(
            f"names must be one for each of the {len(images)} images, got {len(names)}"
        )
    pictures = _pictures(pictures, len(images), "images")
    scores = late_interaction.maxsim(torch.as_tensor(tokens)[None], torch.as_tensor(images))[0]
    sentence = report.sentence(
        "Interactive figure: the words of “{text}” and the patches of {n} images. {best} has the"
        " highest MaxSim, {score:.2f}.",
        text=text,
        n=len(images),
        best=names[int(scores.argmax())].capitalize(),
        score=float(scores.max()),
        tolerance=0.01,
    )
    shown = [
        {"name": name, "picture": picture(pixels), "similarities": tokens @ patches.T}
        for name, pixels, patches in zip(names, pictures, images)
    ]
    return {"text": text, "words": words, "images": shown}, sentence


def _icon_ranking(position: int):
    """Rank the test icons for one of their names: the arguments of `metrics`."""
    task = readme_results.load_test_task("icons", "text_to_image")
    texts, images = readme_results.stored_embeddings("icons", "text_to_image")
    _, ids = topk_exact(texts[position : position + 1], images, k=10, metric="cosine")
    of_query = slice(*task.qrels.indptr[position : position + 2])
    judged = dict(zip(task.qrels.items[of_query].tolist(), task.qrels.grades[of_query].tolist()))
    shown = ids[0].tolist()
    corpus = icons.load_icons()
    names = [icons.phrase_of(corpus.names[i]) for i in corpus.positions("test")]
    elsewhere = [grade for item, grade in judged.items() if item not in shown]
    grades = [judged.get(item, 0) for item in shown]
    pictures = [255 - task.gallery[item] for item in shown]
    return task.queries[position], [names[item] for item in shown], grades, elsewhere, pictures


def _scene_and_twins(caption: int):
    """Encode a caption, its scene and the three twins of it: the arguments of `maxsim`."""
    model, n_scenes = load_model("scenes_late"), caption // 5 + 1
    task = scenes.hard_task("test", n_scenes=n_scenes)
    own = [caption // 5 + n_scenes * twin for twin in range(len(scenes.TWINS))]
    text = model.encode_text(task.queries[caption : caption + 1])
    names = ["the right image", *(f"{what} exchanged" for what in scenes.TWINS[1:])]
    tokens, patches = text.vectors[0][text.mask[0]], model.encode_image(task.gallery[own]).vectors
    return task.queries[caption], tokens, patches, task.gallery[own], names


def _clusters(n: int, seed: int) -> np.ndarray:
    """Draw points around ten centres."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 10, (10, 2))
    return centres[rng.integers(10, size=n)] + rng.normal(0, 1.1, (n, 2))


def _in_plane(rows) -> np.ndarray:
    """Check points of a plane, and round them as the page does."""
    rows = as_embeddings(rows, "rows", dim=2)
    if not np.ptp(rows, axis=0).any():
        raise RetrievalInputError(f"rows must hold two different points, got {len(rows)} equal")
    return rows.round(DECIMALS).astype(np.float32)


def _point(x, name: str) -> np.ndarray:
    """Check a point of the plane."""
    point = real_numbers(x, name)
    if len(point) != 2:
        raise RetrievalInputError(f"{name} must be a point (x, y), got {len(point)} numbers")
    return point


def _text(x, name: str) -> str:
    if not isinstance(x, str) or not x.strip():
        raise RetrievalInputError(f"{name} must be a text with at least one word, got {x!r}")
    return x


def _texts(x, name: str) -> list[str]:
    if isinstance(x, str) or not isinstance(x, Sequence | np.ndarray):
        raise RetrievalInputError(f"{name} must be a list of texts, got {x!r}")
    return [_text(text, f"{name}[{i}]") for i, text in enumerate(x)]


def _pictures(x, n: int, of: str) -> list[np.ndarray]:
    """Check one picture for each of `n` things that the argument `of` holds."""
    if not isinstance(x, Sequence | np.ndarray) or isinstance(x, str):
        raise RetrievalInputError(f"pictures must be a list of arrays of pixels, got {x!r}")
    pictures = [as_array(one, f"pictures[{i}]") for i, one in enumerate(x)]
    if len(pictures) != n:
        raise RetrievalInputError(f"pictures must be {n}, as many as {of}, got {len(pictures)}")
    for i, one in enumerate(pictures):
        if one.dtype != np.uint8 or one.size == 0 or not (one.ndim == 2 or one.shape[2:] == (3,)):
            raise RetrievalInputError(
                f"pictures[{i}] must be uint8 pixels of shape (height, width) or (height, width,"
                f" 3), got {one.dtype} {one.shape}"
            )
    return pictures


def _patches(x) -> np.ndarray:
    """Check vectors of the patches of at least one image, a square grid each."""
    patches = as_array(() if x is None else x, "images")
    if patches.ndim != 3 or not patches.size or np.sqrt(patches.shape[1]) % 1:
        raise RetrievalInputError(
            "images must be (n, patches, d), with as many patches as a square grid has, such as"
            f" 16, got shape {patches.shape}"
        )
    return as_embeddings(patches.reshape(-1, patches.shape[2]), "images").reshape(patches.shape)


def _links(levels, n: int) -> list[np.ndarray]:
    """Check the links of each level of a graph of n nodes."""
    if not isinstance(levels, Sequence | np.ndarray) or isinstance(levels, str) or not len(levels):
        raise RetrievalInputError(f"levels must be a list of at least one level, got {levels!r}")
    links = [whole_numbers(level, f"levels[{i}]", ndim=2) for i, level in enumerate(levels)]
    for i, level in enumerate(links):
        if len(level) != n or level.size == 0 or level.min() < -1 or level.max() >= n:
            raise RetrievalInputError(
                f"levels[{i}] must have a row for each of the {n} rows, with positions from 0 to"
                f" {n - 1}, or -1 for none; got shape {level.shape}"
                + (f" and values from {level.min()} to {level.max()}" if level.size else "")
            )
    return links


def _nothing_else(left_out: str, **given) -> None:
    """Refuse arguments that need another one, which would be replaced by an example."""
    for name, value in given.items():
        if value is not None and len(np.atleast_1d(np.asarray(value, dtype=object))):
            raise RetrievalInputError(
                f"{name} needs {left_out} too, got {left_out}=None, which shows an example; give"
                " both, or neither"
            )
