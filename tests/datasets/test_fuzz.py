"""Thousands of damaged files of every format: all are read, or refused by name."""

import random
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.annotations import field_of, read_json
from lib.datasets.csv_files import read_rows, read_table
from lib.datasets.laion.metadata import Filters, MetadataScan
from lib.datasets.laion.shards import Shard, check_shard
from lib.datasets.miniatures.laion import write_tar
from lib.datasets.registry import CORPORA

REFUSED = (RetrievalInputError, DamagedFileError, MissingFileError)
N_MUTANTS = 2000


def mutants(content: bytes, n: int = N_MUTANTS):
    """Copies of some bytes: a few flipped, cut, doubled or exchanged for difficult ones."""
    rng = random.Random(0)
    hostile = [
        b"\0",
        b"\xff",
        b'"',
        b"\n",
        b"-1",
        b"1e999",
        b"\xef\xbb\xbf",
        b"\\ud800",
        b"9" * 30,
        b"[",
        b"NaN",
    ]
    for _ in range(n):
        mutant = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(mutant) + 1)
            match rng.randrange(5):
                case 0:
                    mutant[at : at + 1] = bytes([rng.randrange(256)])
                case 1:
                    del mutant[at : at + rng.randint(1, 40)]
                case 2:
                    mutant[at:at] = mutant[at : at + rng.randint(1, 600)]
                case 3:
                    mutant[at : at + rng.randint(0, 12)] = rng.choice(hostile)
                case 4:
                    del mutant[at:]
        yield bytes(mutant)


def offenders(path, contents, read):
    """What escaped, other than the project's own errors with the name of the file."""
    found = []
    for number, content in enumerate(contents):
        path.unlink(missing_ok=True)  # a new file: one that is shortened first waits for the disk
        path.write_bytes(content)
        try:
            read(path)
        except REFUSED as error:
            if path.stem not in str(error):
                found.append((number, f"no name in {error}"))
        except Exception as error:
            found.append((number, repr(error)))
    return found


def tar_of(path):
    parts = [
        ("jpg", b"\xff\xd8 no picture"),
        ("txt", b"a red car"),
        ("json", b'{"url": "https://x"}'),
    ]
    write_tar(
        path, [(f"00000000{key}.{suffix}", body) for key in range(3) for suffix, body in parts]
    )


def parquet_of(path):
    table = {"url": ["https://x", None], "caption": ["a red car", "fünf"], "key": ["0", "1"]}
    table |= {"status": ["success", "failed"], "width": [3.0, float("nan")], "height": [4, 5]}
    pq.write_table(pa.table(table), path)


def json_of(path):
    path.write_bytes(
        b'{"images": [{"filename": "a.jpg", "cocoid": 17, "sentences": [{"raw": "a \\u00e4"}]}]}'
    )


def csv_of(path):
    path.write_bytes('a,b,c\n1,"two, three",4\n5,fünf,6\n'.encode())


def read_tar(path):
    for sample, _ in Shard(path):
        for read in (sample.caption, sample.url):
            try:
                read()
            except DamagedFileError as error:
                assert sample.key in str(error) or repr(sample.key) in str(error)


def read_images(path):
    for image in field_of(read_json(path), "images", list, str(path)):
        field_of(image, "filename", str, str(path))


CASES = {
    "tar": (tar_of, read_tar),
    "json": (json_of, read_images),
    "csv": (
        csv_of,
        lambda path: [list(read_table(path, ["a", "b", "c"])), list(read_rows(path, 3))],
    ),
    "parquet": (
        parquet_of,
        lambda path: list(
            MetadataScan(path, Filters(min_side=1), columns=["url", "text", "width"])
        ),
    ),
}


@pytest.mark.parametrize("suffix", CASES)
def test_every_mutant_is_read_or_refused_by_name(tmp_path, suffix):
    write, read = CASES[suffix]
    path = tmp_path / f"fuzzed.{suffix}"
    write(path)
    content = path.read_bytes()
    read(path)
    assert offenders(path, mutants(content), read) == []


def test_every_mutant_of_a_table_of_links_is_told_by_the_report(tmp_path):
    tar_of(tmp_path / "fuzzed.tar")
    path = tmp_path / "fuzzed.parquet"
    parquet_of(path)
    found = offenders(
        path, mutants(path.read_bytes(), 500), lambda path: check_shard(path.with_suffix(".tar"))
    )
    assert found == []


OF_SOUNDS = ("audiocaps", "clotho")
OF_PICTURES = ("urban1k", "docci", "xtd10", "xm3600", "xflickrco", "flickr30k_cn")
OF_PICTURES += ("sugarcrepe", "winoground")


@pytest.mark.parametrize(
    "name",
    [
        "coco",
        "flickr30k",
        "msrvtt",
        "activitynet",
        "audioset",
        "vggsound",
        "cirr",
        *OF_SOUNDS,
        *OF_PICTURES,
    ],
)
def test_annotations_that_are_empty_cut_or_marked_are_read_or_refused_by_name(tmp_path, name):
    corpus = CORPORA[name]
    root = tmp_path / "mini"
    try:
        corpus.write_miniature(root)
    except RetrievalInputError as error:  # clips need PyAV
        pytest.skip(str(error))
    splits, found, tried = [], [], 0
    for split in corpus.splits[:2]:
        with suppress(RetrievalInputError, MissingFileError):  # some splits have no miniature
            corpus.load(root, split, allow_partial=True)
            splits.append(split)
    for path in sorted(root.rglob("*")):
        if path.suffix not in (".json", ".jsonl", ".jsonlines", ".csv", ".tsv", ".token", ".txt"):
            continue
        whole = path.read_bytes()
        cuts = [whole[:-1], whole[: len(whole) // 2], b"", b"null", b"[]", b"{}", b"\xff\0"]
        for content in [*cuts, b"\xef\xbb\xbf" + whole]:
            path.unlink()
            path.write_bytes(content)
            for split in splits:
                tried += 1
                try:
                    corpus.load(root, split, allow_partial=True)
                except REFUSED:
                    if content.endswith(whole) and whole:
                        found.append((path.name, split, "a byte order mark"))
                except Exception as error:
                    found.append((path.name, split, content[:20], repr(error)))
        path.write_bytes(whole)
    assert not found and tried
