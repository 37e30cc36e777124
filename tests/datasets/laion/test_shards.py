"""Shards: samples of a tar, hostile and damaged members, and the table beside the tar."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.laion import shards
from lib.datasets.laion.shards import (
    LinkRow,
    Sample,
    Shard,
    check_shard,
    shard_paths,
)
from lib.datasets.miniatures.laion import (
    FAILURES,
    SCHEMA,
    bomb,
    cut,
    write_shard,
    write_tar,
)
from lib.datasets.miniatures.writing import jpeg_bytes

PICTURES = np.zeros((5, 8, 8, 3), np.uint8)
CAPTIONS = [f"caption {i}" for i in range(5)]
FAILED = {1: "failed_to_download", 3: "failed_to_resize"}


def members(*keys, parts=("jpg", "txt", "json")):
    return [(f"{key}.{part}", f"{part} of {key}".encode() * 40) for key in keys for part in parts]


def write(path, content):
    return write_tar(path / "00000.tar", content)


def keys(samples):
    return [sample.key for sample, _ in samples]


def test_members_that_share_a_name_up_to_the_first_dot_are_a_sample(tmp_path):
    content = [
        ("a.jpg", b"1"),
        ("a.TXT", b"2"),
        ("00/a.seg.png", b"3"),
        ("00/a.seg.json", b"4"),
        ("b.c/d.e", b"5"),
    ]
    reader = Shard(write(tmp_path, content))
    found = {sample.key: sample.parts for sample, _ in reader}
    assert found == {
        "a": {"jpg": b"1", "txt": b"2"},
        "00/a": {"seg.png": b"3", "seg.json": b"4"},
        "b.c/d": {"e": b"5"},
    }
    assert reader.report.ok and reader.report.samples == 3


def test_samples_are_those_of_webdataset(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    folder = tarfile.TarInfo("00")
    folder.type = tarfile.DIRTYPE
    content = members("000000000", "000000001", "00/2", "k.e/y") + members(
        "3", parts=("v2.jpg", "V2.txt")
    )
    path = write(tmp_path, [("__index__", b"{}"), (folder, b""), *content])
    theirs = [
        {name: part for name, part in sample.items() if not name.startswith("__")}
        | {"": sample["__key__"]}
        for sample in webdataset.WebDataset(str(path), shardshuffle=False, empty_check=False)
    ]
    assert [sample.parts | {"": sample.key} for sample, _ in Shard(path)] == theirs
    assert len(theirs) == 5


def test_offsets_say_where_the_content_is(tmp_path):
    path = write(tmp_path, members("a", "b" * 150))  # a long name takes a header of its own
    content = path.read_bytes()
    for sample, _ in Shard(path):
        for suffix, part in sample.parts.items():
            start, size = sample.places[suffix]
            assert content[start : start + size] == part


def same_without_contents(whole):
    """Check that a pass over headers alone tells what a pass over contents tells."""
    passed, found = Shard(whole.path, contents=("txt",)), list(whole)
    short = list(passed)
    assert passed.report == whole.report
    for (full, row), (sample, same_row) in zip(found, short, strict=True):
        texts = {suffix: part for suffix, part in full.parts.items() if suffix == "txt"}
        assert (sample.key, sample.places, same_row) == (full.key, full.places, row)
        assert sample.parts == texts and sample.suffixes == full.suffixes


def test_contents_are_passed_over(tmp_path):
    large = [(f"{at}.jpg", b"x" * 300_000) for at in range(20)]
    path = write(tmp_path, [*large, *members("a", "b")])
    same_without_contents(Shard(path))
    before = read_bytes()
    assert len(list(Shard(path, contents=()))) == 22
    if before:
        assert read_bytes() - before < 400_000  # of 6,000,000


def read_bytes():
    """Return the number of bytes that this process has read, as Linux counts them."""
    counts = Path("/proc/self/io")
    return int(counts.read_text().split()[1]) if counts.is_file() else 0


def test_a_pass_can_be_repeated_and_left_early(tmp_path):
    reader = Shard(write(tmp_path, members("a", "b", "c")))
    assert next(iter(reader))[0].key == "a" and reader.report.samples == 1
    assert keys(reader) == keys(reader) == ["a", "b", "c"] and reader.report.samples == 3


@pytest.mark.parametrize("end", range(0, 512 * 21, 256))
def test_a_cut_shard_gives_its_whole_samples_and_says_so(tmp_path, end):
    path = write(tmp_path, members("a", "b", "c"))
    whole = path.read_bytes()
    assert len(whole) == 10240
    last = len(members("a", "b", "c")) * 1024  # a header and a block of content each
    path.write_bytes(whole[:end])
    reader = Shard(path)
    found = list(reader)
    # A sample is whole when the next one begins, or when it has the parts of the one before it.
    begun, full = end // 512 * 512 - 512, sum(end >= n * 3 * 1024 for n in (1, 2, 3))
    expected = ["a", "b", "c"][:full] if begun >= 3 * 1024 else []
    assert keys(found) == expected
    assert all(len(sample.parts) == 3 for sample, _ in found)
    assert bool(reader.report.damage) == (end < last + 512)
    assert not set(reader.report.cut) & set(expected)
    same_without_contents(reader)


def test_the_only_sample_of_a_cut_shard_is_not_trusted(tmp_path):
    path = write(tmp_path, members("a"))
    path.write_bytes(path.read_bytes()[: 3 * 1024])
    reader = Shard(path)
    assert keys(reader) == [] and reader.report.cut == ["a"]
    assert "ends at byte 3,072 without the mark of an end" in reader.report.damage


def test_a_broken_header_and_content_behind_the_end_are_damage(tmp_path):
    path = write(tmp_path, members("a", "b", "c"))
    whole = bytearray(path.read_bytes())
    broken = bytes(whole[: 6 * 1024]) + b"x" * 512 + bytes(whole[6 * 1024 + 512 :])
    path.write_bytes(broken)
    reader = Shard(path)
    assert keys(reader) == ["a", "b"]
    assert "lacks a member's header at byte 6,144" in reader.report.damage
    path.write_bytes(bytes(whole) + bytes(whole))  # two shards put together: tar reads the first
    reader = Shard(path)
    assert keys(reader) == ["a", "b", "c"]
    assert "content behind the end at byte 9,216" in reader.report.damage


@pytest.mark.parametrize("content", [b"", b"no tar at all" * 100, b"\x1f\x8b" + b"\0" * 600])
def test_what_is_no_tar_is_damage_too(tmp_path, content):
    path = tmp_path / "00000.tar"
    path.write_bytes(content)
    reader = Shard(path)
    assert keys(reader) == [] and "00000.tar is damaged at its start" in reader.report.damage
    assert ("it is compressed" in reader.report.damage) == content.startswith(b"\x1f\x8b")


def header(name, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (header("../evil.jpg"), "without '..'"),
        (header("a/../../evil.jpg"), "without '..'"),
        (header("/etc/evil.jpg"), "a relative path"),
        (header("a\\evil.jpg"), "backslashes"),
        (header("evil.jpg", tarfile.SYMTYPE, "/etc/hostname"), "a link"),
        (header("evil.jpg", tarfile.LNKTYPE, "good.jpg"), "a link"),
        (header("evil.jpg", tarfile.CHRTYPE), "a device"),
        (header("evil.jpg", tarfile.FIFOTYPE), "a pipe"),
        (header("nosuffix"), "lacks a key and a suffix"),
        (header(".hidden"), "lacks a key and a suffix"),
        (header("evil\udcff.jpg"), "not UTF-8"),
    ],
)
def test_hostile_members_are_refused_and_the_rest_is_read(tmp_path, member, reason):
    reader = Shard(write(tmp_path, [*members("good"), (member, b""), *members("next")]))
    assert keys(reader) == ["good", "next"]
    ((name, why),) = reader.report.refused
    assert name == member.name and reason in why
    assert not reader.report.damage and not reader.report.ok
    same_without_contents(reader)
    assert [path.name for path in tmp_path.iterdir()] == ["00000.tar"]


@pytest.mark.parametrize("kind", [b"x", b"L"])
def test_headers_that_ask_for_much_memory_are_damage(tmp_path, kind):
    long = tarfile.TarInfo("long")
    long.type = kind
    chain = b"".join([long.tobuf(tarfile.USTAR_FORMAT)] * 4000)  # each announces the next
    long.size = 8 << 20
    for evil in (chain, long.tobuf(tarfile.USTAR_FORMAT) + b"1" * long.size):
        path = write(tmp_path, members("a", "b"))
        path.write_bytes(path.read_bytes()[: 6 * 1024] + evil)
        reader = Shard(path)
        assert keys(reader) == ["a", "b"]
        assert "in or behind 'b.json'" in reader.report.damage
        assert "headers of more than" in reader.report.damage or evil is chain
        same_without_contents(reader)


def test_a_member_larger_than_the_limit_is_passed_over_unread(tmp_path):
    content = [*members("a"), ("b.jpg", b"x" * (3 << 20)), *members("c")]
    reader = Shard(write(tmp_path, content), max_bytes=1 << 20)
    assert keys(reader) == ["a", "c"] and [name for name, _ in reader.report.refused] == ["b.jpg"]
    assert not reader.report.damage


def test_a_sample_larger_than_the_limit_loses_the_part_that_breaks_it(tmp_path):
    content = [
        ("a.jpg", b"x" * 60),
        ("a.txt", b"y" * 50),
        ("b.jpg", b"x" * 101),
        ("c.jpg", b"x" * 100),
    ]
    reader = Shard(write(tmp_path, content), max_bytes=100)
    assert {sample.key: list(sample.parts) for sample, _ in reader} == {"a": ["jpg"], "c": ["jpg"]}
    assert [name for name, _ in reader.report.refused] == ["a.txt", "b.jpg"]
    assert "larger than 100 bytes" in reader.report.refused[0][1]
    headers = Shard(reader.path, max_bytes=100, contents=())
    assert keys(headers) == ["a", "c"] and headers.report == reader.report


def test_a_part_twice_and_a_key_that_comes_back_are_refused(tmp_path):
    content = [("a.jpg", b"1"), ("a.jpg", b"2"), ("b.jpg", b"3"), ("a.txt", b"4"), ("c.jpg", b"5")]
    reader = Shard(write(tmp_path, content))
    assert {sample.key: sample.parts for sample, _ in reader} == {
        "a": {"jpg": b"1"},
        "b": {"jpg": b"3"},
        "c": {"jpg": b"5"},
    }
    assert [why.split(",")[0] for _, why in reader.report.refused] == [
        "its sample has such a part already",
        "its key came before",
    ]
    same_without_contents(reader)


def test_the_parts_of_a_sample():
    picture = np.full((8, 9, 3), 200, np.uint8)
    sample = Sample(
        "a", {"txt": b" a grey square\n", "jpg": jpeg_bytes(picture), "json": b'{"url": "u"}'}
    )
    assert sample.caption() == "a grey square" and sample.notes() == {"url": "u"}
    assert sample.picture().size == (9, 8) and sample.picture().mode == "RGB"
    assert Sample("a", {}).notes() == {}


@pytest.mark.parametrize(
    ("parts", "read", "message"),
    [
        ({"v2.jpg": b""}, "picture", "got v2.jpg.*not have a dot"),
        ({"jpg": b"no picture"}, "picture", "picture of sample 'k' is not a picture"),
        ({}, "caption", "lacks a caption, k.txt"),
        ({"txt": b" \n"}, "caption", "sample 'k' is blank"),
        ({"txt": b"\xff"}, "caption", "not UTF-8"),
        ({"json": b"{"}, "notes", "k.json cannot be read"),
        ({"json": b"[" * 100_000}, "notes", "k.json cannot be read"),
        ({"json": b"[1]"}, "notes", r"must be an object, got \[1\]"),
    ],
)
def test_parts_that_cannot_be_read(parts, read, message):
    with pytest.raises(DamagedFileError, match=message):
        getattr(Sample("k", parts), read)()


def test_a_picture_that_unpacks_to_gigabytes_is_refused_before_it_does():
    with pytest.raises(RetrievalInputError, match="sample 'k' is too large"):
        Sample("k", {"png": bomb()}).picture()
    with pytest.raises(RetrievalInputError, match="10 x 10 pixels, at most 99"):
        Sample("k", {"jpg": jpeg_bytes(np.zeros((10, 10, 3), np.uint8))}).picture(max_pixels=99)


def test_a_caption_without_its_byte_order_mark_and_one_that_is_a_book():
    assert Sample("k", {"txt": b"\xef\xbb\xbfa red car\n"}).caption() == "a red car"
    with pytest.raises(DamagedFileError, match="must have at most 65,536 characters, got 70,000"):
        Sample("k", {"txt": b"x" * 70_000}).caption()


def test_a_missing_shard_and_a_bad_limit(tmp_path):
    with pytest.raises(MissingFileError, match=r"the shard .*nowhere\.tar is missing"):
        Shard(tmp_path / "nowhere.tar")
    with pytest.raises(RetrievalInputError, match="max_bytes"):
        Shard(write(tmp_path, members("a")), max_bytes=0)


def test_cut_keeps_the_first_bytes(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes(100))
    cut(path, 30)
    assert path.stat().st_size == 30


# ---- the tar beside its table


@pytest.fixture
def tar(tmp_path):
    return write_shard(tmp_path, 0, PICTURES, CAPTIONS, FAILED)


def test_three_of_five_links_gave_a_sample(tar):
    shard = Shard(tar)
    found = {sample.key: (row.caption, sample.caption(), row.url) for sample, row in shard}
    assert found == {
        f"00000000{i}": (f"caption {i}", f"caption {i}", f"https://example.org/0/{i}.jpg")
        for i in (0, 2, 4)
    }
    assert shard.rows["000000003"] == LinkRow(
        "failed_to_resize", "https://example.org/0/3.jpg", "caption 3", FAILURES["failed_to_resize"]
    )
    assert shard.report.ok and shard.report.rows == 5 and shard.successes == 3
    assert shard.report.text() == (
        "00000.tar: found 3 of 3 samples; 5 links, of them 1 failed_to_download, 1 failed_to_resize"
    )


def rewrite(tar, change):
    path = tar.with_suffix(".parquet")
    pq.write_table(change(pq.read_table(path)), path)


def test_rows_are_joined_by_key_whatever_their_order(tar):
    rewrite(tar, lambda table: table.take([4, 1, 0, 3, 2]))
    shard = Shard(tar)
    assert all(sample.caption() == row.caption for sample, row in shard) and shard.report.ok


def test_rows_without_samples_and_samples_without_rows(tar):
    other = write_shard(tar.parent / "other", 0, PICTURES, CAPTIONS, {0: "failed_to_download"})
    tar.write_bytes(other.read_bytes())  # has 1 to 4; the table has successes 0, 2, 4
    shard = Shard(tar)
    rows = {sample.key: row for sample, row in shard}
    assert [key for key, row in rows.items() if row is None] == ["000000001", "000000003"]
    report = shard.report
    assert report.without_row == ["000000001", "000000003"] and report.without_sample == [
        "000000000"
    ]
    assert not report.ok
    assert "1 downloaded according to the table, not in the tar: 000000000" in report.text()
    assert (
        "2 in the tar, not downloaded according to the table: 000000001, 000000003" in report.text()
    )


def test_a_cut_shard_is_told_by_its_table(tar):
    cut(tar, next(iter(Shard(tar)))[0].places["json"][0] + 2000)  # in the second sample
    report = check_shard(tar)
    assert report.damage and report.samples == 1 and len(report.without_sample) == 2
    assert "found 1 of 3 samples" in report.text() and "is incomplete and left out" in report.text()


def test_without_a_table_the_samples_are_read_all_the_same(tar):
    tar.with_suffix(".parquet").unlink()
    shard = Shard(tar)
    assert [row for _, row in shard] == [None] * 3
    assert (
        shard.report.ok
        and shard.report.text() == "00000.tar: found 3 samples; no table of the links"
    )


def test_statistics_are_compared_with_the_table(tar):
    path = tar.with_name("00000_stats.json")
    stats = json.loads(path.read_text())
    path.write_text(json.dumps(stats | {"successes": 4, "failed_to_resize": 0}))
    assert check_shard(tar).problems == [
        "00000_stats.json says 4 successes, the table has 3",
        "00000_stats.json says 0 failed_to_resize, the table has 1",
    ]
    path.write_text("{")
    assert "00000_stats.json cannot be read" in check_shard(tar).text()


def test_the_table_has_the_columns_of_img2dataset(tar):
    assert pq.read_schema(tar.with_suffix(".parquet")).equals(SCHEMA)
    (first, *_) = Shard(tar)
    assert list(first[0].notes()) == SCHEMA.names


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda table: table.take([0, 1, 1]),
            "row 2: keys must be distinct texts, got '000000001'",
        ),
        (lambda table: table.drop_columns(["status"]), "must have a column 'status'"),
        (None, "no Parquet file"),
    ],
)
def test_samples_are_read_when_the_table_cannot_be_used(tar, change, problem):
    if change is None:
        cut(tar.with_suffix(".parquet"), 500)
    else:
        rewrite(tar, change)
    shard = Shard(tar)
    assert [row for _, row in shard] == [None] * 3
    assert not shard.report.ok and "00000.parquet" in shard.report.problems[0]
    assert problem in shard.report.text() and not shard.report.without_row


def test_a_table_that_would_not_fit_is_not_read(tar, monkeypatch):
    monkeypatch.setattr(shards, "MAX_ROWS", 4)
    assert check_shard(tar).problems == ["00000.parquet has 5 rows, at most 4 are read"]


def test_a_long_list_of_refusals_is_cut_for_reading(tmp_path):
    report = check_shard(
        write_tar(tmp_path / "00000.tar", [(f"../{i}.jpg", b"") for i in range(7)])
    )
    assert len(report.refused) == 7 and report.text().count("refused '") == 5
    assert "refused 2 more members" in report.text()


def test_shards_of_a_folder(tar, tmp_path):
    write_shard(tmp_path, 11, PICTURES[:1], CAPTIONS[:1])
    assert [path.name for path in shard_paths(tmp_path)] == ["00000.tar", "00011.tar"]
    with pytest.raises(MissingFileError, match="no shards"):
        shard_paths(tmp_path / "nowhere")


def test_links_out_of_the_folder_are_refused(tar, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "00000.tar").symlink_to(tar)
    with pytest.raises(RetrievalInputError, match="by a link"):
        shard_paths(inner)
    (inner / "00000.tar").unlink()
    (inner / "00000.tar").write_bytes(tar.read_bytes())
    (inner / "00000.parquet").symlink_to(tar.with_suffix(".parquet"))
    with pytest.raises(RetrievalInputError, match="by a link"):
        Shard(inner / "00000.tar")
