"""Flickr30K: the same pictures from four files, and what is wrong in each of them."""

import json
import shutil
import warnings

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import flickr30k
from lib.datasets.completeness import MINIATURE, Count
from lib.datasets.miniatures.images import FLICKR_TRAPS
from lib.datasets.registry import CORPORA

CLIP_BENCHMARK = "flickr30k_test_karpathy.txt"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("flickr30k") / "root"
    CORPORA["flickr30k"].write_miniature(root)
    return root


@pytest.fixture
def copy(root, tmp_path):
    shutil.copytree(root, tmp_path / "root")
    return tmp_path / "root"


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_splits(root):
    sizes = {
        split: len(flickr30k.load_flickr30k(root, split).texts)
        for split in ("test", "val", "train")
    }
    assert sizes == {"test": 100, "val": 20, "train": 30}
    corpus = flickr30k.load_flickr30k(root)
    assert corpus.name == "flickr30k (miniature)" and (corpus.qrels.T.counts == 5).all()
    assert corpus.item_ids[0] == "3000000001" and corpus.text_ids[:2] == (
        "3000000001#0",
        "3000000001#1",
    )
    assert corpus.media.names[0] == "flickr30k-images/3000000001.jpg" and corpus.media[0].size == (
        64,
        64,
    )


def test_published_counts():
    assert flickr30k.PUBLISHED["all"] == {"images": 31_783, "captions": 158_915}
    karpathy = [flickr30k.PUBLISHED[split]["images"] for split in ("train", "val", "test")]
    assert karpathy == [29_000, 1_014, 1_000] and sum(karpathy) == 31_014


@pytest.mark.parametrize("split", ["test", "val", "train"])
def test_clip_benchmark_gives_the_same(root, copy, split):
    (copy / flickr30k.KARPATHY).unlink()
    ours, theirs = flickr30k.load_flickr30k(root, split), flickr30k.load_flickr30k(copy, split)
    assert ours.checksum() == theirs.checksum()


def test_file_of_blip(root, copy):
    images = json.loads((copy / "dataset_flickr30k.json").read_text())["images"]
    listed = [
        {
            "image": f"flickr30k-images/{image['filename']}",
            "caption": [sentence["raw"] for sentence in image["sentences"]],
        }
        for image in images
        if image["split"] == "test"
    ]
    for path in [*copy.glob("*.json"), *copy.glob("*karpathy.txt")]:
        if path.name != "miniature.json":
            path.unlink()
    (copy / "flickr30k_test.json").write_text(json.dumps(listed))
    blip, whole = flickr30k.load_flickr30k(copy, need_media=False), flickr30k.load_flickr30k(root)
    assert blip.texts == whole.texts and blip.text_ids == whole.text_ids
    assert blip.item_ids == whole.item_ids and blip.qrels == whole.qrels


def test_commas_quotes_and_file_names_in_captions(root):
    texts = flickr30k.load_flickr30k(root).texts
    for at, words in FLICKR_TRAPS.items():
        assert texts[5 * at + 4].endswith(words)
    line = next(line for line in (root / CLIP_BENCHMARK).read_text().splitlines() if "sign" in line)
    assert line.endswith('or ""sign"""')  # the file quotes, the loader does not keep the quotes
    tokens = flickr30k.load_flickr30k(root, captions="tokens").texts
    assert tokens[14].endswith(" , here , there .") and tokens[29].endswith(' or " sign " .')
    assert tokens[49].endswith(" , a.jpg , again .")


def read_as_clip_benchmark(path):
    """Read the file as CLIP_benchmark does; a slow test compares this with its own code."""
    found = {}
    for line in path.read_text().splitlines()[1:]:
        image, caption = line.strip().split(".jpg,")
        found.setdefault(f"{image}.jpg", []).append(caption)
    return found


@pytest.mark.parametrize("source", [flickr30k.KARPATHY, CLIP_BENCHMARK])
def test_texts_of_clip_benchmark_keep_their_quotes(root, copy, source):
    """From their file and from Karpathy's; a ".jpg," in a caption stops their reader."""
    with pytest.raises(ValueError, match="too many values"):
        read_as_clip_benchmark(copy / CLIP_BENCHMARK)
    for name in (flickr30k.KARPATHY, CLIP_BENCHMARK):
        edit(copy / name, ", a.jpg, again", ", a.jpg again")
    theirs = read_as_clip_benchmark(copy / CLIP_BENCHMARK)
    if source == flickr30k.KARPATHY:
        (copy / CLIP_BENCHMARK).unlink()
    else:
        (copy / flickr30k.KARPATHY).unlink()
    corpus = flickr30k.load_flickr30k(copy, captions="clip_benchmark", need_media=False)
    assert list(corpus.texts) == [text for five in theirs.values() for text in five]
    assert corpus.captions == "clip_benchmark" and len(corpus.texts) == 100
    plain = flickr30k.load_flickr30k(copy, need_media=False).texts
    assert [at for at in range(100) if corpus.texts[at] != plain[at]] == [14, 29, 49]
    assert corpus.texts[29].startswith('"') and corpus.texts[29].endswith('or ""sign"""')
    assert corpus.text_ids == flickr30k.load_flickr30k(root, need_media=False).text_ids


@pytest.mark.slow  # imports torchvision
def test_the_reader_of_clip_benchmark_itself(copy):
    theirs = pytest.importorskip("clip_benchmark.datasets.flickr")
    edit(copy / CLIP_BENCHMARK, ", a.jpg, again", ", a.jpg again")
    found = dict(theirs.Flickr(str(copy), str(copy / CLIP_BENCHMARK)).data)
    assert found == read_as_clip_benchmark(copy / CLIP_BENCHMARK)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a dog", "a dog"),
        (" a dog ", " a dog"),
        ("a dog, running ", '"a dog, running "'),
        ('a "dog"', '"a ""dog"""'),
        ("a dog's", "a dog's"),
    ],
)
def test_quotes_of_one_caption(text, kept):
    assert flickr30k.quoted(text) == kept


def test_token_file_and_its_copy_agree(root, copy):
    (copy / flickr30k.TOKENS).unlink()
    for split in flickr30k.SPLITS:
        ours = flickr30k.load_flickr30k(root, split, captions="tokens")
        with pytest.warns(
            UserWarning, match=r"results\.csv, line 161: no bar behind the number 4; repaired"
        ):
            theirs = flickr30k.load_flickr30k(copy, split, captions="tokens")
        assert ours.checksum() == theirs.checksum()


def test_only_that_row_is_mended(copy):
    (copy / flickr30k.TOKENS).unlink()
    lines = (copy / "results.csv").read_text().splitlines()
    lines[7] = lines[7].replace("| ", " ", 1).replace("| ", " ", 1)  # no bar at all
    (copy / "results.csv").write_text("\n".join(lines))
    with (
        warnings.catch_warnings(),
        pytest.raises(RetrievalInputError, match="line 8: expected 3 fields"),
    ):
        warnings.simplefilter("error")
        flickr30k.load_flickr30k(copy, "all", captions="tokens")


def test_the_whole_release(root):
    corpus = flickr30k.load_flickr30k(root, "all", captions="tokens")
    assert len(corpus.item_ids) == 32
    split = [
        set(flickr30k.load_flickr30k(root, split).item_ids) for split in ("train", "val", "test")
    ]
    assert len(set(corpus.item_ids) - set().union(*split)) == 2
    with pytest.raises(RetrievalInputError, match="captions must be 'tokens'"):
        flickr30k.load_flickr30k(root, "all")


@pytest.mark.parametrize("folder", flickr30k.FOLDERS)
def test_folders(copy, folder):
    (copy / "flickr30k-images").rename(copy / folder)
    assert flickr30k.load_flickr30k(copy).media.names[0] == f"{folder}/3000000001.jpg"


# ---- what can be wrong


def test_missing_files(root, copy):
    (copy / flickr30k.KARPATHY).unlink()
    with pytest.raises(MissingFileError, match=r"not have dataset_flickr30k\.json"):
        flickr30k.load_flickr30k(copy, captions="tokens")
    (copy / CLIP_BENCHMARK).unlink()
    with pytest.raises(
        MissingFileError, match=r"not have dataset_flickr30k\.json, flickr30k_test_karpathy\.txt or"
    ):
        flickr30k.load_flickr30k(copy)
    (copy / flickr30k.TOKENS).unlink()
    (copy / "results.csv").unlink()
    with pytest.raises(MissingFileError, match=r"not have results_20130124\.token or results\.csv"):
        flickr30k.load_flickr30k(copy, "all", captions="tokens")


def test_missing_pictures(copy):
    (copy / "flickr30k-images" / "3000000002.jpg").unlink()
    with pytest.raises(
        RetrievalInputError, match=r"19 of 20 images; first missing: flickr30k-images/3000000002"
    ):
        flickr30k.load_flickr30k(copy)
    partial = flickr30k.load_flickr30k(copy, allow_partial=True)
    assert partial.counts == (Count("images", 19, 20), Count("captions", 95, 100))


def test_a_miniature_is_not_the_real_thing(copy):
    (copy / MINIATURE).unlink()
    with pytest.raises(
        RetrievalInputError, match="found 20 of 1,000 images; found 100 of 5,000 captions"
    ):
        flickr30k.load_flickr30k(copy)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            flickr30k.TOKENS,
            "#1\t",
            "#2\t",
            r"line 2: caption '2' of '1000000001\.jpg', expected number 1",
        ),
        (flickr30k.TOKENS, "#1\t", "#1 ", "line 2: expected 'name.jpg#0<TAB>caption'"),
        ("results.csv", "| comment_number", ", comment_number", "must start with 'image_name"),
        ("results.csv", "1| ", "1| | ", "line 3: expected 3 fields"),
    ],
)
def test_malformed_releases(copy, name, old, new, message):
    if name != flickr30k.TOKENS:
        (copy / flickr30k.TOKENS).unlink()
    edit(copy / name, old, new)
    with pytest.raises(RetrievalInputError, match=message):
        flickr30k.load_flickr30k(copy, "all", captions="tokens", allow_partial=True)


def test_malformed_copy_of_clip_benchmark(copy):
    (copy / flickr30k.KARPATHY).unlink()
    path = copy / CLIP_BENCHMARK
    whole = path.read_text()
    path.write_text(whole.replace("image,caption", "file,caption"))
    with pytest.raises(RetrievalInputError, match="must begin 'image,caption'"):
        flickr30k.load_flickr30k(copy)
    path.write_text(whole.replace('"', "", 1))  # the commas of that caption are columns now
    with pytest.raises(RetrievalInputError, match=r"line 16: expected 2 columns"):
        flickr30k.load_flickr30k(copy)
    path.write_text(whole + '3000000020.jpg,"never closed')
    with pytest.raises(DamagedFileError, match="Fetch the file again"):
        flickr30k.load_flickr30k(copy)


def test_a_name_that_leaves_the_root(copy):
    path = copy / flickr30k.TOKENS
    path.write_text(path.read_text().replace("1000000001.jpg", "../../../etc/passwd"))
    with pytest.raises(RetrievalInputError, match="relative path inside"):
        flickr30k.load_flickr30k(copy, "all", captions="tokens", allow_partial=True)


def test_text_that_is_not_utf8(copy):
    with open(copy / flickr30k.TOKENS, "ab") as stream:
        stream.write(b"1.jpg#0\tcaf\xe9\n")
    with pytest.raises(DamagedFileError, match="not UTF-8"):
        flickr30k.load_flickr30k(copy, "all", captions="tokens")


def test_pictures_of_a_split_without_tokens(copy):
    path = copy / flickr30k.TOKENS
    path.write_text(
        "".join(line for line in path.read_text().splitlines(True) if "3000000020" not in line)
    )
    with pytest.raises(
        RetrievalInputError, match=r"1 of 20 pictures lack tokens, first '3000000020\.jpg'"
    ):
        flickr30k.load_flickr30k(copy, captions="tokens")


def test_null_text(copy):
    path = copy / flickr30k.KARPATHY
    data = json.loads(path.read_text())
    data["images"][12]["sentences"][3]["raw"] = None
    path.write_text(json.dumps(data))
    with pytest.raises(
        RetrievalInputError, match=r"dataset_flickr30k\.json, image 12: 'raw' must be str"
    ):
        flickr30k.load_flickr30k(copy)
