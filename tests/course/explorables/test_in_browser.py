"""Interactive figures in Chromium: they react, and their numbers are those of the library."""

import re

import nbformat
import numpy as np
import pytest
import torch

from lib import course, losses, metrics
from lib.course.explorables import PIECES, pieces
from lib.course.explorables.page import page
from lib.course.notebooks.pages import OfflineExporter
from lib.index import topk_exact
from lib.index.from_scratch import cells
from lib.index.from_scratch import hyperplanes as hashing
from lib.index.from_scratch.graph import descend
from lib.models.maxsim import maxsim

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def opened(tab, name, **given):
    """Show a piece in the tab, and return what it started from."""
    data, _ = getattr(pieces, name)(**given)
    tab.set_content(page(name, data))
    return data


def number(tab, name: str) -> float:
    return float(tab.locator(f'[data-name="{name}"]').get_attribute("data-value"))


def slide(tab, name: str, value: float) -> None:
    tab.locator(f"#{name}").fill(str(value))


def drag(tab, label: str, right: float, down: float) -> None:
    """Drag a handle with the mouse, by CSS pixels."""
    box = tab.get_by_label(label, exact=True).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + right, y + down, steps=3)
    tab.mouse.up()


def point(tab) -> np.ndarray:
    """Where the query of a plane is."""
    place = tab.get_by_label("query", exact=True).get_attribute("data-at")
    return np.array(place.split(","), dtype=float)


# ---- temperature


def loss_and_longest(queries, items, loss, temperature=0.2, margin=0.2, bias=0.0):
    """The loss, and the largest gradient on an angle in radians, by autograd."""
    degrees = torch.as_tensor(np.array([queries, items], dtype=np.float64))
    angles = degrees.deg2rad().requires_grad_()
    points = torch.stack([angles.cos(), angles.sin()], dim=2)
    value = {
        "infonce": lambda q, i: losses.infonce_loss(q, i, temperature, direction="both"),
        "triplet": lambda q, i: losses.mined_triplet_loss(q, i, margin, direction="both"),
        "sigmoid": lambda q, i: losses.sigmoid_loss(q, i, temperature, bias),
    }[loss](*points)
    (gradient,) = torch.autograd.grad(value, angles)
    return value.item(), gradient.abs().max().item()


def test_temperature(tab):
    start = opened(tab, "temperature")
    angles = [start["queries"].tolist(), start["items"].tolist()]
    for loss, dials in [
        ("infonce", {"temperature": -1}),
        ("infonce", {"temperature": 0}),
        ("infonce", {"temperature": -1.7}),
        ("triplet", {"margin": 0.05}),
        ("triplet", {"margin": 0.4}),
        ("triplet", {"margin": 1}),
        ("sigmoid", {"temperature": -0.5, "bias": -1}),
        ("sigmoid", {"temperature": 0.3, "bias": 2}),
        ("sigmoid", {"temperature": -1, "bias": -5}),
    ]:
        tab.locator(f"#loss-{loss}").check()
        for name, value in dials.items():
            slide(tab, name, value)
        used = dict(dials)
        if "temperature" in used:
            used["temperature"] = 10 ** used["temperature"]
        expected = loss_and_longest(*angles, loss, **used)
        found = number(tab, "loss"), number(tab, "longest")
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9), (loss, dials)
    assert tab.locator("#margin").is_hidden() and tab.locator("#bias").is_visible()

    tab.locator("#loss-triplet").check()
    slide(tab, "margin", 0.4)
    tab.get_by_label("query 2").press("ArrowUp")
    angles[0][1] += 2
    expected = loss_and_longest(*angles, "triplet", margin=0.4)
    assert number(tab, "loss") == pytest.approx(expected[0])
    tab.locator("#step").click()
    assert number(tab, "loss") < expected[0]
    before = number(tab, "loss")
    drag(tab, "item 3", 40, -60)
    assert number(tab, "loss") != before


# ---- margin


def test_margin(tab):
    start = opened(tab, "margin")
    at = {name: start[name][:2] for name in ("anchor", "positive", "negative")}

    def expected(margin):
        rows = [[x, y, np.sqrt(1 - x * x - y * y)] for x, y in at.values()]
        anchor, positive, negative = torch.tensor(rows, dtype=torch.float64)[:, None]
        loss = losses.triplet_loss(anchor, positive, negative, margin=margin).item()
        right, wrong = (anchor @ positive.T).item(), (anchor @ negative.T).item()
        square = torch.tensor([[right, wrong], [wrong, right]])
        inside = losses.mine_triplets(square, margin, "semi_hard")[0, 1]
        return loss, "semi-hard" if inside else "hard" if wrong >= right else "easy"

    def shown():
        return number(tab, "loss"), tab.locator('[data-name="kind"]').inner_text()

    kinds = set()
    for keys, margin in [("", 0.2), ("", 0), ("ArrowLeft" * 1, 0.2), ("ArrowDown", 0.6)]:
        for key in [keys] * 6 if keys else []:
            tab.get_by_label("negative", exact=True).press(key)
            move = {"ArrowLeft": (-0.03, 0), "ArrowDown": (0, -0.03)}[key]
            at["negative"] = np.add(at["negative"], move)
        slide(tab, "margin", margin)
        assert shown() == (pytest.approx(expected(margin)[0], abs=1e-6), expected(margin)[1])
        kinds.add(shown()[1])
    assert kinds == {"easy", "semi-hard", "hard"}
    drag(tab, "negative", 300, 150)
    assert shown() == (0, "easy")
    tab.get_by_text("An easy negative: the loss is 0").wait_for()


# ---- nprobe


def test_nprobe(tab):
    start = opened(tab, "nprobe")
    rows, centroids = start["rows"], start["centroids"]
    lists = cells.inverted_lists(start["cells"], len(centroids))

    def expected(query, nprobe):
        asked, k = query.astype(np.float32)[None], start["k"]
        exact = cells.search_cells(asked, rows, centroids, lists, k, len(centroids))[1]
        _, found, read = cells.search_cells(asked, rows, centroids, lists, k, nprobe)
        return np.isin(exact, found).mean(), read[0]

    recalls = set()
    for move in [(0, 0), (-150, -60), (40, -330)]:
        drag(tab, "query", *move)
        for nprobe in (1, 3, 16):
            slide(tab, "nprobe", nprobe)
            found = number(tab, "recall"), number(tab, "read")
            assert found == pytest.approx(expected(point(tab), nprobe))
            recalls.add(found[0])
    assert len(recalls) > 2 and found == (1, len(rows))
    before = point(tab)
    tab.get_by_label("query", exact=True).press("ArrowRight")
    assert point(tab)[0] > before[0] and point(tab)[1] == pytest.approx(before[1])
    tab.get_by_text("16 of 16 cells hold 10 of the 10").wait_for()


# ---- hyperplanes


def test_hyperplanes(tab):
    start = opened(tab, "hyperplanes")
    rows, k = start["rows"] / np.linalg.norm(start["rows"], axis=1, keepdims=True), start["k"]

    def agree(bits, tables):
        handle = tab.get_by_label("query", exact=True)
        draw = int(handle.get_attribute("data-draw"))
        normals = start["normals"][draw, :tables, :bits]
        query = point(tab)[None] / np.linalg.norm(point(tab))
        _, found, scored = hashing.search_buckets(query, rows, normals, k)
        _, exact = topk_exact(query, rows, k=k)
        assert number(tab, "scored") == scored[0]
        assert number(tab, "recall") == pytest.approx(np.isin(exact, found).mean())
        codes = [hashing.signatures(query, table)[0] for table in normals]
        codes = [np.unpackbits(code, bitorder="little", count=bits) for code in codes]
        assert tab.locator(".code").all_inner_texts() == ["".join(map(str, c)) for c in codes]
        return number(tab, "recall")

    recalls = set()
    for move in [(0, 0), (-210, 40), (90, 190)]:
        drag(tab, "query", *move)
        for bits, tables in [(1, 1), (3, 1), (8, 1), (8, 4)]:
            slide(tab, "bits", bits)
            slide(tab, "tables", tables)
            recalls.add(agree(bits, tables))
    for _ in start["normals"]:
        tab.locator("#redraw").click()
        for tables in (1, 4):
            slide(tab, "tables", tables)
            recalls.add(agree(8, tables))
    assert len(recalls) > 2
    before = point(tab)
    tab.get_by_label("query", exact=True).press("ArrowUp")
    assert point(tab)[1] > before[1] and point(tab)[0] == pytest.approx(before[0])
    agree(8, 4)
    tab.get_by_text("bucket in at least one of 4 tables").wait_for()


# ---- hnsw


def test_hnsw(tab):
    start = opened(tab, "hnsw")
    rows, width = start["rows"], max(len(row) for level in start["levels"] for row in level)
    levels = [
        np.array([row + [-1] * (width - len(row)) for row in level]) for level in start["levels"]
    ]
    ends = set()
    for move in [(0, 0), (-220, -90), (100, 30)]:
        drag(tab, "query", *move)
        for ef in (1, 3, 12):
            slide(tab, "ef", ef)
            tab.locator("#end").click()
            walk = descend(point(tab), rows, levels, start["entry"], ef)
            assert number(tab, "best") == walk.ids[0]
            assert number(tab, "hops") == len(walk.path)
            assert number(tab, "compared") == len(walk.scored)
            nearest = np.square(rows - point(tab)).sum(axis=1).argmin()
            told = tab.locator('[data-name="found"]').get_attribute("data-value")
            assert told == str(walk.ids[0] == nearest).lower()
            ends.add(told)
    assert ends == {"true", "false"}
    slide(tab, "step", 0)
    assert number(tab, "compared") == 1 and number(tab, "hops") == 0
    tab.locator("#next").click()
    assert number(tab, "hops") == 1
    tab.get_by_text("Expand node").wait_for()
    tab.get_by_label("query", exact=True).press("ArrowLeft")
    assert number(tab, "hops") == 1


# ---- metrics


def test_metrics(tab):
    names = [f"item {letter}" for letter in "abcdefgh"]
    grades, elsewhere = [0, 2, 0, 3, 1, 0, 0, 1], [1, 2]
    opened(tab, "metrics", query="a query", names=names, grades=grades, elsewhere=elsewhere)
    tiles = tab.locator(".ranking button")

    def agree(k, least):
        order = [re.search(r"item (\w)", text)[1] for text in tiles.all_inner_texts()]
        now = [tab.get_by_label(name).locator(".grade").inner_text().count("●") for name in names]
        graded = {i: grade for i, grade in enumerate([*now, *elsewhere]) if grade}
        binary = [[i for i, grade in graded.items() if grade >= least]]
        run = np.array([["abcdefgh".index(letter) for letter in order]])
        expected = {
            "hit": metrics.hit_rate_at_k(run, binary, k),
            "recall": metrics.recall_at_k(run, binary, k),
            "precision": metrics.precision_at_k(run, binary, k),
            "rr": metrics.reciprocal_rank(run, binary),
            "ap": metrics.average_precision(run, binary),
            "ndcg": metrics.ndcg_at_k(run, [graded], k),
        }
        for name, value in expected.items():
            assert number(tab, name) == pytest.approx(value[0]), (name, k, least)
        return order, now

    for k in (1, 3, 8):
        slide(tab, "k", k)
        for least in (1, 2, 3):
            tab.locator(f"#least-{least}").check()
            agree(k, least)
    tab.locator("#least-1").check()
    tab.get_by_label("item d").press("ArrowLeft")
    tab.get_by_label("item d").press("ArrowLeft")  # the moved tile keeps the focus
    tab.keyboard.press("ArrowLeft")
    assert agree(8, 1)[0] == list("dabcefgh")
    tab.get_by_label("item a").click()
    tab.get_by_label("item b").press("ArrowDown")
    assert agree(8, 1)[1] == [1, 1, 0, 3, 1, 0, 0, 1]
    box = [tab.get_by_label(name).bounding_box() for name in ("item h", "item b")]
    tab.mouse.move(box[0]["x"] + 20, box[0]["y"] + 20)
    tab.mouse.down()
    tab.mouse.move(box[1]["x"] + 20, box[1]["y"] + 20, steps=8)
    tab.mouse.up()
    order, now = agree(8, 1)
    assert order == list("dahbcefg") and now[-1] == 1  # a drag is no click
    tab.locator("#best").click()
    slide(tab, "k", 3)
    agree(3, 1)
    tab.locator("#reset").click()
    assert agree(3, 1) == (list("abcdefgh"), grades)


# ---- maxsim


@pytest.mark.parametrize("seed", range(3))
def test_maxsim(tab, seed):
    rng = np.random.default_rng(seed)
    tokens, patches = rng.normal(size=(6, 8)), rng.normal(size=(3, 16, 8))
    tokens, patches = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (tokens, patches))
    pictures = rng.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    given = {"text": "one two three four five", "tokens": tokens, "images": patches}
    opened(tab, "maxsim", **given, pictures=pictures, names=["x", "y", "z"])
    scores = maxsim(torch.from_numpy(tokens)[None], torch.from_numpy(patches))[0]
    for letter, score in zip("ABC", scores.tolist()):
        assert number(tab, f"score-{letter}") == pytest.approx(score, abs=1e-5)
    tab.locator("#word-1").hover()
    best = (tokens[1] @ patches[0].T).argmax()
    told = tab.locator("svg").first.get_attribute("aria-label")
    assert f"“two” matches best in row {best // 4 + 1}, column {best % 4 + 1}," in told
    tab.locator("#word-5").focus()
    assert "“(end)”" in tab.locator("svg").first.get_attribute("aria-label")
    tab.get_by_text(f"“(end)”: {(tokens[5] @ patches[0].T).max():.2f} in A").wait_for()


# ---- pages


def test_nothing_in_the_data_is_run(tab):
    bad = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    opened(tab, "metrics", query=bad, names=[bad, "b"], grades=[1, 0], k=2)
    assert bad in tab.locator("h2").inner_text()
    assert bad in tab.locator(".name").first.inner_text()
    assert not tab.locator("img").count()


def test_figures_run_in_a_page_of_nbconvert_without_a_server(tab, tmp_path):
    shown = [course.explore(name) for name in PIECES if name not in ("metrics", "maxsim")]
    cells_of = [
        nbformat.v4.new_code_cell(
            "course.explore(...)",
            execution_count=1,
            outputs=[
                nbformat.v4.new_output("execute_result", one._repr_mimebundle_(), execution_count=1)
            ],
        )
        for one in shown
    ]
    text, _ = OfflineExporter().from_notebook_node(nbformat.v4.new_notebook(cells=cells_of))
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    for width in (1100, 390):
        tab.set_viewport_size({"width": width, "height": 800})
        tab.goto(path.as_uri())
        assert tab.locator("figcaption").all_inner_texts() == [one.text for one in shown]
        for place in range(len(shown)):
            frame = tab.frame_locator("iframe").nth(place)
            frame.locator("#spoken", has_text=".").wait_for()
            size = (
                "[document.body.scrollWidth - innerWidth, document.body.scrollHeight - innerHeight]"
            )
            over = frame.locator("body").evaluate(f"() => {size}")
            assert max(over) <= 1  # the frame is as high as its page, which is no wider
    slider = tab.frame_locator("iframe").first.locator("#temperature")
    slider.fill("-1")
    loss = tab.frame_locator("iframe").first.locator('[data-name="loss"]')
    start, _ = pieces.temperature(temperature=0.1)
    expected, _ = loss_and_longest(start["queries"], start["items"], "infonce", temperature=0.1)
    assert loss.inner_text() == f"{expected:.3f}"
