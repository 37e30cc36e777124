"""A miniature of LAION: metadata in two schemas, shards as img2dataset writes them, and damaged
ones.
"""

import struct
import tarfile
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lib.core.writing import atomic_folder
from lib.datasets import scenes
from lib.datasets.completeness import write_miniature_card
from lib.datasets.laion import NAME, SPLITS
from lib.datasets.miniatures.img2dataset import cut, jpeg, write_shard, write_tar

N_LINKS = (5, 50)  # of the shards
N_FAILED = (2, 3)
TWIN = (
    7  # link of shard 1 that repeats the one before, picture and caption, as much of the web does
)
UPPER = "laion2B-en/part-00000-5114fd87-297e-42b0-9d11-50f1df323dfa-c000.snappy.parquet"
JOINED = "laion2B-en-joined/part-00000-fcd86c9b-36f4-49ff-bea1-8c9a0e029fb7-c000.snappy.parquet"


def write_miniature(folder: str | Path) -> None:
    """Writes the miniature of LAION; the same bytes each time.

        metadata/laion2B-en/part-00000-...parquet     upper-case columns, NaN width, null text, NSFW
        tags
        metadata/laion2B-en-joined/part-00000-...     hash, punsafe (one 0.99), pwatermark
        shards/00000.tar, .parquet, _stats.json       3 samples of 5 links
        shards/00001.tar, ...                         47 samples of 50 links, two with one caption
        damaged/00002.tar, ...                        cut in the middle; its table is whole
        damaged/00003.tar                             no table, and every trap that a member can be

    The pictures are scenes of the test split, each with its full caption, so that a model of ours
    can be evaluated on them.

    Args:
        folder: replaced as a whole if it is there.
    """
    with atomic_folder(folder) as room:
        _write_metadata(room / "metadata")
        drawn = scenes.sample("test", sum(N_LINKS) + 10)
        pictures, captions = scenes.render(drawn), [five[0] for five in scenes.captions(drawn)]
        first = slice(0, N_LINKS[0])
        failed = {1: "failed_to_download", 3: "failed_to_resize"}
        write_shard(room / "shards", 0, pictures[first], captions[first], failed)
        second = list(range(N_LINKS[0], sum(N_LINKS)))
        second[TWIN] = second[TWIN - 1]
        failed = {2: "failed_to_download", 20: "failed_to_download", 49: "failed_to_resize"}
        write_shard(room / "shards", 1, pictures[second], [captions[i] for i in second], failed)
        rest = slice(sum(N_LINKS), None)
        broken = write_shard(room / "damaged", 2, pictures[rest], captions[rest])
        with tarfile.open(broken) as archive:
            inside = archive.getmember("000020005.jpg").offset_data + 100
        cut(broken, inside)
        write_tar(room / "damaged" / "00003.tar", _traps(jpeg(pictures[0]), captions[0].encode()))
        samples = sum(N_LINKS) - sum(N_FAILED)
        write_miniature_card(room, NAME, {split: {"samples": samples} for split in SPLITS})


def _write_metadata(folder: Path) -> None:
    nan, n = float("nan"), 10
    text = [
        "a red car",
        None,
        " ",
        "fünf Äpfel",
        "logo",
        "a wide banner",
        "a small icon",
        "nude",
        "beach",
        "x",
    ]
    upper = {
        "SAMPLE_ID": pa.array(range(1, n + 1), pa.int64()),
        "URL": [f"https://example.org/{i}.jpg" for i in range(n)],
        "TEXT": pa.array(text, pa.string()),
        # As in derived copies: float64, because one is not known.
        "HEIGHT": pa.array([480.0, 480, 480, 300, 256, 100, 32, 600, 600, 480], pa.float64()),
        "WIDTH": pa.array([640.0, 640, 640, 400, nan, 1200, 32, 800, 800, 640], pa.float64()),
        "LICENSE": ["?"] * n,
        "NSFW": pa.array(["UNLIKELY"] * 6 + ["UNSURE", "NSFW", None, "UNLIKELY"], pa.string()),
        "similarity": pa.array(
            [0.34, 0.33, 0.31, 0.30, 0.29, 0.36, 0.30, 0.32, 0.28, nan], pa.float64()
        ),
    }
    joined = {
        "URL": upper["URL"][:4],
        "TEXT": pa.array([*text[:3], "five apples"], pa.string()),
        "WIDTH": pa.array([640, 640, 640, 400], pa.int32()),
        "HEIGHT": pa.array([480, 480, 480, 300], pa.int32()),
        "similarity": pa.array([0.34, 0.33, 0.31, 0.30], pa.float64()),
        "hash": pa.array([-8_021_334_502_111, 2**62, 17, -1], pa.int64()),
        "punsafe": pa.array([0.0001, 0.02, 0.4, 0.99], pa.float32()),
        "pwatermark": pa.array([0.1, 0.2, 0.95, 0.3], pa.float32()),
        "LANGUAGE": ["en", "en", "en", "de"],
    }
    for name, columns in ((UPPER, upper), (JOINED, joined)):
        (folder / name).parent.mkdir(parents=True)
        pq.write_table(pa.table(columns), folder / name, compression="snappy", row_group_size=4)


def _traps(picture: bytes, caption: bytes) -> list[tuple[str | tarfile.TarInfo, bytes]]:
    """Members of a shard that are whole, odd or hostile; of all samples, 0 and 9 alone can be
    used.
    """

    def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
        header = tarfile.TarInfo(name)
        header.type, header.linkname = kind, target
        return header

    key = "00003{:04d}".format
    return [
        (f"{key(0)}.jpg", picture),
        (f"{key(0)}.txt", caption),
        (
            f"{key(1)}.v2.jpg",
            picture,
        ),  # a dot in the key: the sample is "000030001", its part "v2.jpg"
        (f"{key(1)}.v2.txt", caption),
        (f"{key(2)}.jpg", picture),
        (f"{key(2)}.txt", b""),  # what img2dataset writes for a null caption
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


def bomb(side: int = 50_000) -> bytes:
    """A PNG of a hundred bytes that claims `side` x `side` pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )
