"""Encode sounds and texts with a CLAP checkpoint: `load_clap` and the encoder that it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor
from transformers import BatchFeature, ClapModel

from lib.core.checks import RetrievalInputError
from lib.datasets.media.files import AudioFiles
from lib.models.clap_features import PLACES, check_waveform, sound_inputs
from lib.models.clap_folder import ClapParts, clap_folder, read_clap
from lib.models.dual_encoder import Progress
from lib.models.open_clip_loader import weights_digest
from lib.models.text_side import TextSide, checked_settings

NAME = "clap"
EXAMPLE = "laion/clap-htsat-unfused"
BATCH = 16  # a spectrum of ten seconds has 64,000 numbers, four times as many with fusion


def load_clap(
    pretrained: str | Path | None,
    *,
    precision: str = "fp32",
    device: str = "cpu",
    prompt: str = "",
    batch_size: int = BATCH,
    workers: int = 0,
    cache_dir: str | Path | None = None,
) -> ClapEncoder:
    """Load a CLAP checkpoint with its own feature extractor and tokenizer.

    Args:
        pretrained: a repository of the Hugging Face hub, `"laion/clap-htsat-unfused"` or
            `"laion/larger_clap_general"`, downloaded once; or a folder with its files: config.json,
            preprocessor_config.json, model.safetensors and the tokenizer's.
        precision, device, prompt, workers: as in `lib.models.encoder.load_encoder`.
        batch_size: sounds or texts per forward pass.
        cache_dir: the hub's download folder, instead of the default.

    Returns:
        A `ClapEncoder`.

    Reference: Wu et al. 2023, "Large-scale contrastive language-audio pretraining with feature
    fusion and keyword-to-caption augmentation".
    """
    settings = checked_settings(precision, device, prompt, batch_size, workers)
    if not pretrained:
        raise RetrievalInputError(
            f"clap is an architecture without weights. Name them with --pretrained (in Python:"
            f" pretrained=...): {EXAMPLE}, another repository of the hub, or a folder"
        )
    folder = clap_folder(str(pretrained), cache_dir)
    tag = folder.resolve().name if Path(pretrained).is_dir() else str(pretrained)
    return ClapEncoder(clap_towers(read_clap(folder), tag), **settings)


@dataclass(frozen=True, eq=False, repr=False)
class SoundTowers:
    """A loaded model of sounds and texts; fields as in `lib.models.open_clip_loader.Towers`.

    Attributes:
        rate: samples per second of the waveforms.
        read: waveforms to the inputs of the sound tower.
        sound_features: such inputs to `(n, dim)`.
    """

    network: ClapModel
    dim: int
    rate: int
    read: Callable[[Sequence[np.ndarray]], BatchFeature]
    sound_features: Callable[[BatchFeature], Tensor]
    tokenize: Callable[[list[str]], Tensor]
    too_long: Callable[[list[str]], np.ndarray]
    text_features: Callable[[Tensor], Tensor]
    identity: dict[str, str]
    notes: tuple[str, ...] = ()


def clap_towers(parts: ClapParts, tag: str) -> SoundTowers:
    """Make the towers of a checkpoint; `tag` names it in results."""
    network, extractor, tokenizer = parts.network, parts.extractor, parts.tokenizer
    config = network.config.text_config
    pad = config.pad_token_id
    # Positions are counted from behind the pad id on.
    length = min(tokenizer.model_max_length, config.max_position_embeddings - pad - 1)

    def tokenize(texts: list[str]) -> Tensor:
        options = {"padding": True, "truncation": True, "max_length": length}
        return tokenizer(texts, return_tensors="pt", **options)["input_ids"]

    def too_long(texts: list[str]) -> np.ndarray:
        return np.array([len(ids) > length for ids in tokenizer(texts)["input_ids"]])

    def text_features(ids: Tensor) -> Tensor:
        output = network.get_text_features(input_ids=ids, attention_mask=(ids != pad).long())
        return output.pooler_output

    place = PLACES[extractor.truncation].format(extractor.max_length_s)
    return SoundTowers(
        network=network,
        dim=network.config.projection_dim,
        rate=extractor.sampling_rate,
        read=partial(sound_inputs, extractor),
        sound_features=lambda inputs: network.get_audio_features(**inputs).pooler_output,
        tokenize=tokenize,
        too_long=too_long,
        text_features=text_features,
        identity={
            "model": NAME,
            "tag": tag,
            "transform": f"{extractor.sampling_rate} Hz, mono, {extractor.feature_size} log-mel"
            f" bands, {extractor.max_length_s} s, {extractor.padding}; {place}",
            "tokenizer": f"{type(tokenizer).__name__}, context {length}",
            "weights_sha256": weights_digest(network),
        },
        notes=(f"clap hears {extractor.max_length_s} s: {place}",),
    )


class ClapEncoder(TextSide):
    """Encode sounds and texts as unit vectors of one space; made by `load_clap`.

    Attributes:
        identity: everything that decides an embedding, as in `PretrainedEncoder`.
        notes: what the model hears of a long sound.
        truncated: number of texts that `encode_text` has cut until now.
    """

    def __init__(self, towers: SoundTowers, **settings) -> None:
        super().__init__(towers, **settings)
        self.rate = towers.rate

    def encode_audio(
        self, sounds: Sequence[np.ndarray], *, progress: Progress | None = None
    ) -> np.ndarray:
        """Encode sounds.

        Args:
            sounds: files, which are decoded at the rate of the model one batch at a time
                (`AudioFiles`); or float waveforms `(n_samples,)` at `rate`.
            progress: called with the number of sounds after each forward pass.

        Returns:
            float32 `(n, dim)`, rows of length 1.
        """
        if isinstance(sounds, AudioFiles):
            sounds = sounds.at_rate(self.rate)
        starts = range(0, len(sounds), self.batch_size)
        jobs = (partial(self._read, sounds, start) for start in starts)
        out = np.empty((len(sounds), self.dim), dtype=np.float32)
        for start, batch in zip(starts, self._ahead(jobs), strict=True):
            rows = self._unit_rows(self._towers.sound_features, batch, "sounds", start)
            out[start : start + len(rows)] = rows
            if progress is not None:
                progress(len(rows))
        return out

    def _read(self, sounds: Sequence[np.ndarray], start: int) -> BatchFeature:
        stop = min(start + self.batch_size, len(sounds))
        return self._towers.read(
            [check_waveform(sounds[at], f"sounds[{at}]") for at in range(start, stop)]
        )
