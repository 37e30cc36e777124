"""Building and updating: what is encoded, kept and dropped; stops at any moment."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.core.writing import UnwritableFileError
from lib.search.collection import Collection, Columns, building, sources
from lib.search.collection.files import CollectionFolder
from tests.search.collection.conftest import ColourEncoder, paint

ROOT = Path(__file__).resolve().parents[3]


def paths(collection):
    return collection.table["path"].to_pylist()


def counts(report):
    return report.encoded, report.copied, report.unchanged, report.removed, len(report.failures)


def test_a_second_run_opens_nothing(build, pictures, encoder, tmp_path):
    assert counts(build(pictures)) == (9, 0, 0, 0, 0)
    assert counts(build(pictures)) == (0, 0, 9, 0, 0) and encoder.n_encoded == 9
    collection = Collection(tmp_path / "collection", verify=True)
    assert len(collection) == 9 and collection.manifest.finished
    assert paths(collection) == sorted(paths(collection))
    assert collection.ids.tolist() == list(range(9))


def test_new_changed_and_missing_pictures(build, pictures, encoder, tmp_path):
    build(pictures, step=4)
    before = Collection(tmp_path / "collection")
    kept = before.vectors(np.arange(9))
    (pictures / "red" / "red_0.png").unlink()
    paint(pictures / "green" / "green_0.png", "blue", shade=7)
    paint(pictures / "blue" / "new.png", "blue", shade=9)
    assert counts(build(pictures)) == (2, 0, 7, 2, 0) and encoder.n_encoded == 11
    after = Collection(tmp_path / "collection", verify=True)
    assert "red/red_0.png" not in paths(after) and "blue/new.png" in paths(after)
    assert after.ids.tolist() == sorted(after.ids.tolist()) and len(set(after.ids.tolist())) == 9
    # Rows that stayed have their id, their vector and their thumbnail.
    for item in set(before.ids.tolist()) & set(after.ids.tolist()):
        assert after.item(item) == before.item(item)
        assert np.array_equal(after.vectors([after.position(item)])[0], kept[before.position(item)])
        with Image.open(io.BytesIO(after.thumbnail(item))) as small:
            assert small.size == (32, 24)


def test_equal_content_is_encoded_once(build, pictures, encoder, tmp_path):
    content = (pictures / "red" / "red_0.png").read_bytes()
    (pictures / "a copy.png").write_bytes(content)
    assert counts(build(pictures)) == (9, 1, 0, 0, 0)
    (pictures / "moved.png").write_bytes(content)
    (pictures / "a copy.png").unlink()
    assert counts(build(pictures)) == (0, 1, 9, 1, 0) and encoder.n_encoded == 9
    collection = Collection(tmp_path / "collection")
    at = paths(collection).index("moved.png")
    assert collection.item(int(collection.ids[at]))["width"] == 32


def test_a_touched_file_keeps_its_row_and_is_read_once(build, pictures, tmp_path, monkeypatch):
    build(pictures)
    os.utime(pictures / "red" / "red_0.png", ns=(1, 1))
    assert counts(build(pictures)) == (0, 0, 9, 0, 0)
    Collection(tmp_path / "collection", verify=True)
    monkeypatch.setattr(Path, "read_bytes", None)
    assert counts(build(pictures)) == (0, 0, 9, 0, 0)


def test_a_caption_beside_a_known_picture_is_read_again(build, pictures, tmp_path):
    build(pictures)
    (pictures / "red" / "red_0.txt").write_text("a red wall")
    assert counts(build(pictures)) == (0, 0, 9, 0, 0)
    collection = Collection(tmp_path / "collection", verify=True)
    assert collection.table["caption"].to_pylist().count("a red wall") == 1
    (pictures / "red" / "red_0.txt").unlink()  # a table may have given it
    build(pictures)
    assert "a red wall" in Collection(tmp_path / "collection").table["caption"].to_pylist()


def test_other_sources_stay(build, pictures, tmp_path):
    build(pictures / "red")
    build(pictures / "blue")
    assert len(Collection(tmp_path / "collection")) == 6
    (pictures / "red" / "red_0.png").unlink()
    build(pictures / "blue")
    assert len(Collection(tmp_path / "collection")) == 6
    build(pictures / "red")
    assert len(Collection(tmp_path / "collection")) == 5


def test_bad_files_are_listed_and_stop_nothing(build, pictures, tmp_path):
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    (pictures / "empty.png").write_bytes(b"")
    (pictures / "link.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(pictures / "pipe.png")
    os.mkdir(pictures / "folder.png")
    paint(pictures / "unlucky.png", "red", size=(13, 13))
    paint(pictures / "large.png", "red", size=(300, 300))
    report = build(pictures, max_pixels=50_000)
    reasons = {failure.path: failure.reason for failure in report.failures}
    assert sorted(reasons) == [
        "broken.jpg", "empty.png", "large.png", "link.png", "pipe.png", "unlucky.png",
    ]  # fmt: skip
    assert "at most 50,000 are decoded" in reasons["large.png"]
    assert reasons["unlucky.png"] == "a picture of 13 x 13 pixels brings bad luck"
    told = {failure.path: failure.sentence for failure in report.failures}
    assert told["unlucky.png"] == "unlucky.png: a picture of 13 x 13 pixels brings bad luck"
    assert all(sentence.count(path) == 1 for path, sentence in told.items())
    assert report.encoded == 9
    again = build(pictures, max_pixels=50_000)
    assert counts(again) == (0, 0, 9, 0, 6)
    assert counts(build(pictures, max_pixels=100_000)) == (1, 0, 9, 0, 5)  # tried again
    (pictures / "broken.jpg").unlink()
    paint(pictures / "empty.png", "blue", shade=3)
    last = build(pictures, max_pixels=100_000)
    assert last.encoded == 1 and len(last.failures) == 3


def test_a_picture_that_breaks_leaves_the_collection(build, pictures, tmp_path):
    build(pictures)
    (pictures / "red" / "red_0.png").write_bytes(b"no picture")
    assert counts(build(pictures)) == (0, 0, 8, 1, 1)
    assert "red/red_0.png" not in paths(Collection(tmp_path / "collection"))


def test_another_model_is_refused_by_name(build, pictures):
    build(pictures)
    with pytest.raises(RetrievalInputError, match="its version is '1', this one's is '2'"):
        build(pictures, encoder=ColourEncoder("2"))


def test_sources_that_cannot_be(build, pictures, tmp_path):
    with pytest.raises(MissingFileError, match="nowhere is missing"):
        build(tmp_path / "nowhere")
    with pytest.raises(RetrievalInputError, match="lies in"):
        build(pictures, pictures / "red")
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(RetrievalInputError, match="must be a picture or a shard"):
        build(tmp_path / "notes.txt")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").write_text("years of work")
    with pytest.raises(RetrievalInputError, match="is no collection .it holds 'thesis.doc'"):
        build(pictures, out=tmp_path / "full")
    assert (tmp_path / "full" / "thesis.doc").read_text() == "years of work"


def test_a_collection_inside_its_source_is_not_indexed(build, pictures):
    assert build(pictures, out=pictures / "index").encoded == 9
    assert counts(build(pictures, out=pictures / "index")) == (0, 0, 9, 0, 0)


def shard(path, samples):
    with tarfile.open(path, "w") as archive:
        for name, content in samples:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_samples_of_a_shard(build, pictures, tmp_path):
    red, blue = ((pictures / c / f"{c}_0.png").read_bytes() for c in ("red", "blue"))
    folder = tmp_path / "shards"
    folder.mkdir()
    samples = [("000.png", red), ("000.txt", b"a red wall"), ("001.png", blue), ("002.txt", b"x")]
    shard(folder / "00000.tar", samples)
    report = build(folder)
    assert report.encoded == 2 and "sample '002' must have a picture" in report.failures[0].reason
    assert counts(build(folder))[:3] == (0, 0, 2)
    collection = Collection(tmp_path / "collection")
    assert collection.item(0)["caption"] == "a red wall" and collection.item(1)["member"] == "001"
    assert collection.content(1) == (blue, ".png")


def test_members_of_a_shard_that_are_refused_are_listed(build, pictures, tmp_path):
    red, blue = ((pictures / c / f"{c}_0.png").read_bytes() for c in ("red", "blue"))
    folder = tmp_path / "shards"
    folder.mkdir()
    names = "000.png", "../001.png", "/002.png", "000.png", "003.png", "000.jpg", "README"
    shard(folder / "0.tar", [(name, blue if name == "003.png" else red) for name in names])
    report = build(folder)
    assert [failure.member for failure in report.failures] == [
        "../001.png", "/002.png", "000.png", "000.jpg", "README",
    ]  # fmt: skip
    with open(folder / "0.tar", "r+b") as stream:
        stream.truncate(4 * 1024 + 600)
    report = build(folder)
    assert "0.tar is damaged" in report.failures[-2].reason, report.failures
    assert report.failures[-1].reason == "sample '003' is cut off" and report.rows == 1


def test_orientation_and_transparency(build, tmp_path):
    tall = Image.new("RGB", (40, 20), (200, 30, 30))
    exif = tall.getexif()
    exif[0x0112] = 6  # rotated by a quarter
    (tmp_path / "p").mkdir()
    tall.save(tmp_path / "p" / "tall.jpg", exif=exif)
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(tmp_path / "p" / "white.png")
    build(tmp_path / "p")
    collection = Collection(tmp_path / "collection")
    assert (collection.item(0)["width"], collection.item(0)["height"]) == (20, 40)
    white = np.array([255, 255, 255, 60]) / np.linalg.norm([255, 255, 255, 60])
    assert np.allclose(collection.vectors([1])[0], white, atol=1e-6)


def test_captions_and_columns(build, pictures, tmp_path):
    (pictures / "red" / "red_0.txt").write_text("beside\n")
    table = tmp_path / "facts.csv"
    table.write_text(
        "file,year,caption\nred_0.png,1999,from the table\nblue/blue_0.png,2001,\nx,1,y\n"
    )
    columns = Columns.read(table)
    build(pictures, columns=columns)
    assert columns.unused() == ["x"]
    collection = Collection(tmp_path / "collection")
    rows = {row["path"]: row for row in map(collection.item, collection.ids.tolist())}
    assert rows["red/red_0.png"]["caption"] == "from the table"
    assert rows["blue/blue_0.png"]["year"] == 2001 and rows["red/red_20.png"]["year"] is None
    table.write_text("file,year\nred_0.png,2024\n")
    assert counts(build(pictures, columns=Columns.read(table))) == (0, 0, 9, 0, 0)
    collection = Collection(tmp_path / "collection", verify=True)
    assert sorted(collection.table["year"].drop_null().to_pylist()) == [2024]


def test_captions_of_any_unicode_are_read_and_others_are_listed(build, pictures, tmp_path):
    red = pictures / "red"
    encodings = "utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-32-be"
    marks = {"utf-16-be": b"\xfe\xff", "utf-32-be": b"\0\0\xfe\xff"}
    written = sorted(pictures.glob("*/*.png"))[:6]
    for path, encoding in zip(written, encodings, strict=True):
        content = marks.get(encoding, b"") + "ein rötlicher Ton 🙂\n".encode(encoding)
        path.with_suffix(".txt").write_bytes(content)
    bad = {
        "red_0": ("rötlich".encode("latin-1"), "byte 1 cannot be read (invalid start byte)"),
        "red_20": ("red".encode("utf-16-le"), "it holds zero bytes. Save it as UTF-8"),
        "red_40": (b"x" * 65_537, "red_40.txt has more than 65,536 bytes; shorten it"),
    }
    for name, (content, _) in bad.items():
        (red / f"{name}.txt").write_bytes(content)
    (pictures / "plain").mkdir()
    paint(pictures / "plain" / "one.png", "red", shade=7)
    (pictures / "plain" / "one.txt").mkdir()  # a folder is no caption
    paint(pictures / "plain" / "two.png", "red", shade=8)
    os.mkfifo(pictures / "plain" / "two.txt")
    report = build(pictures)
    assert report.encoded == 11 and report.describe().endswith(
        "; 0 could not be read, and 4 captions"
    )
    told = {failure.path: failure for failure in report.failures}
    assert sorted(told) == ["plain/two.png", "red/red_0.png", "red/red_20.png", "red/red_40.png"]
    assert told["plain/two.png"].sentence == (
        "plain/two.png has no caption: two.txt is no plain file"
    )
    for name, (_, problem) in bad.items():
        assert problem in told[f"red/{name}.png"].sentence
    collection = Collection(tmp_path / "collection")
    rows = {row["path"]: row["caption"] for row in map(collection.item, collection.ids.tolist())}
    assert {rows[path.relative_to(pictures).as_posix()] for path in written} == {
        "ein rötlicher Ton 🙂"
    }
    assert not any(rows[path] for path in told)
    again = build(pictures)
    assert counts(again)[:3] == (0, 0, 11) and again.failures == report.failures
    (red / "red_0.txt").write_text("rötlich", encoding="utf-8")
    (red / "red_20.png").unlink()
    assert [f.path for f in build(pictures).failures] == ["plain/two.png", "red/red_40.png"]
    found = Collection(tmp_path / "collection")
    assert "rötlich" in found.table["caption"].to_pylist()


def test_captions_of_a_shard_are_decoded_or_listed(build, pictures, tmp_path):
    content = (pictures / "red" / "red_0.png").read_bytes()
    texts = "ein Rot".encode("utf-16"), "röt".encode("latin-1"), b"x" * 65_537
    members = [(f"{at}.png", content + bytes(at)) for at in range(3)]
    members = [m for at, text in enumerate(texts) for m in (members[at], (f"{at}.txt", text))]
    (tmp_path / "shards").mkdir()
    shard(tmp_path / "shards" / "0.tar", members)
    progress = []
    report = build(tmp_path / "shards", progress=progress.append)
    assert [(f.member, f.is_caption) for f in report.failures] == [("1.txt", True), ("2.txt", True)]
    assert report.failures[0].reason.startswith(
        "0.tar, sample 1, has no caption: 1.txt is no text in UTF-8"
    )
    collection = Collection(tmp_path / "collection")
    assert collection.table["caption"].to_pylist() == ["ein Rot", "", ""]
    assert sum(progress) == 3


def test_a_table_changes_the_pictures_of_its_run_alone(build, pictures, tmp_path):
    def columns(text):
        (tmp_path / "facts.csv").write_text(text)
        return Columns.read(tmp_path / "facts.csv")

    build(pictures / "red", columns=columns("file,year\nred_0.png,1999\n"))
    build(pictures / "blue", columns=columns("file,year\nblue_0.png,20.5\n"))
    found = Collection(tmp_path / "collection", verify=True).table["year"]
    assert sorted(found.drop_null().to_pylist()) == [20.5, 1999.0]
    manifest = CollectionFolder(tmp_path / "collection").read()
    with pytest.raises(RetrievalInputError, match="'year' holds string; for the pictures of other"):
        build(pictures / "green", columns=columns("file,year\ngreen_0.png,old\n"))
    assert CollectionFolder(tmp_path / "collection").read() == manifest
    all_three = [pictures / name for name in ("red", "green", "blue")]
    build(*all_three, columns=columns("file,year\ngreen_0.png,old\n"))
    found = Collection(tmp_path / "collection", verify=True).table["year"]
    assert found.drop_null().to_pylist() == ["old"]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.csv", "year\n1\n", "must have a column that names the picture"),
        ("a.csv", "file,id\nx,1\n", "has the column 'id', which a collection keeps itself"),
        ("a.csv", "file\nx\nx\n", "has two rows for 'x'"),
        ("a.csv", "file,year\nx,1\n,2\n", "got nothing as 'file' in row 2"),
        ("a.csv", "file,tag\nx,r\0\n", "it holds zero bytes. Save it as UTF-8"),
        ("a.json", '[{"file": "x", "tag": "r\0"}]', "it holds zero bytes"),
        ("a.json", "{}", "must hold a list of objects"),
        ("a.json", "[{", "is no table of the kind .json"),
        ("a.xls", "", "the suffix of"),
    ],
)
def test_tables_that_cannot_be(tmp_path, name, text, problem):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=problem):
        Columns.read(tmp_path / name)


def test_two_writers(build, pictures, tmp_path):
    build(pictures)
    folder = CollectionFolder(tmp_path / "collection")
    with folder.writing(), pytest.raises(UnwritableFileError, match="written by another process"):
        build(pictures)


def test_a_damaged_manifest_or_part(build, pictures, tmp_path):
    build(pictures)
    manifest = tmp_path / "collection" / "collection.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"dim": 4', '"dim": 5'))
    with pytest.raises(ValueError, match="is damaged"):
        Collection(tmp_path / "collection")
    manifest.write_text(text)
    (vectors,) = (tmp_path / "collection" / "parts").glob("*/vectors-*.npy")
    content = bytearray(vectors.read_bytes())
    content[-1] ^= 1
    vectors.write_bytes(content)
    with pytest.raises(ValueError, match=f"{re.escape(vectors.name)} is damaged"):
        Collection(tmp_path / "collection", verify=True)


def test_small_parts_are_joined(build, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "PART", 4)
    build(pictures, step=1)
    collection = Collection(tmp_path / "collection", verify=True)
    assert [part.rows for part in collection.manifest.parts] == [4, 4, 1]
    for item in range(9):
        colour = collection.item(item)["path"].partition("/")[0]
        with Image.open(io.BytesIO(collection.thumbnail(item))) as small:
            shown = small.convert("RGB").getpixel((3, 3))
        assert int(np.argmax(shown)) == ["red", "green", "blue"].index(colour)


def test_a_long_run_joins_its_parts_on_the_way(build, pictures, encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "PART", 4)
    for number, path in enumerate(sorted(pictures.rglob("*.png"))):  # equal ones come last
        (pictures / f"z{number}.png").write_bytes(path.read_bytes())
    sizes = []

    def note(n):
        if n:
            manifest = CollectionFolder(tmp_path / "collection").read()
            sizes.append([part.rows for part in manifest.parts])
            kept = {entry.name for entry in (tmp_path / "collection" / "parts").iterdir()}
            assert kept == {Path(part.folder).name for part in manifest.parts}

    report = build(pictures, step=2, progress=note)
    assert (report.encoded, report.copied) == (9, 9) and encoder.n_encoded == 9
    assert sizes[:4] == [[2], [2, 2], [4, 2], [4, 2, 2]] and sizes[-1] == [4, 4, 4, 4, 2]
    collection = Collection(tmp_path / "collection", verify=True)
    rows = {path: row for row, path in enumerate(paths(collection))}
    vectors = collection.vectors(np.arange(18))
    for number, path in enumerate(sorted(path for path in rows if not path.startswith("z"))):
        copy = rows[f"z{number}.png"]
        assert np.array_equal(vectors[copy], vectors[rows[path]])
        assert collection.thumbnail(copy) == collection.thumbnail(rows[path])


KILLED = """
import sys, time
from tests.search.collection.conftest import ColourEncoder, MODEL
from lib.search.collection import build_collection
class Slow(ColourEncoder):
    def encode_image(self, pictures):
        time.sleep(0.02)
        with open(sys.argv[3], "a") as log:
            log.write("".join(f"{p.size[0]}\\n" for p in pictures))
        return super().encode_image(pictures)
build_collection([sys.argv[1]], sys.argv[2], Slow(), MODEL, step=4, batch_size=2)
"""


@pytest.mark.slow
def test_kills_at_random_moments(tmp_path, encoder):
    """No row is lost that a manifest has named, and no such row is encoded again."""
    folder, out, log = tmp_path / "p", tmp_path / "c", tmp_path / "log"
    for i in range(60):
        paint(folder / f"{i:03d}.png", "red", size=(20 + i, 20))
    rng = np.random.default_rng(0)
    command = [sys.executable, "-c", KILLED, str(folder), str(out), str(log)]
    reported: set[str] = set()
    for _ in range(20):
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        start = time.monotonic()
        while not (out / "collection.json").exists() and time.monotonic() < start + 60:
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.5)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        now = set(paths(Collection(out, verify=True)))
        assert now >= reported
        reported = now
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    collection = Collection(out, verify=True)
    assert len(collection) == 60 and collection.manifest.finished
    # A step of four pictures can be encoded again after each kill, and no more.
    assert len(log.read_text().split()) <= 60 + 20 * 4
    names = {entry.name for entry in out.iterdir()}
    assert names == {"collection.json", "parts"}


def test_tables_of_parts_may_have_other_columns(build, pictures, tmp_path):
    table = tmp_path / "facts.csv"
    table.write_text("file,year\nred_0.png,1999\n")
    build(pictures / "red", columns=Columns.read(table))
    build(pictures / "blue")
    collection = Collection(tmp_path / "collection")
    assert collection.table["year"].null_count == 5 and isinstance(collection.table, pa.Table)


def test_an_endless_or_blocking_file_is_refused_at_once(build, pictures, tmp_path, monkeypatch):
    build(pictures)
    (pictures / "red" / "red_0.png").unlink()
    os.mkfifo(pictures / "red" / "red_0.png")
    collection = Collection(tmp_path / "collection")
    item = collection.ids[paths(collection).index("red/red_0.png")]
    with pytest.raises(MissingFileError, match="red_0.png is missing"):
        collection.content(int(item))
    with pytest.raises(RetrievalInputError, match="red_0.png is no plain file"):
        sources.read_file(pictures / "red" / "red_0.png")  # it took the place of a file meanwhile
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 10)
    with pytest.raises(RetrievalInputError, match="has more than 10 bytes"):
        sources.read_file(pictures / "red" / "red_20.png")


def _table(**columns):
    return pa.table({"path": ["red_0.png", "red_20.png"], **columns})


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (_table(x=pa.array([2**50, 1]).cast(pa.timestamp("s"))), "'x' of kind timestamp.s. cannot"),
        (_table(x=pa.array([2**31 - 1, 1], pa.int32()).cast(pa.date32())), "'x' of kind date32"),
        (
            pa.Table.from_arrays(
                [pa.array(["a"]), pa.array([1]), pa.array([2])], ["path", "x", "x"]
            ),
            "has two columns 'x'; rename one",
        ),
        (pa.table({"path": ["a", None]}), "got nothing as 'path' in row 2"),
    ],
)
def test_columns_that_could_not_be_read_back(table, problem):
    with pytest.raises(RetrievalInputError, match=problem):
        Columns(table, "facts")


def test_columns_of_all_objects_and_of_odd_kinds(build, pictures, tmp_path):
    (tmp_path / "a.json").write_text('[{"path": "red_0.png"}, {"path": "red_20.png", "x": 7}]')
    assert Columns.read(tmp_path / "a.json").table["x"].to_pylist() == [None, 7]
    (tmp_path / "a.csv").write_bytes(b"path,x\nred_0.png,caf\xe9\n")  # codespell:ignore
    with pytest.raises(RetrievalInputError, match="the column 'x' is not UTF-8 text"):
        Columns.read(tmp_path / "a.csv")
    columns = Columns(_table(x=pa.array(["a", None], pa.string_view())), "facts")
    build(pictures, columns=columns)
    assert Collection(tmp_path / "collection").kinds["x"] == "string"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_tables_of_any_unicode(tmp_path, encoding):
    rows = [{"key": "000012", "tag": "größer"}, {"key": "000013", "tag": "🙂"}]
    lines = {
        "a.csv": "key,tag\n" + "".join(f"{r['key']},{r['tag']}\n" for r in rows),
        "a.json": json.dumps(rows, ensure_ascii=False),
        "a.jsonl": "\n".join(json.dumps(row, ensure_ascii=False) for row in rows),
    }
    for name, text in lines.items():
        (tmp_path / name).write_bytes(text.encode(encoding))
        columns = Columns.read(tmp_path / name)
        assert list(columns.rows) == ["000012", "000013"], name
        assert columns.table["tag"].to_pylist() == ["größer", "🙂"], name


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.jsonl"])
def test_a_table_in_latin_1_is_refused(tmp_path, name):
    text = "key,tag\na,größer\n" if name == "a.csv" else '[{"key": "a", "tag": "größer"}]'
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=f"{name}.* UTF-8"):
        Columns.read(tmp_path / name)


def test_a_csv_keeps_names_as_texts_and_long_captions_of_several_lines(tmp_path):
    lines = [f'{at:07},"line\nof {at}"\n' for at in range(100_000)]
    long = "x" * (3 << 20)  # longer than a block of pyarrow
    (tmp_path / "a.csv").write_text("key,caption\n" + "".join(lines) + f'NA,"{long}"\n')
    columns = Columns.read(tmp_path / "a.csv")
    assert list(columns.rows)[:2] == ["0000000", "0000001"] and list(columns.rows)[-1] == "NA"
    assert columns.captions[99_999] == "line\nof 99999" and columns.captions[-1] == long


def test_an_empty_caption_in_a_table_keeps_the_one_beside(build, pictures, tmp_path):
    (pictures / "red" / "red_0.txt").write_text("beside")
    (tmp_path / "a.csv").write_text("file,caption\nred_0.png,\nred_20.png,007\n")
    build(pictures / "red", columns=Columns.read(tmp_path / "a.csv"))
    assert Collection(tmp_path / "collection").table["caption"].to_pylist() == ["beside", "007", ""]
