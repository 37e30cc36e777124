"""Shards as img2dataset writes them, from pictures that are here: tar of successes, table of all
links.
"""

import io
import json
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from lib.core.writing import atomic_path, sha256_of
from lib.datasets.laion.shards import SUCCESS
from lib.datasets.miniatures.scene_pictures import QUALITY

SCHEMA = pa.schema(
    [("url", pa.string()), ("caption", pa.string()), ("key", pa.string()), ("status", pa.string())]
    + [("error_message", pa.string())]
    + [(name, pa.int32()) for name in ("width", "height", "original_width", "original_height")]
    + [("exif", pa.string()), ("sha256", pa.string())]
)
FAILURES = {
    "failed_to_download": "HTTP Error 404: Not Found",
    "failed_to_resize": "image decoding error",
}


def jpeg(picture: np.ndarray) -> bytes:
    """uint8 (height, width, 3) as JPEG, with the settings of the other miniatures."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=QUALITY, subsampling=0)
    return stream.getvalue()


def write_shard(
    folder: str | Path,
    number: int,
    pictures: Sequence[np.ndarray],
    captions: Sequence[str],
    failed: Mapping[int, str] | None = None,
) -> Path:
    """Writes `00000.tar`, `00000.parquet` and `00000_stats.json`; the same bytes each time.

    Args:
        folder: where to.
        number: of the shard; its keys begin with it.
        pictures: uint8 (height, width, 3), one per link.
        captions: one per link.
        failed: position of a link -> why it failed, a key of `FAILURES`; it gets a row but no
            sample.

    Returns:
        The path of the tar.
    """
    failed = failed or {}
    name, rows, members = f"{number:05d}", [], []
    for position, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        row = dict.fromkeys(SCHEMA.names)
        row |= {"url": f"https://example.org/{number}/{position}.jpg", "caption": caption}
        row |= {"key": f"{number:05d}{position:04d}", "status": failed.get(position, SUCCESS)}
        rows.append(row)
        if position in failed:
            row["error_message"] = FAILURES[failed[position]]
            continue
        content, (height, width) = jpeg(picture), picture.shape[:2]
        row |= {
            "width": width,
            "height": height,
            "original_width": width,
            "original_height": height,
        }
        row |= {"exif": "{}", "sha256": sha256_of(content)}
        parts = {
            "jpg": content,
            "txt": caption.encode(),
            "json": json.dumps(row, indent=4).encode(),
        }
        members += [(f"{row['key']}.{suffix}", part) for suffix, part in parts.items()]
    tar = write_tar(Path(folder) / f"{name}.tar", members)
    with atomic_path(tar.with_suffix(".parquet")) as path:
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
    found = Counter(row["status"] for row in rows)
    stats = {"count": len(rows), "successes": found[SUCCESS]} | {
        status: found[status] for status in FAILURES
    }
    stats |= {"duration": 1.0, "start_time": 0.0, "end_time": 1.0}
    stats["status_dict"] = {SUCCESS: found[SUCCESS]} | {
        FAILURES[s]: found[s] for s in FAILURES if found[s]
    }
    with atomic_path(tar.with_name(f"{name}_stats.json")) as path:
        path.write_text(json.dumps(stats, indent=4))
    return tar


def write_tar(path: str | Path, members: Sequence[tuple[str | tarfile.TarInfo, bytes]]) -> Path:
    """Writes members under their names, or with headers of your own, in the order given and without
    times.
    """
    with atomic_path(path) as temporary, tarfile.open(temporary, "w") as archive:
        for name, content in members:
            header = tarfile.TarInfo(name) if isinstance(name, str) else name
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return Path(path)


def cut(path: str | Path, size: int) -> None:
    """Ends a file early, as a download that broke off does: the first `size` bytes stay."""
    content = Path(path).read_bytes()
    with atomic_path(path) as temporary:
        temporary.write_bytes(content[:size])
