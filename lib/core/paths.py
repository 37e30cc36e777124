"""Folders of the project, and file names that stay inside a folder."""

import hashlib
import os
import re
from pathlib import Path

import pooch

from lib.core.checks import RetrievalInputError

LONGEST_NAME = 255  # bytes of a file's name, on nearly every system
LONGEST_STEM = 110  # bytes of a part; two of them and a suffix are one name

ROOT = Path(__file__).resolve().parents[2]  # of the checkout
PACKAGED = ROOT / "lib" / "data"  # exists in an installed wheel only


def data_dir() -> Path:
    """Return `$CROSSMODAL_DATA`, or the data folder of the wheel or of the checkout."""
    override = os.environ.get("CROSSMODAL_DATA")
    if override:
        return Path(override)
    return PACKAGED if PACKAGED.is_dir() else ROOT / "data"


def artifacts_dir() -> Path:
    """Return the folder of committed models, embeddings and results."""
    return data_dir() / "artifacts"


def cache_dir() -> Path:
    """Return `$CROSSMODAL_CACHE`, or the folder for files that can be computed again.

    Without the variable it is `cache/` in the data folder; for an installed wheel it is the cache
    folder that the system gives to each user.
    """
    override = os.environ.get("CROSSMODAL_CACHE")
    if override:
        return Path(override)
    return pooch.os_cache("crossmodal") if data_dir() == PACKAGED else data_dir() / "cache"


def relative_name(name: str | Path, root: str | Path) -> str:
    """Check that a name from a data file stays inside `root`; it is not looked up on disk."""
    name = str(name)
    drive = len(name) > 1 and name[1] == ":"  # C:/windows is absolute on Windows
    leaves = drive or name.startswith("/") or ".." in name.split("/")
    if not name or leaves or "\\" in name or "\0" in name:
        raise RetrievalInputError(
            f"the name {name!r:.100} must be a relative path inside {root}, without '..' and"
            " backslashes"
        )
    return name


def is_file_name(name: str) -> bool:
    """Return whether a file system can hold each part of a path; JSON can hold anything."""
    try:
        return all(len(part) <= LONGEST_NAME for part in os.fsencode(name).split(b"/"))
    except UnicodeEncodeError:  # an unpaired surrogate
        return False


def file_stem(text: str) -> str:
    """Make a part of a file name of a label: letters of any script, digits, dots, and dashes.

    A label that has none of these, or is long, ends with a checksum: two labels stay two files.
    """
    stem = re.sub(r"[^\w.]+", "-", text).strip("-.")
    if stem and len(stem.encode()) <= LONGEST_STEM:
        return stem
    digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    start = stem.encode()[: LONGEST_STEM - 9].decode(errors="ignore")
    return f"{start}-{digest}".removeprefix("-")


def path_inside(root: str | Path, relative: str | Path) -> Path:
    """Return the path of a name from a data file, which must not lead out of `root`.

    Args:
        root: the folder that holds the files.
        relative: the name, for example `"val2014/COCO_val2014_000000391895.jpg"`.

    Returns:
        `root / relative` with links followed. The file need not exist.
    """
    name = relative_name(relative, root)
    if not is_file_name(name):
        raise RetrievalInputError(
            f"the name {name!r:.80} cannot be that of a file: each part must be Unicode of at most"
            f" {LONGEST_NAME} bytes. Correct the list of files"
        )
    root = Path(root).resolve()
    path = (root / name).resolve()
    if path == root:
        raise RetrievalInputError(f"the name {name!r} is the folder {root} itself, not a file")
    if not path.is_relative_to(root):
        raise RetrievalInputError(
            f"the name {name!r} leads out of {root}, to {path}, by a link. Put the files inside, or"
            " mount their folder there"
        )
    return path
