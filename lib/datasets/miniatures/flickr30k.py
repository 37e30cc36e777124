"""A miniature of Flickr30K: 20 test pictures, in the files of its release and of three copies."""

import csv
import json
import re
from pathlib import Path

from lib.core.writing import atomic_folder
from lib.datasets.completeness import write_miniature_card
from lib.datasets.miniatures.scene_pictures import scenes_with_twins, write_pictures
from lib.datasets.scenes import captions, sample

# Part: (pictures, split of the scenes, first scene, first name). Karpathy's file leaves "outside"
# out.
_PARTS = {
    "train": (6, "train", 100, 1_000_000_001),
    "val": (4, "validation", 100, 2_000_000_001),
    "test": (20, "test", 200, 3_000_000_001),
    "outside": (2, "train", 200, 4_000_000_001),
}
N_FAMILIES = 3  # of twins, in the test split
KARPATHY_SPLITS = ("train", "val", "test")
FOLDER = "flickr30k-images"
# The last caption of three test pictures, the shortest, gets one of these behind it: commas,
# quotes, and what a careless reader takes for the end of a file name.
TRAPS = {2: ", here, there", 5: ' or "sign"', 9: ", a.jpg, again"}
UNBARRED = (
    "outside",
    1,
)  # the picture whose last row in results.csv lacks its second bar, as in the copy


def write_miniature(folder: str | Path) -> None:
    """Writes the files of Flickr30K with 20 test, 4 val and 6 train pictures, and 2 that are in no
    split.

    Captions are true of the pictures, which are scenes, so a model of scenes can be evaluated in
    earnest. Inside are Karpathy's `dataset_flickr30k.json`, the release's `results_20130124.token`,
    the `results.csv` of the copy on Kaggle, CLIP_benchmark's `flickr30k_<split>_karpathy.txt`, and
    `miniature.json`.

    Traps: commas, quotes and ".jpg," in captions, a row without its second bar, no `filepath` and
    no `cocoid`, two pictures more in the release than in the splits.
    """
    with atomic_folder(folder) as root:
        texts: dict[str, dict[str, list[str]]] = {}
        for part, (n, world, start, first) in _PARTS.items():
            if part == "test":
                scenes = scenes_with_twins(N_FAMILIES, n - 4 * N_FAMILIES, seed=2, start=start)
            else:
                scenes = sample(world, n, start=start)
            names = [f"{first + number}.jpg" for number in range(n)]
            texts[part] = dict(zip(names, captions(scenes), strict=True))
            write_pictures(scenes, [root / FOLDER / name for name in names])
        for at, words in TRAPS.items():
            list(texts["test"].values())[at][4] += words
        _write_karpathy(root / "dataset_flickr30k.json", texts)
        everything = {name: own for part in texts.values() for name, own in part.items()}
        _write_release(root, everything, unbarred=list(texts[UNBARRED[0]])[UNBARRED[1]])
        for split in KARPATHY_SPLITS:
            _write_clip_benchmark(root / f"flickr30k_{split}_karpathy.txt", texts[split])
        sizes = {split: len(texts[split]) for split in KARPATHY_SPLITS} | {"all": len(everything)}
        write_miniature_card(
            root,
            "flickr30k",
            {split: {"images": n, "captions": 5 * n} for split, n in sizes.items()},
        )


def tokens(text: str) -> str:
    """A caption as the release has it: punctuation stands apart, and a full stop ends it."""
    return " ".join(re.findall(r"[\w.-]*\w|[^\w\s]", text)) + " ."


def _write_karpathy(path: Path, texts: dict[str, dict[str, list[str]]]) -> None:
    named = [(split, name, own) for split in KARPATHY_SPLITS for name, own in texts[split].items()]
    images = [
        {
            "sentids": list(range(5 * number, 5 * number + 5)),
            "imgid": number,
            "sentences": [
                {
                    "tokens": re.findall(r"\w+", raw.lower()),
                    "raw": raw,
                    "imgid": number,
                    "sentid": sentid,
                }
                for sentid, raw in enumerate(own, start=5 * number)
            ],
            "split": split,
            "filename": name,
        }
        for number, (split, name, own) in enumerate(named)
    ]
    path.write_text(json.dumps({"images": images, "dataset": "flickr30k"}), encoding="utf-8")


def _write_release(root: Path, texts: dict[str, list[str]], *, unbarred: str) -> None:
    token_lines, bar_lines = [], ["image_name| comment_number| comment"]
    for name, own in texts.items():
        for number, text in enumerate(own):
            bar = "  " if (name, number) == (unbarred, len(own) - 1) else "|"
            token_lines.append(f"{name}#{number}\t{tokens(text)}")
            bar_lines.append(f"{name}| {number}{bar} {tokens(text)}")
    (root / "results_20130124.token").write_text("\n".join(token_lines) + "\n", encoding="utf-8")
    (root / "results.csv").write_text("\n".join(bar_lines) + "\n", encoding="utf-8")


def _write_clip_benchmark(path: Path, texts: dict[str, list[str]]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["image", "caption"])
        writer.writerows((name, text) for name, own in texts.items() for text in own)
