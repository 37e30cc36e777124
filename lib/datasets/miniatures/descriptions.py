"""Miniatures of Urban1k and DOCCI: scenes with descriptions that are longer than models read."""

import json
from pathlib import Path

from lib.datasets.miniatures.writing import (
    Miniature,
    scenes_with_twins,
    write_lines,
    write_pictures,
)
from lib.datasets.scenes import SceneBatch, captions, sample

N_FAMILIES, N_SINGLE = 3, 8  # of twins, four each; of other scenes
# Pictures whose description begins with words that fit every picture, so that a model which cuts
# the end reads nothing of the scene.
LATE = (2, 7)
INTRODUCTION = (
    "This is a picture of a plain page. It was taken from the front, in even light, and nobody is"
    " in it. The page has one colour from edge to edge and no frame around it. Some shapes lie on"
    " it, all of them flat, with clear edges and without a shadow. None of them covers another one,"
    " and none of them is cut by the edge of the page. There is no writing on the page and none"
    " beside it"
)
SECOND_LINE, NON_ASCII, CARRIAGE_RETURN = 1, 4, 5  # descriptions with a trap each
_DOCCI_PARTS = {  # split: (pictures, split of the scenes, first scene)
    "train": (4, "train", 300),
    "qual_dev": (2, "validation", 300),
    "qual_test": (2, "validation", 310),
}


def write_urban1k(root: Path) -> Miniature:
    """Write 20 pictures, `image/1.jpg` to `image/20.jpg`, and as many files `caption/N.txt`.

    Traps: a file with a second line, one with a carriage return, letters beyond ASCII, and numbers
    of one and two digits, whose order is not that of the names.
    """
    scenes = scenes_with_twins(N_FAMILIES, N_SINGLE, seed=21, start=1_200)
    texts = described(scenes)
    write_pictures(scenes, [root / "image" / f"{at + 1}.jpg" for at in range(len(scenes))])
    (root / "caption").mkdir()
    for at, text in enumerate(texts):
        end = {SECOND_LINE: "\nA second line.\n", CARRIAGE_RETURN: "\r\n"}.get(at, "")
        (root / "caption" / f"{at + 1}.txt").write_bytes((text + end).encode())
    return Miniature({"test": {"images": len(texts), "captions": len(texts)}})


def write_docci(root: Path) -> Miniature:
    """Write 20 test pictures, 4 of train and 2 of each small set, in `images/`.

    Traps: splits stand mixed in `docci_descriptions.jsonlines`, letters beyond ASCII are escaped in
    one line and plain in another, a description holds quotes and a line break, and one picture in
    `images_aar/` has no description.
    """
    test = scenes_with_twins(N_FAMILIES, N_SINGLE, seed=22, start=1_300)
    parts = {"test": test}
    parts |= {split: sample(of, n, start=first) for split, (n, of, first) in _DOCCI_PARTS.items()}
    lines, counts = [], {}
    for split, scenes in parts.items():
        names = [f"{split}_{at:05d}" for at in range(len(scenes))]
        write_pictures(scenes, [root / "images" / f"{name}.jpg" for name in names])
        texts = described(scenes)
        if split == "test":
            texts[0] += ' The word "page" is not there.\nNeither is another one.'
        counts[split] = {"images": len(names), "captions": len(names)}
        for at, (name, text) in enumerate(zip(names, texts, strict=True)):
            entry = {"example_id": name, "split": split, "image_file": f"{name}.jpg"}
            entry["description"] = text
            # Mixed: the first of each split, then the second ones.
            lines.append((at, json.dumps(entry, ensure_ascii=split == "test")))
    write_lines(
        root / "docci_descriptions.jsonlines",
        [line for _, line in sorted(lines, key=lambda numbered: numbered[0])],
    )
    write_pictures(sample("train", 1, start=320), [root / "images_aar" / "aar_train_00000.jpg"])
    return Miniature(counts)


def described(scenes: SceneBatch) -> list[str]:
    """Describe each scene in all its captions, one sentence each."""
    texts = []
    for at, sentences in enumerate(captions(scenes)):
        words = [sentence.capitalize() for sentence in sentences]
        if at in LATE:
            words.insert(0, INTRODUCTION)
        if at == NON_ASCII:
            words.append("Déjà vu – “twice” in one page")
        texts.append(". ".join(words) + ".")
    return texts
