"""Text towers on a published transformer: its frozen states, and a head that is trained on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from open_clip.hf_model import HFTextEncoder
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, PreTrainedConfig

from lib.core.checks import check_count
from lib.models.attention import StatesPooler
from lib.models.published_weights import WEIGHTS, PublishedTower, published_tower


def published_text_encoder(name: str, device: str | torch.device = "cpu") -> HFTextEncoder:
    """Load a published text tower into open_clip's Hugging Face tower, frozen; one for all callers.

    Its result for ids (n, length) is the mean of the last states, (n, width): the sentence vector
    of a sentence transformer before normalisation.
    """
    return _shared_encoder(name, str(device))


@lru_cache(maxsize=2)
def _shared_encoder(name: str, device: str) -> HFTextEncoder:
    return _new_encoder(published_tower(name)).requires_grad_(False).eval().to(device)


def _new_encoder(tower: PublishedTower) -> HFTextEncoder:
    weights = tower.file(WEIGHTS)
    config = _transformer_config(tower)
    # Outside inference mode, in which a first query may come: weights made there cannot be trained.
    with torch.inference_mode(False):
        encoder = HFTextEncoder(tower.name, config.hidden_size, config, pooler_type="mean_pooler")
        known = encoder.transformer.state_dict()
        # Files of older versions of transformers hold positions as a tensor, which is a constant.
        state = {key: value for key, value in load_file(weights).items() if key in known}
        encoder.transformer.load_state_dict(state)
    return encoder


def _transformer_config(tower: PublishedTower) -> PreTrainedConfig:
    values = {key: value for key, value in tower.config.items() if key != "model_type"}
    return CONFIG_MAPPING[tower.config["model_type"]](**values, output_hidden_states=True)


class PublishedTextTower(HFTextEncoder):
    """open_clip's Hugging Face text tower: a published transformer below, a trained head on top.

    Locked, the transformer is shared by all towers of the process, loaded with the first text, and
    no part of the weights of this module: saving, averaging and copying handle the head alone.

    Args:
        output_dim: dimension of the embeddings.
        context_length: largest number of pieces of a text.
        hf_model_name: a name of `data/published/text_towers.toml`.
        sha256: SHA-256 of its weights; another file than the head was trained on is refused.
        unlocked_layers: layers that are trained too, from the last one down; one more than there
            are layers trains the word embeddings as well. The whole transformer is then a part of
            the weights of this module.
        **head: `width`, `heads`, `layers`, `dropout` and `pooling` of `StatesPooler`.

    References: Zhai et al. 2022, "LiT: Zero-Shot Transfer with Locked-image text Tuning"; here it
    is the text tower that is locked.
    """

    def __init__(
        self,
        output_dim: int,
        context_length: int,
        *,
        hf_model_name: str,
        sha256: str,
        unlocked_layers: int = 0,
        **head,
    ) -> None:
        nn.Module.__init__(self)  # that of HFTextEncoder would make a transformer of its own
        published = published_tower(hf_model_name, sha256)
        self.name, self.output_dim, self.output_tokens = hf_model_name, output_dim, False
        self.config = _transformer_config(published)
        self.context_length, self.vocab_size = context_length, self.config.vocab_size
        self.pooler = StatesPooler(self.config.hidden_size, context_length, **head)
        self.proj = nn.Linear(head["width"], output_dim, bias=False)
        n_layers = self.config.num_hidden_layers
        check_count(unlocked_layers, "unlocked_layers", least=0, most=n_layers + 1)
        if unlocked_layers:
            # Its own pooling layer, which is not used, stays locked too.
            self.unlocked = _new_encoder(published).transformer.requires_grad_(False)
            blocks = [self.unlocked.embeddings, *self.unlocked.encoder.layer]
            for block in blocks[len(blocks) - unlocked_layers :]:
                block.requires_grad_(True)

    @property
    def transformer(self) -> nn.Module:
        """Return the transformer: of this tower where a part of it is trained, else the shared one.

        A shared one is read from its file with the first text.
        """
        if "unlocked" in self._modules:
            return self.unlocked
        return published_text_encoder(self.name, self.proj.weight.device).transformer

    def forward(self, x: Tensor) -> Tensor:
        """Encode ids (n, length) as (n, output_dim), not normalised."""
        return super().forward(self.without_padding(x))

    def without_padding(self, ids: Tensor) -> Tensor:
        """Drop the columns that are padding in each row: they cost time and change nothing."""
        longest = int((ids != self.config.pad_token_id).sum(dim=1).max()) if len(ids) else 1
        return ids[:, :longest]

    def features_of_states(self, words: Tensor, contexts: Tensor, mask: Tensor) -> Tensor:
        """Encode states of `TextStates.batch` as (n, output_dim), not normalised; with gradient."""
        return self.proj(self.pooler.pool(words, contexts, mask))


@dataclass(frozen=True, eq=False, repr=False)
class TextStates:
    """Frozen states of n texts, one piece after the other: the input of a head in training.

    Attributes:
        words, contexts: float16 (T, width), the embeddings of the pieces and their last states.
        lengths: int64 (n,), pieces of each text; they add up to T.
    """

    words: np.ndarray
    contexts: np.ndarray
    lengths: np.ndarray

    def batch(self, positions: Sequence[int] | np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Return words and contexts (k, L, width) float32, and mask (k, L), padded with zeros."""
        lengths = self.lengths[positions]
        starts = (np.cumsum(self.lengths) - self.lengths)[positions]
        columns = np.arange(lengths.max(initial=1))
        mask = columns < lengths[:, None]
        pieces = np.where(mask, starts[:, None] + columns, 0)
        states = (
            torch.from_numpy(rows[pieces].astype(np.float32) * mask[..., None])
            for rows in (self.words, self.contexts)
        )
        return (*states, torch.from_numpy(mask))


@torch.inference_mode()
def frozen_states(
    name: str,
    tokens: np.ndarray,
    *,
    batch_size: int = 64,
    progress: Callable[[int], None] | None = None,
) -> TextStates:
    """Compute the states that a locked tower reads, once for all steps of a training.

    Args:
        name: see `PublishedTextTower`.
        tokens: (n, length) ids, from `PublishedTokenizer.encode`.
        batch_size: texts in a forward pass; texts of like length share one.
        progress: called with the number of texts after each forward pass.
    """
    encoder = published_text_encoder(name)
    mask = tokens != encoder.config.pad_token_id
    lengths = mask.sum(axis=1)
    ends = np.cumsum(lengths)
    shape = int(lengths.sum()), encoder.config.hidden_size
    words, contexts = np.empty(shape, np.float16), np.empty(shape, np.float16)
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), check_count(batch_size, "batch_size")):
        rows = order[start : start + batch_size]
        longest = lengths[rows[-1]]
        chunk = torch.from_numpy(tokens[rows, :longest])
        attention = torch.from_numpy(mask[rows, :longest])
        states = encoder.transformer(input_ids=chunk, attention_mask=attention.long()).hidden_states
        pieces = np.concatenate([np.arange(ends[i] - lengths[i], ends[i]) for i in rows])
        words[pieces] = states[0][attention].numpy()
        contexts[pieces] = states[-1][attention].numpy()
        if progress is not None:
            progress(len(rows))
    return TextStates(words, contexts, lengths)
