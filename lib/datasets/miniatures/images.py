"""Miniatures of COCO, with its CxC ratings, and of Flickr30K; scenes stand for photographs.

Captions are true of the pictures: a model of scenes can be evaluated on them.
"""

import re
from pathlib import Path

import numpy as np

from lib.datasets import coco_judgements
from lib.datasets.completeness import write_miniature_card
from lib.datasets.miniatures.writing import (
    Miniature,
    scenes_with_twins,
    write_csv,
    write_json,
    write_lines,
    write_pictures,
)
from lib.datasets.scenes import SceneBatch, captions, sample

PER_FOLD = 20
N_TEST = PER_FOLD * coco_judgements.N_FOLDS
# Other splits of Karpathy's file: (images, folder, split of the scenes, first scene).
_COCO_OTHERS = {
    "val": (6, "val2014", "validation", 0),
    "restval": (4, "val2014", "train", 6),
    "train": (6, "train2014", "train", 0),
}
# Free ids, above COCO's own (581,929 images, 829,696 captions), for images and captions that the
# judgements do not have.
_FREE_IMAGE, _FREE_CAPTION = 900_001, 950_001
# A fold has 6 pairs of twins and 8 single scenes. The other pair of a family is in another fold:
# the 1K folds are easier than the whole, as they are in COCO. In the first families, the twins of
# a pair differ in who is where, which models of scenes find hardest. In the other families, they
# differ in which shape has which colour.
N_FAMILIES, N_BY_PLACE, N_SINGLE, FIRST_SINGLE = 15, 7, 40, 28
# Two test images in different folds; their last captions are one string, true of both.
SHARED = (12, 95)
SIX_CAPTIONS, REPEATED, TRAILING_SPACE, NON_ASCII = 7, 11, 15, 21  # test images with a trap each

# Scores of CxC pairs: of positives, and of others.
_HIGH, _LOW = (5.0, 4.2, 3.0, 3.5, 4.5), (2.99, 0.0, 2.5, 0.4, 1.5)
_N_LOW = 30  # rated pairs of a caption and an image that it does not describe

# Flickr30K: (pictures, split of the scenes, first scene, first file name). "outside" is in no
# split of Karpathy's file.
_FLICKR_PARTS = {
    "train": (6, "train", 100, 1_000_000_001),
    "val": (4, "validation", 100, 2_000_000_001),
    "test": (20, "test", 200, 3_000_000_001),
    "outside": (2, "train", 200, 4_000_000_001),
}
_N_FLICKR_FAMILIES = 3  # of twins, in the test split
# Additions to the last caption of three test pictures: commas, quotes, and the end of a file name.
FLICKR_TRAPS = {2: ", here, there", 5: ' or "sign"', 9: ", a.jpg, again"}
_UNBARRED = 1  # picture of "outside" whose last row in results.csv lacks its second bar


def write_coco(root: Path) -> Miniature:
    """Write the files of MS-COCO with 100 test, 6 val, 4 restval and 6 train images.

    Test ids are COCO's own, 20 images of each 1K fold (`coco_positions`) with their caption ids:
    the judgements of CxC and ECCV Caption can be aligned, although they judge the photographs.
    Inside are Karpathy's `dataset_coco.json`, CLIP_benchmark's
    `annotations/coco_test_karpathy.json`, and CxC's ratings in `cxc/`.

    Traps: a sixth caption, one caption of two images, two captions of one image that differ in a
    capital and a full stop, a space at the end, letters beyond ASCII, and images of val and
    restval in one folder.
    """
    judgements = coco_judgements.load_judgements()
    positions = coco_positions()
    five = judgements.caption_ids.reshape(-1, coco_judgements.CAPTIONS_PER_IMAGE)[positions]
    test = coco_scenes()
    texts = [list(image_texts) for image_texts in captions(test)]
    text_ids = [image_ids.tolist() for image_ids in five]
    # Added to the shortest caption of a scene: the small models trained here read 23 word pieces.
    texts[SIX_CAPTIONS].append(texts[SIX_CAPTIONS][4] + " – head on")
    text_ids[SIX_CAPTIONS].append(_FREE_CAPTION - 1)
    texts[REPEATED][1] = texts[REPEATED][0].capitalize() + "."
    texts[TRAILING_SPACE][2] += ". "
    texts[NON_ASCII][4] += ", déjà vu"
    image_ids = judgements.image_ids[positions].tolist()
    images = tests = _coco_images("test", "val2014", image_ids, text_ids, texts)
    write_pictures(test, [root / _coco_path(image) for image in images])
    next_image, next_caption = _FREE_IMAGE, _FREE_CAPTION
    for split, (n, folder, scene_split, start) in _COCO_OTHERS.items():
        scenes = sample(scene_split, n, start=start)
        text_ids = (next_caption + np.arange(5 * n)).reshape(n, 5).tolist()
        image_ids = list(range(next_image, next_image + n))
        others = _coco_images(split, folder, image_ids, text_ids, captions(scenes))
        write_pictures(scenes, [root / _coco_path(image) for image in others])
        images = others + images  # test comes last: a place in the file is none in the split
        next_image, next_caption = next_image + n, next_caption + 5 * n
    for number, image in enumerate(images):
        image["imgid"] = number
        for sentence in image["sentences"]:
            sentence["imgid"] = number
    write_json(root / "dataset_coco.json", {"images": images, "dataset": "coco"})
    write_json(root / "annotations" / "coco_test_karpathy.json", _clip_benchmark_coco(tests))
    _write_cxc(root / "cxc", positions)
    return Miniature(_coco_counts())


def coco_positions() -> np.ndarray:
    """Choose `(100,)` positions in COCO's test split, 20 in each 1K fold.

    These are the first 19 images of the fold, and the next one with a caption of its own that CxC
    does not confirm (there are 29 such captions).
    """
    judgements = coco_judgements.load_judgements()
    own_image = judgements.owner[:, None]
    confirmed = judgements.qrels("cxc", "text_to_image").grades_of(own_image)[:, 0]
    doubtful = np.unique(judgements.owner[confirmed == 0])
    chosen = []
    for fold in range(coco_judgements.N_FOLDS):
        images = judgements.fold(fold)[0]
        first, others = images[: PER_FOLD - 1], images[PER_FOLD - 1 :]
        chosen.append(np.append(first, others[np.isin(others, doubtful)][0]))
    return np.concatenate(chosen)


def coco_scenes() -> SceneBatch:
    """Draw the 100 test scenes, in the order of the images."""
    scenes = scenes_with_twins(N_FAMILIES, N_SINGLE, seed=1, start=FIRST_SINGLE)
    # Axes: colours exchanged or not, places exchanged or not, family.
    families = np.arange(4 * N_FAMILIES).reshape(2, 2, N_FAMILIES)
    by_place = families[:, :, :N_BY_PLACE].transpose(0, 2, 1)
    by_colour = families[:, :, N_BY_PLACE:].transpose(1, 2, 0)
    # (2, N_FAMILIES, 2): a pair of each family, then the other pair of each.
    pairs = np.concatenate([by_place, by_colour], axis=1)
    singles = np.arange(4 * N_FAMILIES, N_TEST)
    folds = [part.reshape(coco_judgements.N_FOLDS, -1) for part in (pairs, singles)]
    return scenes[np.concatenate(folds, axis=1).ravel()]


def _coco_images(
    split: str, folder: str, image_ids: list[int], text_ids: list[list[int]], texts: list[list[str]]
) -> list[dict]:
    """List Karpathy's entries; `imgid` is set when the order of all images is known."""
    return [
        {
            "filepath": folder,
            "sentids": sentence_ids,
            "filename": f"COCO_{folder}_{image_id:012d}.jpg",
            "imgid": 0,
            "split": split,
            "sentences": [
                _sentence(raw, raw.lower().replace(".", "").split(), sentence_id, image_number=0)
                for sentence_id, raw in zip(sentence_ids, sentences, strict=True)
            ],
            "cocoid": image_id,
        }
        for image_id, sentence_ids, sentences in zip(image_ids, text_ids, texts, strict=True)
    ]


def _sentence(raw: str, tokens: list[str], sentence_id: int, image_number: int) -> dict:
    return {"tokens": tokens, "raw": raw, "imgid": image_number, "sentid": sentence_id}


def _coco_path(image: dict) -> str:
    return f"{image['filepath']}/{image['filename']}"


def _clip_benchmark_coco(images: list[dict]) -> dict:
    """Convert to COCO's own structure, with the annotations in another order than the images."""
    annotations = [
        {"image_id": image["cocoid"], "id": sentence["sentid"], "caption": sentence["raw"]}
        for image in images
        for sentence in image["sentences"]
    ]
    licence = {"url": "http://creativecommons.org/licenses/by/2.0/", "id": 4}
    size = {"height": 64, "width": 64}
    return {
        "info": {"description": "COCO 2014 Dataset", "year": 2014},
        "licenses": [licence | {"name": "Attribution License"}],
        "images": [
            {"license": 4, "file_name": image["filename"], **size, "id": image["cocoid"]}
            for image in images
        ],
        "annotations": annotations[::-1],
    }


def _coco_counts() -> dict[str, dict[str, int]]:
    images = {split: n for split, (n, *_) in _COCO_OTHERS.items()} | {"test": N_TEST}
    images |= {"train_only": images["train"], "train": images["train"] + images["restval"]}
    counts = {
        split: {"images": n, "captions, all": 5 * n, "captions, first 5": 5 * n}
        for split, n in images.items()
    }
    counts["test"]["captions, all"] += 1
    # Two captions of one image become one text and one judgement. One caption of two images
    # becomes one text and two judgements.
    counts["test"] |= {"captions, unique": 5 * N_TEST - 2, "judgements, unique": 5 * N_TEST - 1}
    return counts


def _write_cxc(folder: Path, images: np.ndarray) -> None:
    """Write CxC ratings among some test images (positions): real pairs, invented scores.

    The rated pairs are each caption with its own image, each caption with another image here that
    CxC calls positive, and `_N_LOW` captions with an image that it does not. Positives score at
    least 3, others less: a threshold of 3 gives the published positives.
    """
    judgements = coco_judgements.load_judgements()
    texts = np.flatnonzero(np.isin(judgements.owner, images))
    owner = judgements.owner[texts]
    published = judgements.qrels("cxc", "text_to_image")
    judged = published.take_queries(texts)
    further = np.isin(judged.items, images) & (judged.items != owner[judged.query_index])
    shifted = np.roll(owner, 7)[:_N_LOW]  # the image of the caption seven places before
    groups = [
        ("c2i_original", texts, owner),
        ("c2i_intrasim", texts[judged.query_index[further]], judged.items[further]),
        ("c2i_intrasim", texts[:_N_LOW], shifted),
    ]
    row_by_pair = {}
    for method, text_positions, items in groups:
        grades = published.take_queries(text_positions).grades_of(items[:, None])[:, 0]
        for at, (text, item, grade) in enumerate(zip(text_positions, items, grades, strict=True)):
            scores = _HIGH if grade > 0 else _LOW
            row = (
                f"COCO_val2014:sentid:{judgements.caption_ids[text]}",
                f"COCO_val2014_{judgements.image_ids[item]:012d}.jpg",
                str(scores[at % len(scores)]),
                method,
            )
            row_by_pair.setdefault((text, item), row)
    header, rows = ("caption", "image", "agg_score", "sampling_method"), list(row_by_pair.values())
    folder.mkdir()
    write_csv(folder / "sits_test.csv", [header, *rows], lineterminator="\n")
    write_csv(folder / "sits_val.csv", [header, *rows[:5]], lineterminator="\n")
    counts = {"ratings": len(rows), "ratings of original pairs": texts.size}
    write_miniature_card(folder, "cxc", {"test": counts, "val": {}})


def write_flickr30k(root: Path) -> Miniature:
    """Write the files of Flickr30K with 20 test, 4 val and 6 train pictures, and 2 in no split.

    Inside are Karpathy's `dataset_flickr30k.json`, the release's `results_20130124.token`, the
    `results.csv` of the copy on Kaggle, and CLIP_benchmark's `flickr30k_<split>_karpathy.txt`.

    Traps: commas, quotes and ".jpg," in captions, a row without its second bar, no `filepath` and
    no `cocoid`, two pictures more in the release than in the splits.
    """
    texts: dict[str, dict[str, list[str]]] = {}  # part -> file name -> captions
    for part, (n, scene_split, start, first_name) in _FLICKR_PARTS.items():
        if part == "test":
            n_single = n - 4 * _N_FLICKR_FAMILIES
            scenes = scenes_with_twins(_N_FLICKR_FAMILIES, n_single, seed=2, start=start)
        else:
            scenes = sample(scene_split, n, start=start)
        names = [f"{first_name + number}.jpg" for number in range(n)]
        texts[part] = dict(zip(names, captions(scenes), strict=True))
        write_pictures(scenes, [root / "flickr30k-images" / name for name in names])
    for at, words in FLICKR_TRAPS.items():
        list(texts["test"].values())[at][4] += words
    everything = {name: five for part in texts.values() for name, five in part.items()}
    _write_flickr_release(root, everything, unbarred=list(texts["outside"])[_UNBARRED])
    del texts["outside"]
    write_json(root / "dataset_flickr30k.json", _karpathy_flickr30k(texts))
    for split, part in texts.items():
        rows = [(name, text) for name, five in part.items() for text in five]
        path = root / f"flickr30k_{split}_karpathy.txt"
        write_csv(path, [("image", "caption"), *rows], lineterminator="\n")
    sizes = {split: len(part) for split, part in texts.items()} | {"all": len(everything)}
    return Miniature({split: {"images": n, "captions": 5 * n} for split, n in sizes.items()})


def release_tokens(text: str) -> str:
    """Format a caption as the release has it: punctuation apart, and a full stop at the end."""
    return " ".join(re.findall(r"[\w.-]*\w|[^\w\s]", text)) + " ."


def _karpathy_flickr30k(texts: dict[str, dict[str, list[str]]]) -> dict:
    entries = [(split, name, five) for split, part in texts.items() for name, five in part.items()]
    images = [
        {
            "sentids": list(range(5 * number, 5 * number + 5)),
            "imgid": number,
            "sentences": [
                _sentence(raw, re.findall(r"\w+", raw.lower()), sentence_id, number)
                for sentence_id, raw in enumerate(five, start=5 * number)
            ],
            "split": split,
            "filename": name,
        }
        for number, (split, name, five) in enumerate(entries)
    ]
    return {"images": images, "dataset": "flickr30k"}


def _write_flickr_release(root: Path, texts: dict[str, list[str]], *, unbarred: str) -> None:
    token_lines, bar_lines = [], ["image_name| comment_number| comment"]
    for name, five in texts.items():
        for number, text in enumerate(five):
            bar = "  " if (name, number) == (unbarred, len(five) - 1) else "|"
            token_lines.append(f"{name}#{number}\t{release_tokens(text)}")
            bar_lines.append(f"{name}| {number}{bar} {release_tokens(text)}")
    write_lines(root / "results_20130124.token", token_lines)
    write_lines(root / "results.csv", bar_lines)
