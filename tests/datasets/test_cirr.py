"""CIRR: the miniature record by record, its traps, the options, and what is refused."""

import json

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import cirr
from lib.datasets.completeness import MissingMediaError
from lib.datasets.registry import CORPORA

CAPTIONS, PICTURES = "captions/cap.rc2.val.json", "image_splits/split.rc2.val.json"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cirr") / "mini"
    CORPORA["cirr"].write_miniature(folder)
    return folder


@pytest.fixture(scope="module")
def corpus(root):
    return cirr.load_cirr(root)


@pytest.fixture
def copy(root, tmp_path):
    """A root of its own with the annotations of val, and functions to read and change them."""

    class Copy:
        root = tmp_path

        def change(self, name, edit):
            content = json.loads((root / name).read_text())
            content = edit(content) or content
            (tmp_path / name).write_text(json.dumps(content))

        def load(self, **options):
            return cirr.load_cirr(tmp_path, need_media=False, **options)

    for name in (CAPTIONS, PICTURES, "miniature.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((root / name).read_bytes())
    return Copy()


def test_published_sizes_add_up_to_the_pool_of_m_beir():
    assert cirr.SPLITS[0] == "val"
    assert cirr.PUBLISHED["val"] == {"pictures": 2_297, "queries": 4_181}
    assert sum(part["pictures"] for part in cirr.PUBLISHED.values()) == 21_551
    assert sum(part["queries"] for part in cirr.PUBLISHED.values()) == 36_554


def test_one_record(corpus):
    assert corpus.name == "cirr (miniature)" and all(count.ok for count in corpus.counts)
    assert (len(corpus.texts), len(corpus.media)) == (55, 55)
    assert corpus.text_ids[0] == "12060" and corpus.texts[0] == "make the purple circles red"
    reference, target = corpus.references[0], corpus.qrels.row(0)[0][0]
    assert corpus.item_ids[reference] == "dev-7-0-img0"
    assert corpus.item_ids[target] == "dev-7-0-img1"
    members, _ = corpus.galleries[1].members.row(0)
    assert sorted(corpus.item_ids[at] for at in members) == [
        "dev-10-0-img0", "dev-7-0-img1", "dev-7-1-img0", "dev-7-1-img1", "dev-7-2-img0",
    ]  # fmt: skip
    assert corpus.excluded.row(0)[0].tolist() == [reference]
    assert corpus.media.names[reference] == "dev/dev-7-0-img0.png"
    assert corpus.media[0].size == (64, 64) and corpus.media[0].mode == "RGB"


def test_the_traps_of_the_release(root, corpus):
    targets = corpus.qrels.items
    assert np.unique(corpus.references).size < len(corpus.texts)  # one reference, several pairs
    assert set(targets) & set(corpus.references)  # a target that is a reference elsewhere
    assert "   " in corpus.texts[2]  # spaces are kept as typed
    pair = json.loads((root / CAPTIONS).read_text())[3]
    assert pair["target_hard"] not in pair["target_soft"]
    assert pair["reference"] in pair["target_soft"]  # only target_hard counts
    assert corpus.item_ids[targets[3]] == pair["target_hard"]
    in_sets = np.bincount(corpus.galleries[1].members.items, minlength=55)
    assert in_sets.max() > 5  # a picture of two sets
    assert corpus.galleries[1].members.counts.tolist() == [5] * 55


def test_the_layouts_of_the_authors_and_of_clip4cir(root, tmp_path):
    for folder in ("captions", "image_splits"):
        (tmp_path / "cirr" / folder).mkdir(parents=True)
        for path in (root / folder).iterdir():
            (tmp_path / "cirr" / folder / path.name).write_bytes(path.read_bytes())
    (tmp_path / "miniature.json").write_bytes((root / "miniature.json").read_bytes())
    (tmp_path / "cirr" / "img_raw" / "dev").mkdir(parents=True)
    names = cirr.load_cirr(tmp_path, need_media=False).media.names
    assert names[0] == "cirr/img_raw/dev/dev-7-0-img0.png"
    for path in list((tmp_path / "cirr").glob("*/*.json")):
        path.rename(tmp_path / path.name)  # as `crossmodal data download` leaves them
    assert cirr.load_cirr(tmp_path, need_media=False).media.names == names
    train = cirr.load_cirr(root, "train")
    assert train.media.names[0].startswith("train/34/train-") and train.has_targets


def test_kept_references_are_candidates(root):
    kept = cirr.load_cirr(root, reference="kept", need_media=False)
    assert kept.excluded is None and kept.galleries[1].members.counts.tolist() == [6] * 55
    assert kept.checksum(media=False) != cirr.load_cirr(root).checksum(media=False)
    assert kept.relevance == "reference kept"


def test_test1_has_no_targets(root):
    test = cirr.load_cirr(root, "test1")
    assert not test.has_targets and test.qrels.shape == (20, 20)
    assert test.galleries[1].members.counts.tolist() == [5] * 20


def test_queries_are_sums_of_unit_vectors_or_one_half(root):
    images, texts = np.eye(55, 60)[:, ::-1] * 3, np.eye(55, 60) * 7
    sums = cirr.load_cirr(root, need_media=False)
    of = {how: cirr.load_cirr(root, query=how, need_media=False) for how in ("image", "text")}
    expected = np.eye(55, 60)[:, ::-1][sums.references] + np.eye(55, 60)
    np.testing.assert_allclose(sums.query_rows(images, texts), expected)
    np.testing.assert_allclose(
        of["image"].query_rows(images, texts), expected - np.eye(55, 60), atol=1e-7
    )
    np.testing.assert_allclose(of["text"].query_rows(images, texts), np.eye(55, 60))


def test_a_missing_picture_takes_its_queries_along(root, tmp_path, corpus):
    gone = corpus.media.names[corpus.references[0]]
    for path in root.rglob("*"):
        name = path.relative_to(root)
        if path.is_dir():
            (tmp_path / name).mkdir(exist_ok=True)
        elif str(name) != gone:
            (tmp_path / name).write_bytes(path.read_bytes())
    with pytest.raises(MissingMediaError, match="found 54 of 55 pictures"):
        cirr.load_cirr(tmp_path)
    part = cirr.load_cirr(tmp_path, allow_partial=True)
    # The picture is the first of its set, five pairs, and the last of the set before, five more.
    assert (len(part.texts), len(part.item_ids), part.missing) == (45, 54, (gone,))
    assert [count.found for count in part.counts] == [54, 45]
    assert part.galleries[1].members.counts.tolist() == [5] * 45
    names = [part.item_ids[at] for at in part.references]
    assert names == [corpus.item_ids[corpus.references[int(at)]] for at in
                     [corpus.text_ids.index(id_) for id_ in part.text_ids]]  # fmt: skip
    assert "found 45 of 55 queries" in part.describe()
    with pytest.raises(RetrievalInputError, match="no query is left"):
        corpus.without_items(range(55))


# ---- what is refused


def edited(**fields):
    def edit(pairs):
        for name, value in fields.items():
            if name == "members":
                pairs[1]["img_set"]["members"] = value
            else:
                pairs[1][name] = value

    return edit


SIX = [f"dev-7-{k // 2}-img{k % 2}" for k in range(5)]


@pytest.mark.parametrize(
    "edit, message",
    [
        (lambda pairs: {"pairs": pairs}, "must be a list of pairs, got dict"),
        (lambda pairs: ["pair", *pairs[1:]], "pair 0: 'pairid' must be int, got the entry 'pair'"),
        (lambda pairs: pairs[:-1], "found 54 of 55 queries"),
        (edited(pairid="12061"), "pair 1: 'pairid' must be int, got '12061'"),
        (edited(pairid=12060), "12060"),
        (edited(caption=None), "pair 1: 'caption' must be str, got None"),
        (edited(caption="\ud800"), "text of query '12061' must be Unicode"),
        (edited(img_set=[]), "pair 1: 'img_set' must be dict"),
        (edited(members=SIX), "members must be the names of 6 pictures"),
        (edited(members=[*SIX, 6]), "members must be the names of 6 pictures"),
        (edited(members=[*SIX, SIX[0]]), "pair 1: .*dev-7-0-img0"),
        (edited(members=[*SIX, "dev-0-0-img0"]), "set member 'dev-0-0-img0' is not one of the 55"),
        (edited(reference="dev-13-0-img0"), "reference 'dev-13-0-img0' must be one of the set"),
        (edited(target_hard="dev-13-0-img0"), "target 'dev-13-0-img0' must be one of the set"),
        (edited(target_hard="dev-7-0-img0"), "reference and target are both 'dev-7-0-img0'"),
    ],
)
def test_bad_pairs_are_named(copy, edit, message):
    copy.change(CAPTIONS, edit)
    with pytest.raises(RetrievalInputError, match=message):
        copy.load()


@pytest.mark.parametrize(
    "edit, message",
    [
        (lambda names: list(names), "must be {picture: path}"),
        (lambda names: names | {"dev-7-0-img0": 3}, "'dev-7-0-img0' must be str, got 3"),
        (lambda names: names | {"dev-9-9-img9": "./dev/x.png"}, "found 56 of 55 pictures"),
        (lambda names: {k: v for k, v in names.items() if k != "dev-7-0-img0"}, "54 of 55"),
    ],
)
def test_bad_splits_are_named(copy, edit, message):
    copy.change(PICTURES, edit)
    with pytest.raises(RetrievalInputError, match=message):
        copy.load()


def test_bad_files_and_options(copy, root):
    with pytest.raises(RetrievalInputError, match="split must be one of 'val', 'train', 'test1'"):
        cirr.load_cirr(root, "test")
    with pytest.raises(RetrievalInputError, match="reference must be one of 'removed', 'kept'"):
        cirr.load_cirr(root, reference="maybe")
    with pytest.raises(RetrievalInputError, match="query must be one of 'sum', 'image', 'text'"):
        cirr.load_cirr(root, query="mean")
    copy.change(PICTURES, lambda names: dict.fromkeys(names, "../../outside.png"))
    with pytest.raises(RetrievalInputError, match="outside"):
        cirr.load_cirr(copy.root)
    (copy.root / CAPTIONS).write_bytes((root / CAPTIONS).read_bytes()[:-20])
    with pytest.raises(DamagedFileError, match="not a JSON file"):
        copy.load()
    (copy.root / CAPTIONS).unlink()
    with pytest.raises(MissingFileError, match=r"cap\.rc2\.val\.json"):
        copy.load()
