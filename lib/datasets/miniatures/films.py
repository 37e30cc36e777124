"""Miniatures of text-video benchmarks: MSVD, DiDeMo, LSMDC, VATEX, YouCook2; of scenes.

Captions are true of the films: a model of scenes can be evaluated on them.
"""

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lib.datasets import lsmdc, scenes
from lib.datasets.miniatures.writing import (
    FPS,
    Clip,
    Miniature,
    write_csv,
    write_json,
    write_lines,
)

CHINESE = {  # words of the scenes, for the Chinese sentences of VATEX
    "circle": "圆", "square": "正方形", "triangle": "三角形", "diamond": "菱形",
    "star": "星", "cross": "十字", "heart": "心", "moon": "月亮",
    "red": "红色", "orange": "橙色", "yellow": "黄色", "green": "绿色",
    "blue": "蓝色", "purple": "紫色", "pink": "粉色", "black": "黑色",
    "left of": "左边", "right of": "右边", "above": "上面", "below": "下面",
    "left": "左", "right": "右", "up": "上", "down": "下",
}  # fmt: skip
FEW_SENTENCES = 3  # number of the MSVD clip with two sentences
UNLISTED = 2  # number of the DiDeMo test video that the list lacks
LATE_SENTENCE = 4  # number of the DiDeMo video whose last sentence stands at the end of the file
QUOTED = 5  # number of the LSMDC clip with a quote and a comma in its sentence
STEPS = 2  # of each film of YouCook2
ELSEWHERE = 3  # number of the YouCook2 film that is not in the list of 3,350
IN_ONE_FOLDER = 6  # number of the LSMDC clip that lies outside the folder of its film


def write_msvd(root: Path) -> Miniature:
    """Write twelve clips of test, three of train and two of val.

        train_list.txt, val_list.txt, test_list.txt      one id a line; that of test without an end
        raw-captions.pkl                                 {id: list of sentences, lists of words}
        AllVideoDescriptions.txt                         comments, then lines "id sentence."
        msvd_ret_test.json                               UMT's form: clips with their sentences
        YouTubeClips/<id>.avi                            moving scenes of one second

    The sentences are in no order of clips, five of most, two of one, and one of them occurs twice.
    Two clips come from one film; ids begin with "-" and hold "_".
    """
    parts = {"test": range(12), "train": range(12, 15), "val": range(15, 17)}
    drawn = scenes.sample("test", 17, seed=5)
    sentences = [list(five) for five in scenes.clip_captions(drawn)]
    sentences[FEW_SENTENCES] = sentences[FEW_SENTENCES][:2]
    sentences[0][4] = sentences[0][0]
    films = [f"{'-' if at == 0 else 's'}ce_e{max(at, 1):06}" for at in range(17)]
    films[2] = films[1]
    ids = [f"{film}_{at}_{at + 9}" for at, film in enumerate(films)]
    for part, positions in parts.items():
        lines = [ids[at] for at in reversed(positions)]  # not the order of the pickle
        text = "\n".join(lines) + ("" if part == "test" else "\n")
        (root / f"{part}_list.txt").write_text(text, encoding="utf-8")
    words = {ids[at]: [text.split() for text in of_clip] for at, of_clip in enumerate(sentences)}
    (root / "raw-captions.pkl").write_bytes(pickle.dumps(words, protocol=2))
    rows = [(number, at) for at in range(17) for number in range(len(sentences[at]))]
    lines = [f"{ids[at]} {sentences[at][number].capitalize()}." for number, at in sorted(rows)]
    write_lines(root / "AllVideoDescriptions.txt", ["# A miniature", "#", "", *lines])
    umt = [{"video": f"{ids[at]}.avi", "caption": sentences[at]} for at in parts["test"]]
    write_json(root / "msvd_ret_test.json", umt)
    counts = {
        part: {"videos": len(positions), "captions": sum(len(sentences[at]) for at in positions)}
        for part, positions in parts.items()
    }
    stems = [f"YouTubeClips/{video}.avi" for video in ids]
    return Miniature(counts, _moving(stems, drawn))


def write_didemo(root: Path) -> Miniature:
    """Write ten films of test, of which nine are in the list, two of val and two of train.

        test_data.json, val_data.json, train_data.json    entries of one sentence each
        test_list.txt, val_list.txt, train_list.txt       names with suffix, in another order
        videos/<name>                                     two seconds, every third as .mp4

    The last sentence of one film stands behind those of all others.
    """
    parts = {"test": range(10), "val": range(10, 12), "train": range(12, 14)}
    n_frames = 16
    drawn = scenes.sample("test", 14, seed=6)
    still, moving = scenes.captions(drawn), scenes.clip_captions(drawn)
    names = [f"100155{at:02}@N08_36550{at:05}_d8b58466fa.mov" for at in range(14)]
    counts = {}
    for part, positions in parts.items():
        entries = [(at, text) for at in positions for text in (still[at][1], moving[at][0])]
        if part == "test":
            late = 2 * LATE_SENTENCE + 1
            entries = [*entries[:late], *entries[late + 1 :], entries[late]]
        data = [_moment(number, names[at], text) for number, (at, text) in enumerate(entries)]
        write_json(root / f"{part}_data.json", data)
        listed = [at for at in positions if part != "test" or at != UNLISTED]
        write_lines(root / f"{part}_list.txt", [names[at] for at in reversed(listed)])
        counts[part] = {"videos": len(listed), "captions": len(listed)}
        if part == "test":
            counts[part]["sentences of the file"] = len(entries)
            counts["test_release"] = dict.fromkeys(("videos", "captions"), len(positions))
            counts["test_release"]["sentences of the file"] = len(entries)
    # The encoder of films writes .mov like .mp4.
    files = [name.replace(".mov", ".mp4") if at % 3 == 0 else name for at, name in enumerate(names)]
    return Miniature(counts, _moving([f"videos/{file}" for file in files], drawn, n_frames))


def _moment(number: int, video: str, text: str) -> dict:
    return {
        "annotation_id": 1000 + number,
        "description": text,
        "video": video,
        "times": [[0, 0], [0, 1], [0, 0], [1, 1]],
        "download_link": f"https://www.flickr.com/video_download.gne?id={number}",
        "num_segments": 6,
        "dl_link": "",
    }


def write_lsmdc(root: Path) -> Miniature:
    """Write twelve test clips, three of training and two of validation.

        LSMDC16_challenge_1000_publictect.csv                   six columns between tabs, no header
        LSMDC16_annos_training.csv, LSMDC16_annos_val.csv       a clip of training has two sentences
        videos/<film>/<clip>.avi                                a folder a film; one clip outside

    A sentence has an open quote, which a reader of CSV would run into the next line.
    """
    drawn = scenes.sample("test", 17, seed=7)
    sentences = [five[0].capitalize() + "." for five in scenes.clip_captions(drawn)]
    sentences[QUOTED] = f'"SOMEONE, look: {scenes.clip_captions(drawn)[QUOTED][0]}.'
    films = ["0001_Scenes", "1010_THE_SCENE", "3009_A_SCENE_OF_2"]
    clips, rows = [], []
    for at in range(17):
        start, end = f"00.{at:02}.51.926", f"00.{at:02}.54.129"
        clips.append(f"{films[at % 3]}_{start}-{end}")
        rows.append((clips[at], start, end, start, end, sentences[at]))
    parts = {"test": rows[:12], "train": [*rows[12:15], (*rows[12][:5], "SOMEONE waits.")]}
    parts["val"] = rows[15:]
    for part, of_part in parts.items():
        write_lines(root / lsmdc.FILES[part], ["\t".join(row) for row in of_part])
    counts = {part: {"captions": len(of_part)} for part, of_part in parts.items()}
    counts["test"]["videos"] = 12
    paths = [
        f"videos/{clip}.avi" if at == IN_ONE_FOLDER else f"videos/{films[at % 3]}/{clip}.avi"
        for at, clip in enumerate(clips)
    ]
    return Miniature(counts, _moving(paths, drawn))


def write_vatex(root: Path) -> Miniature:
    """Write ten validation clips, halved by two lists, three of training and two of public test.

        vatex_training_v1.0.json, vatex_validation_v1.0.json     {"videoID", "enCap", "chCap"}
        vatex_public_test_english_v1.1.json                      without Chinese
        tst_names.npy, val_names.npy                             HGR's halves, arrays of texts
        videos/<clip>.mp4                                        moving scenes of one second

    Ten sentences in each language; ids begin with "-" or hold "_".
    """
    drawn = scenes.sample("test", 15, seed=8)
    moving, still = scenes.clip_captions(drawn), scenes.captions(drawn)
    ids = [f"{'-' if at % 4 == 0 else 's'}ce_e{at:06}_{at:06}_{at + 10:06}" for at in range(15)]
    entries = [
        {
            "videoID": ids[at],
            "enCap": [*moving[at], *still[at]],
            "chCap": _chinese_sentences(drawn[at]),
        }
        for at in range(15)
    ]
    write_json(root / "vatex_validation_v1.0.json", entries[:10])
    write_json(root / "vatex_training_v1.0.json", entries[10:13])
    public = [{key: entry[key] for key in ("videoID", "enCap")} for entry in entries[13:]]
    write_json(root / "vatex_public_test_english_v1.1.json", public)
    halves = {"tst": [7, 2, 4, 0, 9], "val": [1, 8, 3, 5, 6]}
    for part, positions in halves.items():
        np.save(root / f"{part}_names.npy", np.array([ids[at] for at in positions]))
    sizes = {"test": 5, "val": 5, "train": 3, "validation": 10, "public_test": 2}
    counts = {part: {"videos": n, "captions": 10 * n} for part, n in sizes.items()}
    return Miniature(counts, _moving([f"videos/{clip}.mp4" for clip in ids], drawn))


def _chinese_sentences(scene: scenes.SceneBatch) -> list[str]:
    """Ten sentences about one scene: where which group is, in two words for motion."""
    first, second = (
        f"{scene.count[0, group]}个{CHINESE[scenes.COLOURS[scene.colour[0, group]]]}的"
        f"{CHINESE[scenes.SHAPES[scene.shape[0, group]]]}"
        for group in (0, 1)
    )
    relation, motion = int(scene.relation[0]), CHINESE[scenes.MOTIONS[scene.motion[0]]]
    places = (CHINESE[scenes.RELATIONS[r]] for r in (relation, relation ^ 1))
    told = [f"{first}在{second}的{next(places)}", f"{second}在{first}的{next(places)}"]
    ends = [
        "",
        f"，向{motion}移动",
        f"，一起向{motion}动",
        f"，都往{motion}走",
        f"，慢慢向{motion}",
    ]
    return [f"{text}{end}。" for text in told for end in ends]


def write_youcook2(root: Path) -> Miniature:
    """Write seven validation films of two steps each, of which the list lacks one, and one more.

        youcookii_annotations_trainval.json      films with subset, recipe and steps
        validation_youcook.csv                   MIL-NCE's list: end, start, task, text, video_id
        validation/<recipe>/<id>.mp4             films of four seconds: a step is one scene

    Ids begin with "-" or hold "_"; a sentence begins with a space, and the film of training lies in
    videos/.
    """
    n_films, seconds = 8, 2
    drawn = scenes.sample("test", n_films * STEPS, seed=9)
    told = [five[0] for five in scenes.clip_captions(drawn)]
    told[1] = " " + told[1]
    ids = [f"{'-' if at == 2 else 's'}cene_{at:05}" for at in range(n_films)]
    recipes = [str(101 + at % 3) for at in range(n_films)]
    rows, database = [], {}
    for at, film in enumerate(ids):
        steps = []
        for number in range(STEPS):
            start, text = number * seconds, told[at * STEPS + number]
            steps.append({"segment": [start, start + seconds], "id": number, "sentence": text})
            if at not in (ELSEWHERE, n_films - 1):
                rows.append((start + seconds, start, recipes[at], text, film))
        database[film] = {
            "duration": float(STEPS * seconds),
            "subset": "training" if at == n_films - 1 else "validation",
            "recipe_type": recipes[at],
            "annotations": steps,
            "video_url": f"https://www.youtube.com/watch?v={film}",
        }
    write_json(root / "youcookii_annotations_trainval.json", {"database": database})
    header = ("end", "start", "task", "text", "video_id")
    write_csv(root / "validation_youcook.csv", [header, *rows], lineterminator="\n")
    counts = {
        "val_3350": dict.fromkeys(("videos", "captions"), len(rows)),
        "val": dict.fromkeys(("videos", "captions"), STEPS * (n_films - 1)),
        "train": {},
    }
    clips = scenes.render_clip(drawn, seconds * FPS).reshape(
        n_films, -1, scenes.SIZE, scenes.SIZE, 3
    )
    paths = [f"validation/{recipe}/{film}.mp4" for recipe, film in zip(recipes, ids)]
    paths[-1] = f"videos/{ids[-1]}.mp4"
    return Miniature(counts, (Clip(path, frames) for path, frames in zip(paths, clips)))


def _moving(paths: Sequence[str], drawn: scenes.SceneBatch, n_frames: int = FPS) -> Iterator[Clip]:
    for path, frames in zip(paths, scenes.render_clip(drawn, n_frames), strict=True):
        yield Clip(path, frames)
