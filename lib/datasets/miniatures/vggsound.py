"""A miniature of VGGSound: three classes, sixteen test clips and two of train."""

import csv
import json
from pathlib import Path

from lib.core.writing import atomic_folder
from lib.datasets import scenes
from lib.datasets.audio_video import PER_CLASS
from lib.datasets.completeness import write_miniature_card
from lib.datasets.media.decoding import require_av
from lib.datasets.miniatures.clips import tone, write_scene_clip
from lib.datasets.vggsound import ANNOTATIONS, NAME

LABELS = ("playing hammond organ", "bird chirping, tweeting", "dog barking")
N_TEST, N_TRAIN = 16, 2
N_DRAWN = 15


def write_miniature(folder: str | Path, *, media: bool = True) -> None:
    """Writes the miniature of VGGSound.

        vggsound.csv                                          no header; labels with commas in
        quotes
        vgg_test_5_per_class_for_retrieval_cleaned.json       CAV-MAE's form, with labels as codes
        videos/<id>_<start as six digits>.mp4                 test clips: a scene that drifts, and a
        pure tone

    Two clips come from one video.

    Args:
        folder: replaced as a whole if it is there.
        media: write the clips, which needs PyAV; False for the annotations alone.

    Raises:
        RetrievalInputError: PyAV is missing; nothing is written.
    """
    if media:
        require_av()
    ids = [f"{'-' if at == 0 else 's'}ound{max(at, 1):06}" for at in range(N_TEST + N_TRAIN)]
    ids[2] = ids[1]  # at another time
    rows = [
        (video, 10 * at, LABELS[at % 3], "test" if at < N_TEST else "train")
        for at, video in enumerate(ids)
    ]
    clips = [f"{video}_{start:06d}" for video, start, _, part in rows if part == "test"]
    subset = [
        {
            "video_id": clip,
            "wav": f"/nowhere/{clip}.wav",
            "video_path": "/nowhere/",
            "labels": f"vgg_{at % 3}",
        }
        for at, clip in enumerate(clips[:N_DRAWN])
    ]
    with atomic_folder(folder) as room:
        with open(room / ANNOTATIONS, "w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(rows)
        (room / f"vgg_test_{PER_CLASS}_cleaned.json").write_text(json.dumps({"data": subset}))
        drawn = scenes.sample("test", N_TEST, seed=4)
        for at, frames in enumerate(scenes.render_clip(drawn)) if media else ():
            write_scene_clip(room / "videos" / f"{clips[at]}.mp4", frames, tone(300 + 40 * at, 1.0))
        counts = {
            "retrieval": {"clips": N_DRAWN},
            "test": {"segments": N_TEST, "classes": len(LABELS), "five per class": N_DRAWN},
        }
        write_miniature_card(room, NAME, counts)
