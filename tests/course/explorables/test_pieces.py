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


NAN = float("nan")
TWO = {"query": "q", "names": ["a", "b"], "grades": [1, 0]}
PIXELS = np.zeros((4, 4), np.uint8)
ONE = {"text": "a b", "tokens": np.eye(2), "images": np.ones((1, 4, 2)), "names": ["x"]}
ONE |= {"pictures": [PIXELS]}
NO_LINKS = np.full((150, 2), -1)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("temprature", {}, "Did you mean 'temperature'"),  # codespell:ignore
        ("temperature", {"loss": "hinge"}, "loss must be one of .*; got 'hinge'"),
        ("temperature", {"queries": [1, 2], "items": [1]}, "2 to 6 angles each, got 2 and 1"),
        ("temperature", {"queries": [NAN, 2], "items": [1, 2]}, r"queries\[0\] is nan"),
        ("temperature", {"margin": NAN}, "margin must be between 0 and 1, got nan"),
        ("temperature", {"margin": "0.2"}, "margin must be between 0 and 1, got '0.2'"),
        ("temperature", {"bias": NAN}, "bias must be between -10 and 5, got nan"),
        ("temperature", {"temperature": 0}, "temperature must be between 0.01 and 3, got 0"),
        ("temperature", {"colour": 1}, "an argument of 'temperature' must be one of .* 'colour'"),
        ("margin", {"anchor": (1, 1)}, "anchor must lie inside the unit circle"),
        ("margin", {"anchor": (0, 0, 1)}, r"anchor must be a point \(x, y\), got 3 numbers"),
        ("margin", {"margin": NAN}, "margin must be between 0 and 1, got nan"),
        ("nprobe", {"rows": np.zeros((4, 3))}, "rows must have dimension 2, got 3"),
        ("nprobe", {"rows": np.zeros((20, 2))}, "rows must hold two different points"),
        ("nprobe", {"nprobe": 17}, "nprobe must be at most 16, got 17"),
        ("nprobe", {"nlist": 1}, "nlist must be at least 2, got 1"),
        ("nprobe", {"nlist": 2.5}, "nlist must be a whole number, got 2.5"),
        ("nprobe", {"query": (1, 2, 3)}, "query must be a point"),
        ("nprobe", {"k": 401}, "k must be between 1 and 400"),
        ("hyperplanes", {"bits": 9}, "bits must be at most 8, got 9"),
        ("hyperplanes", {"tables": NAN}, "tables must be a whole number, got nan"),
        ("hyperplanes", {"query": (0, 0)}, "query has only zeros"),
        ("hyperplanes", {"query": (0, 1, 0)}, "query must be a point"),
        ("hyperplanes", {"k": 151}, "k must be between 1 and 150"),
        ("hnsw", {"ef": 17}, "ef must be at most 16, got 17"),
        ("hnsw", {"query": (0, NAN)}, r"query\[1\] is nan"),
        ("hnsw", {"entry": 3}, "both levels and entry, or neither; got only entry"),
        ("hnsw", {"levels": 3, "entry": 0}, "levels must be a list of at least one level, got 3"),
        ("hnsw", {"levels": [NO_LINKS[:9]], "entry": 0}, r"levels\[0\] must have a row for each"),
        ("hnsw", {"levels": [NO_LINKS + 200], "entry": 0}, "from 199 to 199"),
        ("hnsw", {"levels": [NO_LINKS], "entry": "a"}, "entry must be a whole number, got 'a'"),
        ("hnsw", {"levels": [NO_LINKS], "entry": 150}, "entry must be at most 149, got 150"),
        ("metrics", TWO | {"names": ["a"], "grades": [1]}, "2 to 10 of each, got 1 and 1"),
        ("metrics", TWO | {"names": "ab"}, "names must be a list of texts, got 'ab'"),
        ("metrics", TWO | {"names": ["a", 2]}, r"names\[1\] must be a text .*, got 2"),
        ("metrics", TWO | {"query": 3}, "query must be a text with at least one word, got 3"),
        ("metrics", TWO | {"grades": [1, 4]}, "grades must be from 0 to 3, got 4"),
        ("metrics", TWO | {"grades": [0, 0]}, "grades must hold a relevant item"),
        ("metrics", TWO | {"elsewhere": [0]}, "elsewhere must be from 1 to 3, got 0"),
        ("metrics", TWO | {"k": 3}, "k must be at most 2, got 3"),
        ("metrics", TWO | {"pictures": [PIXELS]}, "pictures must be 2, as many as names, got 1"),
        (
            "metrics",
            TWO | {"pictures": [PIXELS, PIXELS / 1]},
            r"pictures\[1\] must be uint8 pixels",
        ),
        ("metrics", {"names": ["a", "b"]}, "names needs query too"),
        ("maxsim", {"text": "a b", "tokens": np.eye(4), "images": np.ones((1, 4, 4))}, "2 words"),
        ("maxsim", ONE | {"text": ""}, "text must be a text with at least one word, got ''"),
        ("maxsim", ONE | {"text": None}, "tokens needs text too"),
        ("maxsim", ONE | {"tokens": None}, "tokens must be real numbers"),
        ("maxsim", ONE | {"tokens": NAN * np.eye(2)}, "tokens has the value nan in row 0"),
        ("maxsim", ONE | {"images": np.ones((1, 3, 2))}, r"a square grid .* got shape \(1, 3, 2\)"),
        ("maxsim", ONE | {"images": np.ones((1, 4, 3))}, "images must have the dimension of the"),
        ("maxsim", ONE | {"names": []}, "names must be one for each of the 1 images, got 0"),
        ("maxsim", ONE | {"pictures": 3}, "pictures must be a list of arrays of pixels, got 3"),
    ],
)
def test_bad_input_is_named(name, given, message):
    with pytest.raises(RetrievalInputError, match=message):
        course.explore(name, **given)


def test_small_input_is_enough():
    data, _ = pieces.metrics(**TWO)
    assert data["k"] == 2
    data, _ = pieces.maxsim(**ONE)
    assert np.allclose(data["images"][0]["similarities"], 1)
