"""Miniatures of the video and sound corpora: MSR-VTT, ActivityNet, AudioSet and VGGSound.

Ids begin with "-" or "--" in places, as many on YouTube do.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from lib.datasets import scenes
from lib.datasets.miniatures.writing import (
    FPS,
    Clip,
    Miniature,
    tone,
    write_csv,
    write_json,
    write_lines,
)

N_SENTENCES = 20  # of each clip of MSR-VTT
SHORT_OF_ONE = "video7025"  # the clip of MSR-VTT with 19 sentences
N_IN_1K = 20
MISSING_VIDEO = 11  # number of the ActivityNet video without a file
SILENT_CLIP = 3  # number of the AudioSet clip whose sound is a file in audio/
AUDIOSET_LABELS = {
    "/m/05zppz": "Male speech, man speaking",
    "/t/dd00099": "Boing",
    "/m/02c8p": "Telephone bell ringing",
}
VGGSOUND_LABELS = ("playing hammond organ", "bird chirping, tweeting", "dog barking")


def write_msrvtt(root: Path) -> Miniature:
    """Write 22 test clips, of which 20 are in 1k-A, one of train and one of validation.

        MSRVTT_data.json                videos and sentences, "start time" and "end time"
        MSRVTT_JSFUSION_test.csv        1k-A; its last two rows are one sentence of two clips
        MSRVTT_train.9k.csv, .7k.csv    all others; the train and validation clips
        test_list_miech.txt, train_list_miech.txt    1k-B: six clips, some of 1k-A; ten others
        videos/all/video<n>.mp4         moving scenes, 128 x 128, one second

    Sentences are five clip captions, repeated as in the real corpus. The sentence of 1k-A is the
    full caption, without the motion.
    """
    drawn = _msrvtt_scenes()
    ids = [f"video{number}" for number in (0, 6513, *range(7010, 7010 + N_IN_1K + 2))]
    splits = ["train", "validate"] + ["test"] * (N_IN_1K + 2)
    clip_captions = scenes.clip_captions(drawn)
    sentences = [
        {
            "caption": clip_captions[at][number % len(clip_captions[at])],
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
            "split": split,
            "id": at,
        }
        for at, (video, split) in enumerate(zip(ids, splits))
    ]
    info = {"year": "2016", "version": "1.0", "description": "a miniature"}
    info |= {"contributor": "", "data_created": ""}
    write_json(root / "MSRVTT_data.json", {"info": info, "videos": videos, "sentences": sentences})
    in_1k = list(range(len(ids) - N_IN_1K, len(ids)))
    # Not sorted by id, as in the real file; the twins stay last.
    in_1k = in_1k[7:-2] + in_1k[:7] + in_1k[-2:]
    full = [five[0] for five in scenes.captions(drawn)]
    rows = [(f"ret{n}", f"msr{ids[at][5:]}", ids[at], full[at]) for n, at in enumerate(in_1k)]
    header = ("key", "vid_key", "video_id", "sentence")
    write_csv(root / "MSRVTT_JSFUSION_test.csv", [header, *rows])
    others = [(video,) for at, video in enumerate(ids) if at not in in_1k]
    write_csv(root / "MSRVTT_train.9k.csv", [("video_id",), *others])
    write_csv(root / "MSRVTT_train.7k.csv", [("video_id",), *others[:2]])
    # As in the real lists, 1k-B shares clips with 1k-A and with the official training split.
    in_order = sorted(ids)
    in_1k_b = [*in_order[-5:], ids[0]]
    train_1k_b = [video for video in in_order[:-5] if video != ids[0]][:10]
    write_lines(root / "test_list_miech.txt", in_1k_b)
    write_lines(root / "train_list_miech.txt", train_1k_b)
    n_test, single = N_IN_1K + 2, {"videos": 1, "captions": N_SENTENCES}
    counts = {
        "1k-A": {"videos": N_IN_1K, "captions": N_IN_1K, "distinct sentences": N_IN_1K - 1},
        "1k-B": {"videos": len(in_1k_b), "captions": len(in_1k_b)},
        "full": {"videos": n_test, "captions": N_SENTENCES * n_test - 1},
        "full_val": single,
        "full_train": single,
        "train_9k": {"videos": len(others), "captions": N_SENTENCES * len(others)},
        "train_7k": {"videos": 2, "captions": 2 * N_SENTENCES},
        "train_1k-B": {
            "videos": len(train_1k_b),
            "captions": N_SENTENCES * len(train_1k_b) - (SHORT_OF_ONE in train_1k_b),
        },
    }
    rendered = (
        Clip(f"videos/all/{video}.mp4", frames)
        for video, frames in zip(ids, scenes.render_clip(drawn), strict=True)
    )
    return Miniature(counts, rendered)


def _msrvtt_scenes() -> scenes.SceneBatch:
    """Draw scenes; the last repeats the one before on another background, with another motion."""
    drawn = scenes.sample("test", N_IN_1K + 4, seed=1)
    last = len(drawn) - 1
    with_twin = drawn[np.r_[0:last, last - 1]]
    background, motion = with_twin.background.copy(), with_twin.motion.copy()
    background[last] = (background[last] + 1) % 8
    motion[last] = (motion[last] + 1) % len(scenes.MOTIONS)
    return replace(with_twin, background=background, motion=motion)


def write_activitynet(root: Path) -> Miniature:
    """Write twelve validation videos, one of them missing, and two of train.

        captions/train.json, val_1.json, val_2.json     durations, timestamps, sentences with spaces
        captions/train_ids.json, val_ids.json           lists of ids
        videos/<id>.mp4, videos/v_<id>.mp4              moving scenes of two seconds

    A paragraph is the full caption, then a caption with the motion. val_2 has other captions of
    the same scenes, and lacks one video.
    """
    n_val, n_train, n_frames, only_in_val_1 = 12, 2, 16, 10
    drawn = scenes.sample("test", n_val + n_train, seed=2)
    still, moving = scenes.captions(drawn), scenes.clip_captions(drawn)
    ids = [f"v_{'-' if at == 1 else 's'}cene{at:06}" for at in range(len(drawn))]
    seconds = n_frames / FPS

    def described(positions, first: int) -> dict[str, dict]:
        return {
            ids[at]: {
                "duration": seconds,
                "timestamps": [[0.0, seconds], [seconds / 2, seconds]],
                "sentences": [f"{still[at][first]}.", f" {moving[at][first + 1]}. "],
            }
            for at in positions
        }

    val, train = range(n_val), range(n_val, n_val + n_train)
    content = {
        "train": described(train, 0),
        "val_1": described(val, 0),
        "val_2": described([at for at in val if at != only_in_val_1], 2),
        "train_ids": [ids[at] for at in train],
        "val_ids": [ids[at] for at in val],
    }
    for name, part in content.items():
        write_json(root / "captions" / f"{name}.json", part)
    # Every fourth validation file has the prefix in its name.
    stems = [name if at in val[::4] else name.removeprefix("v_") for at, name in enumerate(ids)]
    clips = (
        Clip(f"videos/{stems[at]}.mp4", frames)
        for at, frames in enumerate(scenes.render_clip(drawn, n_frames))
        if at != MISSING_VIDEO
    )
    n_videos = {split: len(content[split]) for split in ("val_1", "val_2", "train")}
    return Miniature({split: {"videos": n, "captions": n} for split, n in n_videos.items()}, clips)


def write_audioset(root: Path) -> Miniature:
    """Write three classes, 16 evaluation clips and 3 of training, each with its own tone.

        eval_segments.csv, balanced_train_segments.csv          three comment lines, quoted labels
        class_labels_indices.csv                                a name with a comma
        audioset_eval_5_per_class_for_retrieval_cleaned.json    CAV-MAE's format, foreign paths
        videos/<id>.mp4                                         a moving scene and a pure tone
        audio/<id>.wav                                          the sound of the silent clip

    Every fifth clip has two labels: five clips per class, none twice, are 15 of the 16.
    """
    n_eval, n_train = 16, 3
    ids = [f"scene{at:06}" for at in range(n_eval + n_train)]
    ids[0], ids[1] = "-cene000000", "--ene000001"
    label_ids = list(AUDIOSET_LABELS)
    labels = [
        [label_ids[at % 3]] + ([label_ids[(at + 1) % 3]] if at % 5 == 0 else [])
        for at in range(len(ids))
    ]
    for name, part in (("eval", slice(n_eval)), ("balanced_train", slice(n_eval, None))):
        write_lines(root / f"{name}_segments.csv", _segment_lines(ids[part], labels[part]))
    classes = [f'{at},{key},"{name}"' for at, (key, name) in enumerate(AUDIOSET_LABELS.items())]
    write_lines(root / "class_labels_indices.csv", ["index,mid,display_name", *classes])
    subset = [
        {
            "video_id": ids[at],
            "wav": f"/nowhere/audio/{ids[at]}.wav",
            "video_path": "/nowhere/frames/",
            "labels": ",".join(labels[at]),
        }
        for at in range(n_eval - 1)
    ]
    subset_file = root / "audioset_eval_5_per_class_for_retrieval_cleaned.json"
    write_json(subset_file, {"data": subset})
    n_classes = {"classes": len(AUDIOSET_LABELS)}
    counts = {
        "retrieval": {"clips": len(subset)},
        "eval": {"segments": n_eval, **n_classes},
        "balanced_train": {"segments": n_train, **n_classes},
    }
    return Miniature(counts, _audioset_clips(ids))


def _segment_lines(ids: list[str], labels: list[list[str]]) -> list[str]:
    n_positive = sum(map(len, labels))
    n_labels = len({label for clip_labels in labels for label in clip_labels})
    return [
        "# Segments csv created Sun Mar  5 10:54:25 2017",
        f"# num_ytids={len(ids)}, num_segs={len(ids)}, num_unique_labels={n_labels}, "
        f"num_positive_labels={n_positive}",
        "# YTID, start_seconds, end_seconds, positive_labels",
        *(
            f'{video}, {10 * at}.000, {10 * at + 10}.000, "{",".join(clip_labels)}"'
            for at, (video, clip_labels) in enumerate(zip(ids, labels, strict=True))
        ),
    ]


def _audioset_clips(ids: list[str]) -> Iterator[Clip]:
    for at, frames in enumerate(scenes.render_clip(scenes.sample("test", len(ids), seed=3))):
        sound = tone(200 + 50 * at, 1.0)
        yield Clip(f"videos/{ids[at]}.mp4", frames, None if at == SILENT_CLIP else sound)
        if at == SILENT_CLIP:
            yield Clip(f"audio/{ids[at]}.wav", None, sound)


def write_vggsound(root: Path) -> Miniature:
    """Write three classes, 16 test clips and two of train; two clips come from one video.

    vggsound.csv                                       no header, quoted labels with commas
    vgg_test_5_per_class_for_retrieval_cleaned.json    CAV-MAE's format, labels as codes
    videos/<id>_<start as six digits>.mp4              test clips: a moving scene, a pure tone
    """
    n_test, n_train, n_drawn = 16, 2, 15
    ids = [f"{'-' if at == 0 else 's'}ound{max(at, 1):06}" for at in range(n_test + n_train)]
    ids[2] = ids[1]  # at another time
    rows = [
        (video, 10 * at, VGGSOUND_LABELS[at % 3], "test" if at < n_test else "train")
        for at, video in enumerate(ids)
    ]
    write_csv(root / "vggsound.csv", rows)
    names = [f"{video}_{start:06d}" for video, start, _, split in rows if split == "test"]
    subset = [
        {
            "video_id": name,
            "wav": f"/nowhere/{name}.wav",
            "video_path": "/nowhere/",
            "labels": f"vgg_{at % 3}",
        }
        for at, name in enumerate(names[:n_drawn])
    ]
    write_json(root / "vgg_test_5_per_class_for_retrieval_cleaned.json", {"data": subset})
    counts = {
        "retrieval": {"clips": n_drawn},
        "test": {"segments": n_test, "classes": len(VGGSOUND_LABELS), "five per class": n_drawn},
    }
    clips = (
        Clip(f"videos/{names[at]}.mp4", frames, tone(300 + 40 * at, 1.0))
        for at, frames in enumerate(scenes.render_clip(scenes.sample("test", n_test, seed=4)))
    )
    return Miniature(counts, clips)
