"""A miniature of ActivityNet Captions: twelve validation videos, one of them missing, and two of
train.
"""

import json
from pathlib import Path

from lib.core.writing import atomic_folder
from lib.datasets import scenes
from lib.datasets.activitynet import NAME
from lib.datasets.completeness import write_miniature_card
from lib.datasets.media.decoding import require_av
from lib.datasets.miniatures.clips import FPS, write_scene_clip

N_VAL, N_TRAIN = 12, 2
ONLY_IN_VAL_1 = 10  # number of the video that val_2.json lacks
MISSING = 11  # and of the one whose file is not there
WITH_PREFIX = range(0, N_VAL, 4)  # those whose files are called v_<id>.mp4
N_FRAMES = 16  # two seconds


def write_miniature(folder: str | Path, *, media: bool = True) -> None:
    """Writes the miniature of ActivityNet Captions.

        captions/train.json, val_1.json, val_2.json      durations, timestamps, sentences with
        leading spaces
        captions/train_ids.json, val_ids.json            lists of ids
        videos/<id>.mp4, videos/v_<id>.mp4               scenes that drift for two seconds; one is
        missing

    A paragraph says the scene in full and then once more with its motion; those of val_2 use other
    captions of the same scenes. One id begins with "-" behind its "v_".

    Args:
        folder: replaced as a whole if it is there.
        media: write the videos, which needs PyAV; False for the annotations alone.

    Raises:
        RetrievalInputError: PyAV is missing; nothing is written.
    """
    if media:
        require_av()
    drawn = scenes.sample("test", N_VAL + N_TRAIN, seed=2)
    still, moving = scenes.captions(drawn), scenes.clip_captions(drawn)
    ids = [f"v_{'-' if at == 1 else 's'}cene{at:06}" for at in range(len(drawn))]

    def told(at: int, first: int) -> dict:
        seconds = N_FRAMES / FPS
        return {
            "duration": seconds,
            "timestamps": [[0.0, seconds], [seconds / 2, seconds]],
            "sentences": [f"{still[at][first]}.", f" {moving[at][first + 1]}. "],
        }

    val, train = range(N_VAL), range(N_VAL, N_VAL + N_TRAIN)
    files = {
        "train": {ids[at]: told(at, 0) for at in train},
        "val_1": {ids[at]: told(at, 0) for at in val},
        "val_2": {ids[at]: told(at, 2) for at in val if at != ONLY_IN_VAL_1},
        "train_ids": [ids[at] for at in train],
        "val_ids": [ids[at] for at in val],
    }
    with atomic_folder(folder) as room:
        (room / "captions").mkdir()
        for name, content in files.items():
            (room / "captions" / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        for at, clip in enumerate(scenes.render_clip(drawn, N_FRAMES)) if media else ():
            if at != MISSING:
                stem = ids[at] if at in WITH_PREFIX else ids[at].removeprefix("v_")
                write_scene_clip(room / "videos" / f"{stem}.mp4", clip)
        counts = {split: len(files[split]) for split in ("val_1", "val_2", "train")}
        write_miniature_card(
            room, NAME, {split: {"videos": n, "captions": n} for split, n in counts.items()}
        )
