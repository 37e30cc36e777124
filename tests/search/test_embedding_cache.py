"""The embedding cache: nothing is encoded twice, and no entry of other inputs is used."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from lib.core import writing
from lib.core.checks import RetrievalInputError
from lib.core.paths import cache_dir
from lib.core.writing import CHECKSUM_SUFFIX
from lib.models.encoder import load_encoder
from lib.search.embedding_cache import MANIFEST, embed
from lib.training.loop import Plan, Trainer
from tests.models.test_encoder import pictures
from tests.models.toy import write_open_clip

IDENTITY = {"model": "counting", "tag": "a", "transform": "none", "prompt": "{}"}


class Counting:
    """Encode a number i as (i, 1), and record the inputs."""

    def __init__(self, fails_at: int | None = None, **identity) -> None:
        self.identity = {**IDENTITY, **identity}
        self.seen: list[int] = []
        self.fails_at = fails_at

    def encode_image(self, inputs):
        if self.fails_at in inputs:
            raise RuntimeError(f"picture {self.fails_at} cannot be decoded")
        self.seen.extend(inputs)
        return np.array([[i, 1] for i in inputs], dtype=np.float32)

    encode_text = encode_image


NUMBERS = list(range(100))


def embedded(encoder, folder, **changes):
    options = {"corpus_checksum": "c1", "side": "media", "folder": folder, "chunk": 32, **changes}
    return embed(encoder, NUMBERS, options.pop("modality", "image"), **options)


def test_the_second_time_nothing_is_encoded(tmp_path):
    first, second = Counting(), Counting()
    rows = embedded(first, tmp_path)
    np.testing.assert_array_equal(rows, [[i, 1] for i in NUMBERS])
    np.testing.assert_array_equal(embedded(second, tmp_path), rows)
    assert rows.dtype == np.float32 and first.seen == NUMBERS and second.seen == []


@pytest.mark.parametrize(
    "fact", ["model", "tag", "transform", "prompt", "precision", "weights_sha256"]
)
def test_another_encoder_is_a_miss(tmp_path, fact):
    embedded(Counting(), tmp_path)
    other = Counting(**{fact: "other"})
    embedded(other, tmp_path)
    assert other.seen == NUMBERS


@pytest.mark.parametrize(
    "change", [{"corpus_checksum": "c2"}, {"side": "texts"}, {"modality": "text"}, {"chunk": 50}]
)
def test_another_corpus_side_or_modality_is_a_miss(tmp_path, change):
    embedded(Counting(), tmp_path)
    other = Counting()
    embedded(other, tmp_path, **change)
    assert other.seen == NUMBERS


def test_a_run_that_stopped_goes_on_at_the_chunk_that_is_missing(tmp_path):
    done = []
    with pytest.raises(RuntimeError, match="picture 70"):
        embedded(Counting(fails_at=70), tmp_path, progress=done.append)
    assert done == [32, 32]
    again = Counting()
    rows = embedded(again, tmp_path, progress=done.append)
    assert again.seen == NUMBERS[64:] and done == [32, 32, 64, 32, 4]
    np.testing.assert_array_equal(rows[:, 0], NUMBERS)


def chunk_files(folder):
    return sorted(folder.glob("*/*.npz"))


@pytest.mark.parametrize("damage", ["byte", "short", "checksum", "absent"])
def test_a_damaged_chunk_is_made_again(tmp_path, damage):
    rows = embedded(Counting(), tmp_path)
    path = chunk_files(tmp_path)[1]
    content = path.read_bytes()
    if damage == "byte":
        path.write_bytes(content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])
    elif damage == "short":
        path.write_bytes(content[:100])
    elif damage == "checksum":
        path.with_name(path.name + CHECKSUM_SUFFIX).unlink()
    else:
        path.unlink()
    again = Counting()
    np.testing.assert_array_equal(embedded(again, tmp_path), rows)
    assert again.seen == NUMBERS[32:64] and path.read_bytes() == content


def test_a_manifest_describes_the_files(tmp_path):
    embedded(Counting(), tmp_path)
    (path,) = tmp_path.glob(f"*/{MANIFEST}")
    manifest = json.loads(path.read_text())
    assert manifest["about"] == "float32 embeddings of 100 inputs: image, side media"
    assert manifest["identity"] == IDENTITY and manifest["corpus_checksum"] == "c1"


def test_bad_input(tmp_path):
    class Short(Counting):
        def encode_image(self, inputs):
            return super().encode_image(inputs)[1:]

    class Broken(Counting):
        def encode_image(self, inputs):
            return np.full((len(inputs), 2), np.nan)

    with pytest.raises(RetrievalInputError, match="no modality 'audio'; it has image, text"):
        embedded(Counting(), tmp_path, modality="audio")
    with pytest.raises(RetrievalInputError, match="no inputs on side 'media'"):
        embed(Counting(), [], "image", corpus_checksum="c", side="media", folder=tmp_path)
    with pytest.raises(RetrievalInputError, match="gave 31 rows for inputs 0 to 31"):
        embedded(Short(), tmp_path)
    with pytest.raises(RetrievalInputError, match="embeddings of inputs 0 to 31 has the value nan"):
        embedded(Broken(), tmp_path)
    with pytest.raises(RetrievalInputError, match="chunk must be at least 1"):
        embedded(Counting(), tmp_path, chunk=0)
    assert chunk_files(tmp_path) == []


def test_the_default_folder_is_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    embedded(Counting(), None)
    assert len(chunk_files(tmp_path / "cache" / "embeddings")) == 4


def test_a_model_of_the_published_format_end_to_end(tmp_path):
    folder = write_open_clip(tmp_path / "model")
    plain, prompted = (
        load_encoder("mine", folder),
        load_encoder("mine", folder, prompt="a photo of {}"),
    )
    options = {"corpus_checksum": "c", "folder": tmp_path / "kept", "chunk": 2}
    for modality, inputs in (("image", pictures()), ("text", ["a dog", "a cat", "a car"])):
        for encoder in (plain, prompted, plain):
            rows = embed(encoder, inputs, modality, side=modality, **options)
            direct = (
                encoder.encode_image(inputs) if modality == "image" else encoder.encode_text(inputs)
            )
            np.testing.assert_allclose(rows, direct, atol=2e-6)
    assert len(list((tmp_path / "kept").iterdir())) == 4


def test_chunks_that_changed_places_are_made_again(tmp_path):
    rows = embedded(Counting(), tmp_path)
    chunks = chunk_files(tmp_path)[:2]
    for first, second in (chunks, [Path(f"{chunk}{CHECKSUM_SUFFIX}") for chunk in chunks]):
        content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)
    again = Counting()
    np.testing.assert_array_equal(embedded(again, tmp_path), rows)
    assert again.seen == NUMBERS[:64]


def test_a_damaged_manifest_is_written_again(tmp_path):
    embedded(Counting(), tmp_path)
    (path,) = tmp_path.glob(f"*/{MANIFEST}")
    whole = path.read_bytes()
    for content in (b"", b"{}", b"\xff"):
        path.write_bytes(content)
        embedded(Counting(), tmp_path)
        assert path.read_bytes() == whole


def test_every_cache_goes_on_where_nothing_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CROSSMODAL_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(writing, "_warned_places", set())
    seen = []

    class Lengths:
        identity = {"model": "lengths"}

        def encode_text(self, texts):
            seen.append(len(texts))
            return np.array([[1.0, len(text)] for text in texts])

    with pytest.warns(UserWarning, match="CROSSMODAL_CACHE") as caught:
        for _ in range(2):
            rows = embed(Lengths(), ["a", "bb"], "text", corpus_checksum="c", side="texts")
            assert rows.tolist() == [[1, 1], [1, 2]]
        checkpoint = cache_dir() / "train-x.pt"
        plan = Plan(steps=2, validate_every=1)
        stream = SimpleNamespace(batch=lambda step: torch.ones(1, 2))
        trainer = Trainer(
            nn.Linear(2, 1),
            stream,
            lambda network, x: network(x).sum(),
            plan,
            checkpoint=checkpoint,
        )
        trainer.run()
    assert seen == [2, 2] and trainer.step == 2 and len(caught) == 1
