"""Turn waveforms into the inputs of CLAP, without the random crops of its feature extractor.

CLAP hears ten seconds. What is shorter is repeated and filled with silence, as the checkpoint says.
What is longer is cut at random in training; here the place is always the middle:

    truncation "rand_trunc"     the middle ten seconds
    truncation "fusion"         the whole, squeezed into ten seconds, and three crops of ten
                                seconds: the middle ones of the front, the middle and the back

The extractor of transformers also calls one short sound of each batch longer, at random. Here no
short sound is.

Reference: Wu et al. 2023, "Large-scale contrastive language-audio pretraining with feature fusion
and keyword-to-caption augmentation".
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import BatchFeature, ClapFeatureExtractor

from lib.core.checks import RetrievalInputError

TRUNCATIONS = ("rand_trunc", "fusion")
PLACES = {
    "rand_trunc": "of longer sounds the middle {} s",
    "fusion": "of longer sounds the whole in {0} s and the middle {0} s of front, middle and back",
}


def sound_inputs(extractor: ClapFeatureExtractor, waveforms: Sequence[np.ndarray]) -> BatchFeature:
    """Compute the inputs of a batch of sounds; each is computed for itself.

    Args:
        extractor: of the checkpoint.
        waveforms: float `(n_samples,)` each, at `extractor.sampling_rate`.

    Returns:
        `input_features`, float32 `(n, 1, n_frames, n_mels)`, four channels with "fusion"; and
        `is_longer`, bool `(n, 1)`.
    """
    spectra, longer = zip(*(_spectrum(extractor, waveform) for waveform in waveforms))
    features = torch.stack([torch.as_tensor(one, dtype=torch.float32) for one in spectra])
    return BatchFeature({"input_features": features, "is_longer": torch.tensor(longer)[:, None]})


def check_waveform(waveform, where: str) -> np.ndarray:
    """Return a waveform as float64 `(n_samples,)`; anything else is an error."""
    array = np.asarray(waveform)
    if array.ndim != 1 or not array.size or array.dtype.kind != "f" or not np.isfinite(array).all():
        raise RetrievalInputError(
            f"{where} must be finite floats (n_samples,), mono, got {array.dtype} {array.shape}"
        )
    return array.astype(np.float64)


def _spectrum(extractor: ClapFeatureExtractor, waveform: np.ndarray) -> tuple[np.ndarray, bool]:
    """Compute the log-mel channels of one sound, and whether the model must fuse them."""
    limit = extractor.nb_max_samples
    if len(waveform) <= limit:
        return _log_mel(extractor, waveform, limit), False
    if extractor.truncation == "rand_trunc":
        start = (len(waveform) - limit) // 2
        return _log_mel(extractor, waveform[start : start + limit], limit), True
    channels = _log_mel(extractor, waveform, len(waveform))  # four times the whole
    n_frames = limit // extractor.hop_length + 1
    if channels.shape[1] == n_frames:
        return channels, False
    return _fused(torch.as_tensor(channels[0]), n_frames), True


def _log_mel(extractor: ClapFeatureExtractor, waveform: np.ndarray, n_samples: int) -> np.ndarray:
    """Compute the channels of a sound of at most `n_samples`, by the extractor itself."""
    inputs = extractor(waveform, sampling_rate=extractor.sampling_rate, max_length=n_samples)
    return np.asarray(inputs["input_features"][0])


def _fused(spectrum: Tensor, n_frames: int) -> Tensor:
    """Stack a spectrum squeezed to `n_frames`, and three crops of it."""
    squeezed = interpolate(
        spectrum[None, None], (n_frames, spectrum.shape[1]), mode="bilinear", align_corners=False
    )
    thirds = np.array_split(np.arange(len(spectrum) - n_frames + 1), 3)
    starts = [int(third[len(third) // 2]) if len(third) else 0 for third in thirds]
    crops = [spectrum[start : start + n_frames] for start in starts]
    return torch.stack([squeezed[0, 0], *crops])
