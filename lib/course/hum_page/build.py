"""Write the page that searches by a hum without a server."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.writing import atomic_path
from lib.course.explorables.page import json_in_html
from lib.datasets.tunes import Melody, load_tunes
from lib.datasets.tunes.collections import TITLES
from lib.search.melody.contours import times_of
from lib.search.service.app import PAGE as SERVED

FOLDER = Path(__file__).parent
NAME = "index.html"
REST, GOES_ON = 0, -1  # entries that are no notes
LONGEST = 255  # hundredths of a second of one entry
SCRIPTS = (
    SERVED / "sound.js",
    SERVED / "hum_view.js",
    FOLDER / "pitch.js",
    FOLDER / "search.js",
    FOLDER / "page.js",
)
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline';"
    " img-src data:; base-uri 'none'; form-action 'none'"
)
HTML = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Hum a tune</title>
<link rel="icon" href="data:,">
<style>
{styles}</style>
</head>
<body class="ps-page">
<main id="hum"></main>
<noscript>This page needs JavaScript: the search is written in it.</noscript>
<script type="text/plain" id="worklet">
{worklet}</script>
<script type="application/json" id="tunes">{tunes}</script>
<script type="module">
{scripts}</script>
</body>
</html>
"""


def build_hum_page(folder: str | Path, tunes: Sequence[Melody] | None = None) -> Path:
    """Write `index.html` into a folder, and return its path.

    Args:
        folder: made where it is missing; an older page in it is replaced.
        tunes: that are searched; the 4,433 free ones by default.
    """
    path = Path(folder) / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    text = HTML.format(
        policy=POLICY,
        styles="".join((SERVED / name).read_text("utf-8") for name in ("page.css", "hum.css")),
        worklet=(SERVED / "recorder_worklet.js").read_text("utf-8"),
        tunes=json_in_html(packed_tunes(load_tunes() if tunes is None else tunes)),
        scripts="\n".join(map(_joinable, SCRIPTS)),
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _joinable(path: Path) -> str:
    """Return a module without its imports and exports: all stand in one module."""
    text = re.sub(r"^import .*\n", "", path.read_text("utf-8"), flags=re.MULTILINE)
    return re.sub(r"^export ", "", text, flags=re.MULTILINE)


def packed_tunes(tunes: Sequence[Melody]) -> dict[str, Any]:
    """Pack tunes as two bytes a note: pitch, and length in hundredths of a second.

    The tempo is that at which a tune is hummed. Times are rounded from the beginning of a tune, so
    errors do not add up. A rest is an entry of pitch 0; a note that lasts longer than 2.55 s goes
    on in entries of pitch -1.

    Returns:
        `pitches` (int8) and `lengths` (uint8) in base64; `tunes`: title, source, key and number of
        entries of each; `books`: titles of the collections.
    """
    if not tunes:
        raise RetrievalInputError("tunes must hold at least one tune, got none")
    entries = [_entries(tune) for tune in tunes]
    both = np.concatenate(entries)
    return {
        "pitches": _in_base64(both[:, 0].astype(np.int8)),
        "lengths": _in_base64(both[:, 1].astype(np.uint8)),
        "tunes": [
            [tune.title, tune.source, tune.key, len(own)]
            for tune, own in zip(tunes, entries, strict=True)
        ],
        "books": TITLES,
    }


def _entries(tune: Melody) -> np.ndarray:
    """Return pitch and length of each entry of a tune, int64 `(n, 2)`."""
    onsets, end = times_of(tune)
    lengths = tune.durations * ((end - onsets[-1]) / tune.durations[-1])
    begins = np.rint(100 * onsets).astype(np.int64)
    ends = np.rint(100 * (onsets + lengths)).astype(np.int64)
    rests = np.append(begins[1:], ends[-1]) - ends
    rows = []
    for pitch, length, rest in zip(tune.pitches, ends - begins, rests, strict=True):
        for value, left in ((int(pitch), int(length)), (REST, int(rest))):
            pieces = [LONGEST] * (left // LONGEST) + [left % LONGEST] * (left % LONGEST > 0)
            later = GOES_ON if value else REST
            rows += [(value if at == 0 else later, piece) for at, piece in enumerate(pieces)]
    return np.array(rows, np.int64).reshape(-1, 2)


def _in_base64(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()
