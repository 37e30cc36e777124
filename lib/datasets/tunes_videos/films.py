"""From a recipe to a film: soundtrack, pictures cut on the beat, and the .mp4 in the cache."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from lib.core.paths import cache_dir
from lib.core.reading import DamagedFileError, MissingFileError, verify
from lib.core.writing import write_checksum
from lib.datasets import scenes
from lib.datasets.media import decoding
from lib.datasets.media.encoding import write_clip
from lib.datasets.tunes_videos.recipes import NAME, ClipRecipe
from lib.datasets.tunes_videos.score import clip_score
from lib.datasets.voices.soundfont import PARTS_RATE, play_parts, soundfont_path

VERSION = 1  # of the rendering; a change of it renders every clip anew
FPS = 10  # frames a second
ENLARGED = 2  # pixels of the film for one of a scene, along each side
MOST_FRAMES = 32  # of a moving scene; it stands still after them
BIT_RATE = 64_000  # of the sound
CRF = 23  # of the pictures
PEAK = 0.8  # of full scale


def soundtrack(recipe: ClipRecipe, *, accompanied: bool = True) -> np.ndarray:
    """Play the music of a clip.

    Args:
        recipe: the clip.
        accompanied: with chords, bass and drums, which are as loud as the recipe's balance says;
            False for the melody alone.

    Returns:
        float32 `(n,)`, mono, 48,000 samples a second, peak at 0.8.
    """
    melody, *others = clip_score(recipe).parts
    sound = play_parts([melody], recipe.seconds)
    if accompanied:
        behind = play_parts(others, recipe.seconds)
        gain = np.sqrt(np.mean(sound**2) / np.mean(behind**2)) * 10 ** (-recipe.balance / 20)
        sound = sound + gain * behind
    return (sound * (PEAK / np.abs(sound).max())).astype(np.float32)


def pictures(recipe: ClipRecipe) -> np.ndarray:
    """Draw the frames of a clip, uint8 `(n, 128, 128, 3)`, 10 a second.

    Each shot is a scene that drifts. A cut is at the frame nearest to its beat. The scenes are
    drawn by the recipe's seed and have nothing to do with the tune.
    """
    cuts = np.rint(clip_score(recipe).cuts * FPS).astype(np.int64)
    n = recipe.seconds * FPS
    drawn = scenes.sample("train", cuts.size, seed=recipe.scenes)
    moving = scenes.render_clip(drawn, MOST_FRAMES)
    shot = np.searchsorted(cuts, np.arange(n), side="right") - 1
    frames = moving[shot, np.minimum(np.arange(n) - cuts[shot], MOST_FRAMES - 1)]
    return frames.repeat(ENLARGED, axis=1).repeat(ENLARGED, axis=2)


def clip_file(recipe: ClipRecipe) -> Path:
    """Return the .mp4 of a clip, from the cache or rendered now.

    It needs PyAV (extra `video`), and `tinysoundfont` with `pretty_midi`. The same packages give
    the same file; other versions of FFmpeg may give other bytes.
    """
    text = json.dumps([VERSION, FPS, BIT_RATE, CRF, asdict(recipe)], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    path = cache_dir() / NAME / f"{recipe.name}-{digest}.mp4"
    try:
        return verify(path, rebuild="It is rendered again")
    except (MissingFileError, DamagedFileError):
        decoding.require_av()
        soundfont_path()  # its error says what to install
    write_clip(
        path, pictures(recipe), FPS, soundtrack(recipe), rate=PARTS_RATE, bit_rate=BIT_RATE, crf=CRF
    )
    write_checksum(path)
    return path


def render_files(
    recipes: Sequence[ClipRecipe], progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Path]:
    """Return the .mp4 of each clip; those that are not in the cache are rendered.

    Args:
        recipes: the clips.
        progress: receives how many of how many are ready. A stopped run continues where it was.
    """
    paths = []
    for done, recipe in enumerate(recipes, start=1):
        paths.append(clip_file(recipe))
        progress(done, len(recipes))
    return paths
