"""A miniature of MSR-VTT: 22 test clips, of which 20 are in 1k-A, one of train and one of
validation.
"""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from lib.core.writing import atomic_folder
from lib.datasets import scenes
from lib.datasets.completeness import write_miniature_card
from lib.datasets.media.decoding import require_av
from lib.datasets.miniatures.clips import write_scene_clip
from lib.datasets.msrvtt import ALL_IN_ONE, NAME, TEST_1K, TEST_1K_HEADER

N_1K = 20
N_SENTENCES = 20
SHORT_OF_ONE = "video7025"  # has 19 sentences


def write_miniature(folder: str | Path, *, media: bool = True) -> None:
    """Writes the miniature of MSR-VTT.

        MSRVTT_data.json                videos and sentences; "start time" and "end time" with their
        space
        MSRVTT_JSFUSION_test.csv        1k-A; the last two rows are the same sentence of two clips
        MSRVTT_train.9k.csv, .7k.csv    everything else; the train and validation clips
        videos/all/video<n>.mp4         scenes that drift, 128 x 128, one second

    Sentences are the scenes' clip captions, five of them and again, as the real corpus repeats
    itself; the sentence of 1k-A is the full caption, without the motion.

    Args:
        folder: replaced as a whole if it is there.
        media: write the clips, which needs PyAV; False for the annotations alone.

    Raises:
        RetrievalInputError: PyAV is missing; nothing is written.
    """
    if media:
        require_av()
    drawn = _scenes()
    ids = [f"video{number}" for number in (0, 6513, *range(7010, 7010 + N_1K + 2))]
    parts = ["train", "validate"] + ["test"] * (N_1K + 2)
    told = scenes.clip_captions(drawn)
    sentences = [
        {
            "caption": told[at][number % len(told[at])],
            "video_id": video,
            "sen_id": N_SENTENCES * at + number,
        }
        for at, video in enumerate(ids)
        for number in range(N_SENTENCES - (video == SHORT_OF_ONE))
    ]
    videos = [
        {
            "category": at % 20,
            "url": f"https://www.youtube.com/watch?v=scene{at:06}",
            "video_id": video,
            "start time": 0.0,
            "end time": 1.0,
            "split": part,
            "id": at,
        }
        for at, (video, part) in enumerate(zip(ids, parts))
    ]
    info = {
        "year": "2016",
        "version": "1.0",
        "description": "a miniature",
        "contributor": "",
        "data_created": "",
    }
    in_1k = list(range(len(ids) - N_1K, len(ids)))
    in_1k = (
        in_1k[7:-2] + in_1k[:7] + in_1k[-2:]
    )  # not by id, as in the real file; the twins stay last
    full = [five[0] for five in scenes.captions(drawn)]
    with atomic_folder(folder) as room:
        content = {"info": info, "videos": videos, "sentences": sentences}
        (room / ALL_IN_ONE).write_text(json.dumps(content), encoding="utf-8")
        rows = [(f"ret{n}", f"msr{ids[at][5:]}", ids[at], full[at]) for n, at in enumerate(in_1k)]
        _write_csv(room / TEST_1K, TEST_1K_HEADER, rows)
        rest = [(video,) for at, video in enumerate(ids) if at not in in_1k]
        _write_csv(room / "MSRVTT_train.9k.csv", ("video_id",), rest)
        _write_csv(room / "MSRVTT_train.7k.csv", ("video_id",), rest[:2])
        if media:
            for video, clip in zip(ids, scenes.render_clip(drawn), strict=True):
                write_scene_clip(room / "videos" / "all" / f"{video}.mp4", clip)
        write_miniature_card(room, NAME, _counts(len(rest)))


def _scenes() -> scenes.SceneBatch:
    """The last is the one before it on another background and with another motion: one sentence
    fits both.
    """
    drawn = scenes.sample("test", N_1K + 4, seed=1)
    last = len(drawn) - 1
    twin = drawn[np.r_[0:last, last - 1]]
    background, motion = twin.background.copy(), twin.motion.copy()
    background[last] = (background[last] + 1) % 8
    motion[last] = (motion[last] + 1) % len(scenes.MOTIONS)
    return replace(twin, background=background, motion=motion)


def _counts(n_rest: int) -> dict[str, dict[str, int]]:
    n_test = N_1K + 2
    one = {"videos": 1, "captions": N_SENTENCES}
    return {
        "1k-A": {"videos": N_1K, "captions": N_1K, "distinct sentences": N_1K - 1},
        "full": {"videos": n_test, "captions": N_SENTENCES * n_test - 1},
        "full_val": one,
        "full_train": one,
        "train_9k": {"videos": n_rest, "captions": N_SENTENCES * n_rest},
        "train_7k": {"videos": 2, "captions": 2 * N_SENTENCES},
    }


def _write_csv(path: Path, header: tuple[str, ...], rows: list[tuple]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
