"""What interactive figures start from, and the pages that hold it."""

import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from lib import course, losses
from lib.core.checks import RetrievalInputError
from lib.course.explorables import PIECES, pieces
from lib.course.explorables.page import FOLDER, json_in_html, page
from lib.report import METRICS_MIME

LONGEST_MODULE = 250


def held(markup: str) -> dict:
    """The data in the page inside a frame."""
    inside = html.unescape(re.search(r'srcdoc="([^"]*)"', markup)[1])
    return json.loads(re.search(r'id="data">(.*?)</script>', inside, re.DOTALL)[1])


@pytest.mark.parametrize("name", PIECES)
def test_a_piece_is_told_in_words_and_is_the_same_twice(name):
    shown = course.explore(name)
    bundle = shown._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", METRICS_MIME}
    assert bundle["text/plain"].startswith("Interactive figure: ")
    assert html.escape(bundle["text/plain"]) in bundle["text/html"]
    assert course.explore(name)._repr_mimebundle_() == bundle
    assert "default-src &#x27;none&#x27;" in bundle["text/html"]
    outside = re.findall(r"(?:https?:)?//[\w.]+/[\w./]*", html.unescape(bundle["text/html"]))
    assert {text for text in outside if "." in text} <= {"http://www.w3.org/2000/svg"}


def test_the_first_numbers_are_those_of_the_library():
    shown = course.explore("margin", margin=0.5)
    data = held(shown.markup)
    rows = [torch.tensor([data[name]]) for name in ("anchor", "positive", "negative")]
    loss = losses.triplet_loss(*rows, margin=0.5).item()
    assert shown["values"]["value"] == pytest.approx(loss, abs=1e-5)


def test_a_ranking_of_real_icons_has_all_grades():
    data, _ = pieces.metrics()
    assert {item["grade"] for item in data["items"]} == {0, 1, 2, 3}
    assert all(item["picture"].startswith("data:image/png;base64,") for item in data["items"])


def test_data_cannot_leave_its_script():
    text = "</script><!-- & \u2028 ' \" {data}"
    written = json_in_html({"text": text, "rows": np.float32([[0.1, 2]])})
    assert not set("<>&\u2028") & set(written)
    assert json.loads(written) == {"text": text, "rows": [[0.1, 2.0]]}
    assert written in page("metrics", {"text": text, "rows": np.float32([[0.1, 2]])})


def test_modules_are_short_and_complete():
    files = {path.name for path in Path(FOLDER).glob("*.js")}
    assert files == {"parts.js", *(f"{name}.js" for name in PIECES)}
    for name in files:
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert len(text.splitlines()) <= LONGEST_MODULE
        assert not re.search(r"\bimport\b.*\bfrom\b|\bfetch\(|XMLHttp|innerHTML|\beval\(", text)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("temprature", {}, "Did you mean 'temperature'"),
        ("temperature", {"loss": "hinge"}, "loss"),
        ("temperature", {"queries": [1, 2], "items": [1]}, "2 to 6 angles each, got 2 and 1"),
        ("margin", {"anchor": (1, 1)}, "inside the unit circle"),
        ("nprobe", {"rows": np.zeros((4, 3))}, "rows"),
        ("nprobe", {"nprobe": 17}, "17"),
        ("hyperplanes", {"bits": 9}, "bits"),
        ("hyperplanes", {"query": (0, 0)}, "query"),
        ("hnsw", {"entry": 3}, "both levels and entry"),
        ("metrics", {"query": "q", "names": ["a"], "grades": [1]}, "2 to 10"),
        ("metrics", {"query": "q", "names": ["a", "b"], "grades": [1, 4]}, "0 to 3"),
        ("maxsim", {"text": "a b", "tokens": np.eye(4), "images": []}, "2 words and 4 tokens"),
    ],
)
def test_bad_input(name, given, message):
    with pytest.raises(RetrievalInputError, match=message):
        course.explore(name, **given)
