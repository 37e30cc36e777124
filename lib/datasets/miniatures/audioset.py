"""A miniature of AudioSet: three classes, sixteen evaluation clips, each with a tone of its own."""

import json
import wave
from pathlib import Path

import numpy as np

from lib.core.writing import atomic_folder
from lib.datasets import scenes
from lib.datasets.audio_video import PER_CLASS
from lib.datasets.audioset import CLASSES, NAME
from lib.datasets.completeness import write_miniature_card
from lib.datasets.media.decoding import RATE, require_av
from lib.datasets.miniatures.clips import tone, write_scene_clip

LABELS = {
    "/m/05zppz": "Male speech, man speaking",
    "/t/dd00099": "Boing",
    "/m/02c8p": "Telephone bell ringing",
}
N_EVAL, N_TRAIN = 16, 3
SOUND_APART = 3  # number of the clip that is silent and has a file in audio/


def write_miniature(folder: str | Path, *, media: bool = True) -> None:
    """Writes the miniature of AudioSet.

        eval_segments.csv, balanced_train_segments.csv            three comment lines; labels in
        quotes
        class_labels_indices.csv                                  a name with a comma
        audioset_eval_5_per_class_for_retrieval_cleaned.json      CAV-MAE's form, with strange paths
        videos/<id>.mp4                                           a scene that drifts, and a pure
        tone
        audio/<id>.wav                                            of one clip whose video is silent

    Ids begin with "-" and with "--", as many on YouTube do. Every fifth clip has two labels, so
    that five clips of each class, none twice, are fifteen of the sixteen.

    Args:
        folder: replaced as a whole if it is there.
        media: write the clips, which needs PyAV; False for the annotations alone.

    Raises:
        RetrievalInputError: PyAV is missing; nothing is written.
    """
    if media:
        require_av()
    ids = [f"scene{at:06}" for at in range(N_EVAL + N_TRAIN)]
    ids[0], ids[1] = "-cene000000", "--ene000001"
    labels = [_labels(at) for at in range(len(ids))]
    subset = [
        {
            "video_id": ids[at],
            "wav": f"/nowhere/audio/{ids[at]}.wav",
            "video_path": "/nowhere/frames/",
            "labels": ",".join(labels[at]),
        }
        for at in range(N_EVAL - 1)
    ]
    with atomic_folder(folder) as room:
        _write_segments(room / "eval_segments.csv", ids[:N_EVAL], labels[:N_EVAL])
        _write_segments(room / "balanced_train_segments.csv", ids[N_EVAL:], labels[N_EVAL:])
        rows = [f'{at},{mid},"{name}"' for at, (mid, name) in enumerate(LABELS.items())]
        (room / CLASSES).write_text(
            "\n".join(["index,mid,display_name", *rows]) + "\n", encoding="utf-8"
        )
        (room / f"audioset_eval_{PER_CLASS}_cleaned.json").write_text(json.dumps({"data": subset}))
        if media:
            _write_media(room, ids)
        classes = {"classes": len(LABELS)}
        counts = {
            "retrieval": {"clips": len(subset)},
            "eval": {"segments": N_EVAL, **classes},
            "balanced_train": {"segments": N_TRAIN, **classes},
        }
        write_miniature_card(room, NAME, counts)


def _labels(at: int) -> list[str]:
    mids = list(LABELS)
    return [mids[at % 3]] + ([mids[(at + 1) % 3]] if at % 5 == 0 else [])


def _write_segments(path: Path, ids: list[str], labels: list[list[str]]) -> None:
    n_positive, n_labels = sum(map(len, labels)), len({one for own in labels for one in own})
    lines = [
        "# Segments csv created Sun Mar  5 10:54:25 2017",
        f"# num_ytids={len(ids)}, num_segs={len(ids)}, num_unique_labels={n_labels}, "
        f"num_positive_labels={n_positive}",
        "# YTID, start_seconds, end_seconds, positive_labels",
        *(
            f'{video}, {10 * at}.000, {10 * at + 10}.000, "{",".join(own)}"'
            for at, (video, own) in enumerate(zip(ids, labels, strict=True))
        ),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_media(room: Path, ids: list[str]) -> None:
    for at, clip in enumerate(scenes.render_clip(scenes.sample("test", len(ids), seed=3))):
        sound = tone(200 + 50 * at, 1.0)
        write_scene_clip(
            room / "videos" / f"{ids[at]}.mp4", clip, None if at == SOUND_APART else sound
        )
        if at == SOUND_APART:
            (room / "audio").mkdir()
            with wave.open(str(room / "audio" / f"{ids[at]}.wav"), "wb") as stream:
                stream.setnchannels(1)
                stream.setsampwidth(2)
                stream.setframerate(RATE)
                stream.writeframes((sound * 32767).astype(np.dtype("<i2")).tobytes())
