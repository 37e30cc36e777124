"""Search videos by a hum of their music: the answer names the video and the second.

    search = open_video_search(paths)
    for hit in search.find(samples, k=5):
        print(hit.label, hit.start, hit.score)

Only the decoded sound of each file is used: no title, no pictures, no score.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lib.core.paths import cache_dir
from lib.core.reading import cached_arrays
from lib.core.writing import sha256_of
from lib.datasets.tunes import SungNotes
from lib.models.pitch.mix import hear_mix_file
from lib.models.pitch.track import STEP
from lib.search.melody.hum_search import HumSearch

FOLDER, VERSION = "melodies", 1  # in the cache; a change of the version hears every file anew


def open_video_search(
    paths: Sequence[str | Path],
    *,
    labels: Sequence[str] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> HumSearch:
    """Hear the melody in each video or sound file and open the search over them.

    What was heard, and its windows, are kept in the cache, by the content of the file.

    Args:
        paths: files that `read_waveform` reads, at most 10 minutes each.
        labels: a name for each; that of the file when None.
        progress: receives how many of how many are heard.

    Returns:
        A search whose hits have `start` and `end` in seconds of the file.
    """
    melodies = []
    for done, path in enumerate(paths, start=1):
        melodies.append(melody_of_file(path))
        progress(done, len(paths))
    names = [Path(path).name for path in paths] if labels is None else labels
    return HumSearch(melodies, labels=names, cached=True)


def melody_of_file(path: str | Path) -> SungNotes:
    """Return the contour of the melody in a file, from the cache or heard now, see `hear_mix`."""

    def make() -> dict[str, np.ndarray]:
        heard = hear_mix_file(path)
        return {"onsets": heard.onsets, "pitches": heard.pitches}

    key = f"{VERSION}-{sha256_of(path)[:24]}"
    arrays = cached_arrays(cache_dir() / FOLDER / f"{key}.npz", make, key)
    n = arrays["onsets"].size
    return SungNotes(arrays["onsets"], np.full(n, STEP), arrays["pitches"], Path(path).name)
