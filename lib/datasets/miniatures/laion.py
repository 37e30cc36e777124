"""Miniature of LAION: metadata in two schemas, shards as img2dataset writes them, damaged ones."""

import io
import json
import struct
import tarfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lib.core.writing import atomic_path, sha256_of
from lib.datasets import scenes
from lib.datasets.laion.shards import SUCCESS
from lib.datasets.miniatures.writing import Miniature, jpeg_bytes

N_LINKS, N_FAILED = (5, 50), (2, 3)  # of the two shards
TWIN = 7  # link of shard 1 that repeats the one before, picture and caption, as the web does
UPPER = "laion2B-en/part-00000-5114fd87-297e-42b0-9d11-50f1df323dfa-c000.snappy.parquet"
JOINED = "laion2B-en-joined/part-00000-fcd86c9b-36f4-49ff-bea1-8c9a0e029fb7-c000.snappy.parquet"
TEXTS = ("url", "caption", "key", "status", "error_message")
SIZES = ("width", "height", "original_width", "original_height")
SCHEMA = pa.schema(
    [(name, pa.string()) for name in TEXTS]
    + [(name, pa.int32()) for name in SIZES]
    + [("exif", pa.string()), ("sha256", pa.string())]
)
FAILURES = {
    "failed_to_download": "HTTP Error 404: Not Found",
    "failed_to_resize": "image decoding error",
}


def write_laion(root: Path) -> Miniature:
    """Write metadata, two good shards and two damaged ones; the same bytes each time.

        metadata/laion2B-en/part-00000-...parquet    upper-case columns, NaN, null texts, NSFW tags
        metadata/laion2B-en-joined/part-00000-...    hash, punsafe (one 0.99), pwatermark
        shards/00000.tar, .parquet, _stats.json      3 samples of 5 links
        shards/00001.tar, ...                        47 samples of 50 links, two with one caption
        damaged/00002.tar, ...                       cut in the middle; its table is whole
        damaged/00003.tar                            no table, and odd and hostile members

    The pictures are scenes of the test split with their full captions: a model of scenes can be
    evaluated on them.
    """
    _write_metadata(root / "metadata")
    drawn = scenes.sample("test", sum(N_LINKS) + 10)
    pictures, captions = scenes.render(drawn), [five[0] for five in scenes.captions(drawn)]
    first = slice(0, N_LINKS[0])
    failed = {1: "failed_to_download", 3: "failed_to_resize"}
    write_shard(root / "shards", 0, pictures[first], captions[first], failed)
    second = list(range(N_LINKS[0], sum(N_LINKS)))
    second[TWIN] = second[TWIN - 1]
    failed = {2: "failed_to_download", 20: "failed_to_download", 49: "failed_to_resize"}
    write_shard(root / "shards", 1, pictures[second], [captions[at] for at in second], failed)
    rest = slice(sum(N_LINKS), None)
    damaged = write_shard(root / "damaged", 2, pictures[rest], captions[rest])
    with tarfile.open(damaged) as archive:
        inside_a_picture = archive.getmember("000020005.jpg").offset_data + 100
    cut(damaged, inside_a_picture)
    hostile = _hostile_members(jpeg_bytes(pictures[0]), captions[0].encode())
    write_tar(root / "damaged" / "00003.tar", hostile)
    return Miniature({"shards": {"samples": sum(N_LINKS) - sum(N_FAILED)}})


def write_shard(
    folder: str | Path,
    number: int,
    pictures: Sequence[np.ndarray],
    captions: Sequence[str],
    failed: Mapping[int, str] | None = None,
) -> Path:
    """Write `00000.tar`, `00000.parquet` and `00000_stats.json`; the same bytes each time.

    Args:
        folder: the folder of the shards.
        number: the shard; its keys begin with it.
        pictures: uint8 (height, width, 3), one per link.
        captions: one per link.
        failed: position of a link -> a key of `FAILURES`; it gets a row but no sample.

    Returns:
        The path of the tar.
    """
    failed = failed or {}
    name, rows, members = f"{number:05d}", [], []
    for position, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        key, status = f"{name}{position:04d}", failed.get(position, SUCCESS)
        row = dict.fromkeys(SCHEMA.names)
        row |= {"url": f"https://example.org/{number}/{position}.jpg", "caption": caption}
        row |= {"key": key, "status": status, "error_message": FAILURES.get(status)}
        rows.append(row)
        if position not in failed:
            content, (height, width) = jpeg_bytes(picture), picture.shape[:2]
            row |= dict(zip(SIZES, (width, height, width, height)))
            row |= {"exif": "{}", "sha256": sha256_of(content)}
            parts = {"jpg": content, "txt": caption.encode()}
            parts["json"] = json.dumps(row, indent=4).encode()
            members += [(f"{key}.{suffix}", part) for suffix, part in parts.items()]
    tar = write_tar(Path(folder) / f"{name}.tar", members)
    with atomic_path(tar.with_suffix(".parquet")) as path:
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
    n_by_status = Counter(row["status"] for row in rows)
    stats = {"count": len(rows), "successes": n_by_status[SUCCESS]}
    stats |= {status: n_by_status[status] for status in FAILURES}
    stats |= {"duration": 1.0, "start_time": 0.0, "end_time": 1.0}
    errors = {error: n_by_status[s] for s, error in FAILURES.items() if n_by_status[s]}
    stats["status_dict"] = {SUCCESS: n_by_status[SUCCESS]} | errors
    with atomic_path(tar.with_name(f"{name}_stats.json")) as path:
        path.write_text(json.dumps(stats, indent=4))
    return tar


def write_tar(path: str | Path, members: Sequence[tuple[str | tarfile.TarInfo, bytes]]) -> Path:
    """Write members by name, or with headers of your own, in the order given, without times."""
    with atomic_path(path) as temporary, tarfile.open(temporary, "w") as archive:
        for name, content in members:
            header = tarfile.TarInfo(name) if isinstance(name, str) else name
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return Path(path)


def cut(path: str | Path, size: int) -> None:
    """Cut a file to its first `size` bytes, as an interrupted download does."""
    content = Path(path).read_bytes()
    with atomic_path(path) as temporary:
        temporary.write_bytes(content[:size])


def bomb(side: int = 50_000) -> bytes:
    """Make a PNG of a hundred bytes that claims `side` x `side` pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def _write_metadata(folder: Path) -> None:
    nan, n = float("nan"), 10
    texts = ["a red car", None, " ", "fünf Äpfel", "logo", "a wide banner", "a small icon", "nude"]
    texts += ["beach", "x"]
    similarities = [0.34, 0.33, 0.31, 0.30, 0.29, 0.36, 0.30, 0.32, 0.28, nan]
    upper = {
        "SAMPLE_ID": pa.array(range(1, n + 1), pa.int64()),
        "URL": [f"https://example.org/{i}.jpg" for i in range(n)],
        "TEXT": pa.array(texts, pa.string()),
        # float64 because one size is unknown, as in derived copies.
        "HEIGHT": pa.array([480.0, 480, 480, 300, 256, 100, 32, 600, 600, 480], pa.float64()),
        "WIDTH": pa.array([640.0, 640, 640, 400, nan, 1200, 32, 800, 800, 640], pa.float64()),
        "LICENSE": ["?"] * n,
        "NSFW": pa.array(["UNLIKELY"] * 6 + ["UNSURE", "NSFW", None, "UNLIKELY"], pa.string()),
        "similarity": pa.array(similarities, pa.float64()),
    }
    joined = {
        "URL": upper["URL"][:4],
        "TEXT": pa.array([*texts[:3], "five apples"], pa.string()),
        "WIDTH": pa.array([640, 640, 640, 400], pa.int32()),
        "HEIGHT": pa.array([480, 480, 480, 300], pa.int32()),
        "similarity": pa.array(similarities[:4], pa.float64()),
        "hash": pa.array([-8_021_334_502_111, 2**62, 17, -1], pa.int64()),
        "punsafe": pa.array([0.0001, 0.02, 0.4, 0.99], pa.float32()),
        "pwatermark": pa.array([0.1, 0.2, 0.95, 0.3], pa.float32()),
        "LANGUAGE": ["en", "en", "en", "de"],
    }
    for name, columns in ((UPPER, upper), (JOINED, joined)):
        (folder / name).parent.mkdir(parents=True)
        pq.write_table(pa.table(columns), folder / name, compression="snappy", row_group_size=4)


def _hostile_members(picture: bytes, caption: bytes) -> list[tuple[str | tarfile.TarInfo, bytes]]:
    """List members that are whole, odd or hostile; only the samples 0 and 9 can be used."""

    def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
        header = tarfile.TarInfo(name)
        header.type, header.linkname = kind, target
        return header

    key = "00003{:04d}".format
    return [
        (f"{key(0)}.jpg", picture),
        (f"{key(0)}.txt", caption),
        (f"{key(1)}.v2.jpg", picture),  # the key ends at the first dot: the part is "v2.jpg"
        (f"{key(1)}.v2.txt", caption),
        (f"{key(2)}.jpg", picture),
        (f"{key(2)}.txt", b""),  # img2dataset writes a null caption in this way
        (f"{key(3)}.png", bomb()),
        (f"{key(3)}.txt", caption),
        (f"../{key(4)}.jpg", picture),
        (f"/tmp/{key(5)}.jpg", picture),
        (link(f"{key(6)}.jpg", "/etc/hostname", tarfile.SYMTYPE), b""),
        (link(f"{key(7)}.jpg", f"{key(0)}.jpg", tarfile.LNKTYPE), b""),
        (f"{key(8)}.jpg", picture[: len(picture) // 2]),
        (f"{key(8)}.txt", caption),
        (f"{key(9)}.jpg", picture),
        (f"{key(9)}.txt", caption),
    ]
