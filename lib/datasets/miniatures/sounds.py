"""Miniatures of the sound corpora with sentences: AudioCaps and Clotho.

A sound is one of three sources in one of five patterns; its sentences name both.
"""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np

from lib.datasets.media.decoding import RATE
from lib.datasets.miniatures.writing import Clip, Miniature, write_csv, write_json

SOURCES = {"low hum": 120.0, "whistle": 900.0, "shrill beep": 2_400.0}  # hertz
PATTERNS = ("steadily", "in short pulses", "rising in pitch", "falling in pitch", "fading away")
SECONDS = 1.5
N_TEXTS = 5
N_GONE = 2  # clips of AudioCaps that WavCaps's list lacks
TWICE = "-_twice_001"  # the video with two clips


def write_audiocaps(root: Path) -> Miniature:
    """Write 15 test clips, 2 of validation and 3 of train, in all names that circulate.

        test.csv, val.csv, train.csv    audiocap_id, youtube_id, start_time, caption; the rows of
                                        one clip are far apart, train has one a clip
        dataset2.0/test.csv             the second release: the same clips, smaller first letters
        test.json                       WavCaps's list, which lacks four clips
        audio/<id>_<start>.wav          most sounds; others as Y<id>.wav, <id>.wav, <caption>.wav

    Two clips are from one video. One caption has quotes, one stands twice for one clip, and one
    for two clips.
    """
    described = list(_described(20))
    videos = [f"{'-' if at == 3 else 's'}ound_{at:05}" for at in range(20)]
    videos[4] = videos[5] = TWICE
    starts = [30 * (at % 4) for at in range(20)]
    texts = [texts for _, texts in described]
    texts[0][4] = f'{texts[0][0]}, and somebody says "hush, please"'
    texts[1][3] = texts[1][2]
    texts[2][0] = texts[1][0] = "A sound is heard"
    test, val, train = range(15), range(15, 17), range(17, 20)

    def rows(clips, n_texts: int = N_TEXTS, change=str) -> list[tuple]:
        return [
            (1000 + N_TEXTS * at + number, videos[at], starts[at], change(texts[at][number]))
            for number in range(n_texts)
            for at in clips
        ]

    header = ("audiocap_id", "youtube_id", "start_time", "caption")
    write_csv(root / "test.csv", [header, *rows(test)], lineterminator="\n")
    write_csv(root / "val.csv", [header, *rows(val)], lineterminator="\n")
    write_csv(root / "train.csv", [header, *rows(train, 1)], lineterminator="\n")
    (root / "dataset2.0").mkdir()
    second = rows(test, change=lambda text: text[0].lower() + text[1:])
    write_csv(root / "dataset2.0" / "test.csv", [header, *second], lineterminator="\n")
    # Names there have no start: a video with two clips cannot be among them.
    listed = [at for at in test if videos[at] != TWICE][:-N_GONE]
    entries = [
        {f"caption_{n + 1}": text for n, text in enumerate(texts[at])}
        | {"audio": f"/nowhere/test/Y{videos[at]}.wav", "id": f"Y{videos[at]}.wav"}
        for at in listed
    ]
    write_json(root / "test.json", {"data": entries, "num_captions_per_audio": N_TEXTS})
    stems = [f"{video}_{start}" for video, start in zip(videos, starts)]
    stems[6], stems[7], stems[8] = f"Y{videos[6]}", videos[7], f"{1000 + N_TEXTS * 8 + 2}"
    n_listed = len(listed)
    counts = {
        "test": {
            "sounds": len(test),
            "captions": N_TEXTS * len(test),
            "sounds, WavCaps": n_listed,
            "captions, WavCaps": N_TEXTS * n_listed,
        },
        "val": {"sounds": len(val), "captions": N_TEXTS * len(val)},
        "train": {"sounds": len(train), "captions": len(train), "captions, 2.0": len(train)},
    }
    waves = (wave for wave, _ in described)
    return Miniature(counts, (Clip(f"audio/{s}.wav", None, w) for s, w in zip(stems, waves)))


def write_clotho(root: Path) -> Miniature:
    """Write 12 sounds of evaluation, 2 of validation and 3 of development.

        clotho_captions_<split>.csv     file_name, caption_1 to caption_5; lines end in CR and LF
        <split>/<file name>             a wave file each

    Names have spaces, dots, brackets, quotes, a comma and letters beyond ASCII, as in the corpus.
    One sentence stands under two sounds.
    """
    described = list(_described(17))
    names = [f"sound {at:02}.wav" for at in range(17)]
    names[:7] = (
        "Santa Motor (take 2).wav",
        "20130327_street.traffic.02.wav",
        "bell, 'far' away [edit].wav",
        "Geräusch im Café.wav",
        "-minus first.wav",
        'a "quiet" room.wav',
        "two  spaces.WAV.wav",
    )
    texts = [texts for _, texts in described]
    texts[8][1] = texts[9][4] = 'A voice says "stop, now" and a machine stops.'
    parts = {"evaluation": range(12), "validation": range(12, 14), "development": range(14, 17)}
    header = ("file_name", *(f"caption_{number}" for number in range(1, N_TEXTS + 1)))
    for split, part in parts.items():
        rows = [(names[at], *texts[at]) for at in part]
        write_csv(root / f"clotho_captions_{split}.csv", [header, *rows])
    split_of = {at: split for split, part in parts.items() for at in part}
    sounds = (
        Clip(f"{split_of[at]}/{names[at]}", None, wave) for at, (wave, _) in enumerate(described)
    )
    counts = {split: {"sounds": len(p), "captions": N_TEXTS * len(p)} for split, p in parts.items()}
    return Miniature(counts, sounds)


def _described(n: int) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Yield sounds with five sentences each; behind fifteen they repeat, half as loud."""
    kinds = list(product(SOURCES, PATTERNS))
    for at in range(n):
        source, pattern = kinds[at % len(kinds)]
        faint = at >= len(kinds)
        name = f"faint {source}" if faint else source
        yield (
            wave_of(source, pattern) * (0.5 if faint else 1.0),
            [
                f"A {name} sounds {pattern}",
                f"Somebody hears a {name}, {pattern}",
                f"The {name} goes on {pattern} while nobody speaks",
                f"There is a {name} that sounds {pattern} in a quiet room",
                f"In a quiet room, a {name} is heard {pattern}",
            ],
        )


def wave_of(source: str, pattern: str) -> np.ndarray:
    """Compute one sound, float32 `(n_samples,)` at `RATE`, at most half of full scale."""
    times = np.arange(round(SECONDS * RATE)) / RATE
    share = times / SECONDS
    octaves = {"rising in pitch": share, "falling in pitch": -share}.get(pattern, 0 * share)
    phase = 2 * np.pi * np.cumsum(SOURCES[source] * 2.0**octaves) / RATE
    loudness = np.ones_like(times)
    if pattern == "in short pulses":
        loudness = (times * 6 % 1 < 0.5).astype(float)
    elif pattern == "fading away":
        loudness = 1 - share
    return (0.5 * loudness * np.sin(phase)).astype(np.float32)
