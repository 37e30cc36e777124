"""A miniature of MS-COCO: 100 test images with real ids, scenes for photographs, the traps of its
files.
"""

import json
from pathlib import Path

import numpy as np

from lib.core.writing import atomic_folder
from lib.datasets import coco_judgements
from lib.datasets.completeness import write_miniature_card
from lib.datasets.miniatures import cxc
from lib.datasets.miniatures.scene_pictures import scenes_with_twins, write_pictures
from lib.datasets.scenes import SceneBatch, captions, sample

PER_FOLD = 20
N_TEST = PER_FOLD * coco_judgements.N_FOLDS
# Split of Karpathy's file: (images, folder, split of the scenes, first scene).
_OTHERS = {
    "val": (6, "val2014", "validation", 0),
    "restval": (4, "val2014", "train", 6),
    "train": (6, "train2014", "train", 0),
}
# Ids beyond COCO's own (581,929 images, 829,696 captions) for all that has no place in the
# judgements.
_FREE_IMAGE, _FREE_CAPTION = 900_001, 950_001
# A fold has 6 pairs of twins and 8 single scenes. The other pair of a family is in another fold, so
# the 1K folds are easier than the whole, as they are in COCO. In the first families a pair differs
# in who is where, which models of scenes find hardest, in the others in which shape has which
# colour.
N_FAMILIES, N_BY_PLACE, N_OTHERS, FIRST_OTHER = 15, 7, 40, 28
SHARED = (
    12,
    95,
)  # test images, in different folds, whose last captions are one string, true of both
SIX_CAPTIONS, REPEATED, TRAILING_SPACE, NON_ASCII = 7, 11, 15, 21  # test images with a trap each


def write_miniature(folder: str | Path) -> None:
    """Writes the files of MS-COCO with 100 test, 6 val, 4 restval and 6 train images, all drawn by
    `scenes`.

    Test ids are COCO's own: 20 images of each 1K fold (`image_positions`) with their five caption
    ids, so that the judgements of CxC and ECCV Caption can be aligned; they judge photographs, not
    the drawings here. The captions are true of the drawings, so a model of scenes can be evaluated
    in earnest. Inside are Karpathy's `dataset_coco.json`, CLIP_benchmark's
    `annotations/coco_test_karpathy.json`, the ratings of CxC in `cxc/`, and `miniature.json`.

    Traps: a sixth caption, one caption of two images, two captions of one image that differ in a
    capital and a full stop, a space at the end, letters beyond ASCII, images of val and restval in
    one folder.

    Raises:
        MissingFileError: the package `eccv-caption`, which has the ids, is not installed.
    """
    known = coco_judgements.load_judgements()
    rows = image_positions()
    five = known.caption_ids.reshape(-1, coco_judgements.CAPTIONS_PER_IMAGE)[rows]
    with atomic_folder(folder) as root:
        test = drawn()
        texts = [list(own) for own in captions(test)]
        ids = [own.tolist() for own in five]
        _set_traps(texts, ids)
        images = _entries("test", "val2014", known.image_ids[rows].tolist(), ids, texts)
        write_pictures(test, [root / _path(image) for image in images])
        next_image, next_caption = _FREE_IMAGE, _FREE_CAPTION
        for split, (n, subfolder, world, start) in _OTHERS.items():
            scenes = sample(world, n, start=start)
            own_ids = (next_caption + np.arange(5 * n)).reshape(n, 5).tolist()
            own_images = list(range(next_image, next_image + n))
            entries = _entries(split, subfolder, own_images, own_ids, captions(scenes))
            write_pictures(scenes, [root / _path(image) for image in entries])
            # Other splits come first, so that a place in the file is no place in the test split.
            images = entries + images
            next_image, next_caption = next_image + n, next_caption + 5 * n
        for number, image in enumerate(images):
            image["imgid"] = number
            for sentence in image["sentences"]:
                sentence["imgid"] = number
        _dump({"images": images, "dataset": "coco"}, root / "dataset_coco.json")
        tests = [image for image in images if image["split"] == "test"]
        _dump(_as_coco(tests), root / "annotations" / "coco_test_karpathy.json")
        cxc.write_ratings(root / "cxc", rows)
        write_miniature_card(root, "coco", _counts())


def image_positions() -> np.ndarray:
    """`(100,)` positions in COCO's test split: of each 1K fold the first 19 images, and the next
    one that has a caption of its own that CxC does not confirm (there are 29 such captions)."""
    known = coco_judgements.load_judgements()
    confirmed = known.qrels("cxc", "text_to_image").grades_of(known.owner[:, None])[:, 0]
    doubtful = np.unique(known.owner[confirmed == 0])
    chosen = []
    for fold in range(coco_judgements.N_FOLDS):
        images = known.fold(fold)[0]
        first, others = images[: PER_FOLD - 1], images[PER_FOLD - 1 :]
        chosen.append(np.append(first, others[np.isin(others, doubtful)][0]))
    return np.concatenate(chosen)


def drawn() -> SceneBatch:
    """The 100 test scenes, in the order of the images."""
    scenes = scenes_with_twins(N_FAMILIES, N_OTHERS, seed=1, start=FIRST_OTHER)
    families = np.arange(4 * N_FAMILIES).reshape(
        2, 2, N_FAMILIES
    )  # colours exchanged or not, places, family
    by_place = families[:, :, :N_BY_PLACE].transpose(0, 2, 1)
    by_colour = families[:, :, N_BY_PLACE:].transpose(1, 2, 0)
    pairs = np.concatenate(
        [by_place, by_colour], axis=1
    )  # (2, N_FAMILIES, 2): a pair of each, then the rest
    others = np.arange(4 * N_FAMILIES, N_TEST)
    folds = [part.reshape(coco_judgements.N_FOLDS, -1) for part in (pairs, others)]
    return scenes[np.concatenate(folds, axis=1).ravel()]


def _set_traps(texts: list[list[str]], ids: list[list[int]]) -> None:
    # Added to the shortest caption of a scene: the small models trained here read 23 pieces of
    # words.
    texts[SIX_CAPTIONS].append(texts[SIX_CAPTIONS][4] + " – head on")
    ids[SIX_CAPTIONS].append(_FREE_CAPTION - 1)
    texts[REPEATED][1] = texts[REPEATED][0].capitalize() + "."
    texts[TRAILING_SPACE][2] += ". "
    texts[NON_ASCII][4] += ", déjà vu"


def _entries(
    split: str, folder: str, image_ids: list[int], text_ids: list[list[int]], texts: list[list[str]]
) -> list[dict]:
    return [
        {
            "filepath": folder,
            "sentids": own_ids,
            "filename": f"COCO_{folder}_{image_id:012d}.jpg",
            "imgid": 0,  # given when the order of all images is known
            "split": split,
            "sentences": [
                {
                    "tokens": raw.lower().replace(".", "").split(),
                    "raw": raw,
                    "imgid": 0,
                    "sentid": sentid,
                }
                for sentid, raw in zip(own_ids, own, strict=True)
            ],
            "cocoid": image_id,
        }
        for image_id, own_ids, own in zip(image_ids, text_ids, texts, strict=True)
    ]


def _path(image: dict) -> str:
    return f"{image['filepath']}/{image['filename']}"


def _as_coco(images: list[dict]) -> dict:
    """COCO's own structure, as CLIP_benchmark filters it; annotations stand in another order than
    images.
    """
    notes = [
        {"image_id": image["cocoid"], "id": sentence["sentid"], "caption": sentence["raw"]}
        for image in images
        for sentence in image["sentences"]
    ]
    return {
        "info": {"description": "COCO 2014 Dataset", "year": 2014},
        "licenses": [
            {
                "url": "http://creativecommons.org/licenses/by/2.0/",
                "id": 4,
                "name": "Attribution License",
            }
        ],
        "images": [
            {
                "license": 4,
                "file_name": image["filename"],
                "height": 64,
                "width": 64,
                "id": image["cocoid"],
            }
            for image in images
        ],
        "annotations": notes[::-1],
    }


def _dump(content: dict, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def _counts() -> dict[str, dict[str, int]]:
    images = {split: n for split, (n, *_) in _OTHERS.items()}
    images |= {
        "test": N_TEST,
        "train_only": images["train"],
        "train": images["train"] + images["restval"],
    }
    counts = {
        split: {"images": n, "captions, all": 5 * n, "captions, first 5": 5 * n}
        for split, n in images.items()
    }
    counts["test"]["captions, all"] += 1
    # Two captions of one image become one text and one judgement; one caption of two images one
    # text and two.
    counts["test"] |= {"captions, unique": 5 * N_TEST - 2, "judgements, unique": 5 * N_TEST - 1}
    return counts
