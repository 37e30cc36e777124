"""Encode texts with numpy alone: the text tower of a trained model without torch.

Importing torch and open_clip takes seconds and hundreds of megabytes; a query needs a few matrix
products. The result is that of `DualEncoder.encode_text` up to float rounding.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors import safe_open
from scipy.special import erf

from lib.core.checks import RetrievalInputError, unit_rows
from lib.models.artifact_files import read_tower
from lib.models.published_tokenizer import PublishedTokenizer
from lib.models.published_weights import WEIGHTS, published_tower

Weights = dict[str, np.ndarray]
States = tuple[np.ndarray, np.ndarray]
TOGETHER = 64  # texts: a matrix product of many rows reads the weights once
KEPT = 128  # texts whose states are kept, 12 MB of the longest ones
ADVICE = "Load it with lib.models.trained_models.load_model"
TOWER = "text."  # prefix of the text tower's weights in an artifact


def load_text_encoder(name: str, folder: Path | None = None) -> NumpyTextEncoder:
    """Load the text side of a trained dual encoder whose config names a published text tower.

    Args:
        name: a folder of `data/artifacts`.
        folder: the folder to read instead.
    """
    return NumpyTextEncoder(*read_tower(name, TOWER, folder))


class NumpyTextEncoder:
    """Encode texts as unit vectors: a BERT, frozen as published, and the trained head on top.

    Args:
        config: that of a `DualEncoder` with a locked `PublishedTextTower`.
        state: float32 weights of its head, by the names of torch.

    Attributes:
        dim: dimension of the embeddings.
        tokenizer: texts to ids.
    """

    def __init__(self, config: dict, state: Weights) -> None:
        text = config["text"]
        if "hf_model_name" not in text or text.get("unlocked_layers"):
            raise RetrievalInputError(
                f"the text tower of {config['name']!r} must be a published one that stayed locked,"
                f" got {text}. {ADVICE}"
            )
        self.tower = published_tower(text["hf_model_name"], text["sha256"])
        kind = self.tower.config["model_type"], self.tower.config["hidden_act"]
        if kind != ("bert", "gelu"):
            raise RetrievalInputError(
                f"{self.tower.name} must be a BERT with gelu, got {kind}. {ADVICE}"
            )
        self.dim, self._head, self._state = config["embed_dim"], text, transposed(state)
        self.tokenizer = PublishedTokenizer(**config["tokenizer"])
        self._kept: OrderedDict[bytes, States] = OrderedDict()  # of the latest texts

    def encode_text(self, texts: Sequence[str], *, cut: bool = False) -> np.ndarray:
        """Encode texts; returns float32 (n, dim), rows of length 1.

        A text that is longer than the model reads is an error, or with `cut` it loses its end.
        """
        rows = np.empty((len(texts), self.dim), np.float32)
        pad = self.tower.config["pad_token_id"]
        ids = [row[: np.count_nonzero(row != pad)] for row in self.tokenizer.encode(texts, cut=cut)]
        for start in range(0, len(ids), TOGETHER):
            part = slice(start, start + TOGETHER)
            rows[part] = self._features(self.states(ids[part]))
        return unit_rows(rows, "texts") if len(rows) else rows

    @cached_property
    def _file(self) -> safe_open:
        """Open the weights of the transformer when a first text comes."""
        return safe_open(self.tower.file(WEIGHTS), framework="np")

    @cached_property
    def _bert(self) -> Weights:
        names = (name for name in self._file.keys() if "word_embeddings" not in name)  # noqa: SIM118
        return transposed({name: self._file.get_tensor(name) for name in names})

    def _word_embeddings(self, ids: np.ndarray) -> np.ndarray:
        """Read the rows of these pieces: a text needs few of 30,522."""
        words = self._file.get_slice("embeddings.word_embeddings.weight")
        return np.concatenate([words[i : i + 1] for i in ids.tolist()])

    def states(self, texts: Sequence[np.ndarray]) -> list[States]:
        """Compute word embeddings and last states of texts, each (n_pieces, width), read-only.

        Those of the latest texts are kept: a search and the doubts about it ask for the same ones.

        Args:
            texts: ids of the pieces of each.
        """
        found = {ids.tobytes(): self._kept.get(ids.tobytes()) for ids in texts}
        new = {ids.tobytes(): ids for ids in texts if found[ids.tobytes()] is None}
        for start in range(0, len(new), TOGETHER):
            keys = list(new)[start : start + TOGETHER]
            found |= zip(keys, self._compute_states([new[key] for key in keys]), strict=True)
        for key in new:
            self._kept[key] = found[key]
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return [found[ids.tobytes()] for ids in texts]

    def _compute_states(self, texts: Sequence[np.ndarray]) -> list[States]:
        """Compute the states of texts together: their pieces are the rows of one matrix."""
        w, config = self._bert, self.tower.config
        heads, epsilon = config["num_attention_heads"], config["layer_norm_eps"]
        ends, place = _ends([len(ids) for ids in texts])
        x = self._word_embeddings(np.concatenate(texts))
        x = x + w["embeddings.token_type_embeddings.weight"][0]
        x = x + w["embeddings.position_embeddings.weight"][place]
        words = x = normalize(x, w, "embeddings.LayerNorm", epsilon)
        for layer in range(config["num_hidden_layers"]):
            at = f"encoder.layer.{layer}."
            parts = (
                linear(x, w, f"{at}attention.self.{part}") for part in ("query", "key", "value")
            )
            read = linear(attend_within(*parts, heads, ends), w, f"{at}attention.output.dense")
            x = normalize(x + read, w, f"{at}attention.output.LayerNorm", epsilon)
            inner = gelu(linear(x, w, f"{at}intermediate.dense"))
            x = normalize(
                x + linear(inner, w, f"{at}output.dense"), w, f"{at}output.LayerNorm", epsilon
            )
        for array in (words, x):
            array.setflags(write=False)
        return list(zip(np.split(words, ends), np.split(x, ends), strict=True))

    def _features(self, states: Sequence[States]) -> np.ndarray:
        """Pool the states of texts with the head, `StatesPooler`, and project them: (n, dim)."""
        w, head = self._state, self._head
        words, contexts = (np.concatenate(side) for side in zip(*states, strict=True))
        ends, place = _ends([len(rows) for rows, _ in states])
        x = words @ w["pooler.words.weight"] + linear(contexts, w, "pooler.contexts")
        x = x + w["pooler.position_embedding"][place]
        for layer in range(head["layers"]):
            at = f"pooler.attend.layers.{layer}."
            entered = normalize(x, w, f"{at}norm1")
            packed = entered @ w[f"{at}self_attn.in_proj_weight"] + w[f"{at}self_attn.in_proj_bias"]
            read = attend_within(*np.split(packed, 3, axis=1), head["heads"], ends)
            x = x + linear(read, w, f"{at}self_attn.out_proj")
            inner = gelu(linear(normalize(x, w, f"{at}norm2"), w, f"{at}linear1"))
            x = x + linear(inner, w, f"{at}linear2")
        x = normalize(x, w, "pooler.norm")
        # Text by text: with others, products with a vector would differ in their last bits.
        return np.stack([self._pooled(rows) @ w["proj.weight"] for rows in np.split(x, ends)])

    def _pooled(self, rows: np.ndarray) -> np.ndarray:
        """Return the mean of the rows of one text, weighted by their products with the query."""
        query = self._state.get("pooler.query.weight")
        scores = np.zeros((len(rows), 1), np.float32) if query is None else rows @ query
        return (softmax(scores.T) @ rows)[0]


def _ends(lengths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return where texts end among the rows of all but the last, and the place of each row."""
    return np.cumsum(lengths)[:-1], np.concatenate([np.arange(n) for n in lengths])


# ---- the parts of a transformer


def transposed(weights: Weights) -> Weights:
    """Return matrices as (inputs, outputs), in whose order BLAS reads them up to twice as fast."""
    return {
        name: np.ascontiguousarray(value.T)
        if value.ndim == 2 and "embedding" not in name
        else value
        for name, value in weights.items()
    }


def linear(x: np.ndarray, weights: Weights, name: str) -> np.ndarray:
    """Compute x W + b, with W from `transposed`."""
    return x @ weights[f"{name}.weight"] + weights[f"{name}.bias"]


def normalize(x: np.ndarray, weights: Weights, name: str, epsilon: float = 1e-5) -> np.ndarray:
    """Compute layer normalisation of each row, with gain and bias."""
    centred = x - x.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=1, keepdims=True) + np.float32(epsilon))
    return centred / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def gelu(x: np.ndarray) -> np.ndarray:
    """Compute x times the normal distribution function of x, the exact form."""
    return x * (1 + erf(x / np.float32(np.sqrt(2)))) / 2


def softmax(x: np.ndarray) -> np.ndarray:
    """Compute exp(x) / sum exp(x) over the last axis."""
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def attend(queries: np.ndarray, keys: np.ndarray, values: np.ndarray, heads: int) -> np.ndarray:
    """Compute softmax(Q K^T / sqrt(d)) V in each head; all of (n, width), without a mask."""
    n, width = queries.shape
    q, k, v = (x.reshape(n, heads, -1).transpose(1, 0, 2) for x in (queries, keys, values))
    weights = softmax(q @ k.transpose(0, 2, 1) / np.float32(np.sqrt(width // heads)))
    return (weights @ v).transpose(1, 0, 2).reshape(n, width)


def attend_within(
    queries: np.ndarray, keys: np.ndarray, values: np.ndarray, heads: int, ends: np.ndarray
) -> np.ndarray:
    """Let the rows of each text attend to one another; `ends` are those of all but the last."""
    texts = zip(*(np.split(x, ends) for x in (queries, keys, values)), strict=True)
    return np.concatenate([attend(*text, heads) for text in texts])
