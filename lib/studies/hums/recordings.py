"""Evaluate recorded hums as MIREX does: MIR-QBSH in a gallery of other tunes.

MIREX's task: 4,431 recordings, a gallery of the 48 songs and 2,000 songs of Essen. Its numbers: the
top-10 hit rate, and the mean reciprocal rank over the first 20 (2006).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.core.qrels import Qrels
from lib.core.reading import DamagedFileError
from lib.datasets.tunes import ESSEN, Melody, SungNotes, load_tunes
from lib.datasets.tunes.mir_qbsh import PV_FRAME, SungCorpus, load_mir_qbsh, read_pitch_labels
from lib.metrics import Evaluation, evaluate
from lib.models.pitch import contour_of, hear_file
from lib.search.melody import HumSearch, first_seconds
from lib.studies.hums.from_sound import found_ids

SOURCES = ("sound", "labels")
N_NOISE = 2000  # tunes beside the songs
DEPTH = 20  # of the reciprocal rank
SECONDS = 8.0  # of a recording


@dataclass(frozen=True, eq=False)
class MirexResult:
    """MIREX's numbers on one corpus.

    Args:
        evaluation: `R@10` and `MRR`, over the first 20 tunes; intervals by singer.
        corpus: what was searched for.
        gallery: its description.
        refused: recordings in which no melody was heard, with the reason; they find nothing.
    """

    evaluation: Evaluation
    corpus: SungCorpus
    gallery: str
    refused: dict[Path, str]

    def format_rows(self) -> list[dict]:
        """Return both numbers as rows of text."""
        rows = []
        for metric, name in (("R@10", "top-10 hit rate"), ("MRR", f"MRR over the first {DEPTH}")):
            low, high = self.evaluation.interval(metric)
            value = f"{self.evaluation.mean(metric):.3f}"
            rows.append(
                {"metric": name, "value": value, "95% interval": f"{low:.3f} to {high:.3f}"}
            )
        return rows


def evaluate_recordings(
    root: str | Path,
    *,
    source: str = "sound",
    n_noise: int = N_NOISE,
    essen: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> MirexResult:
    """Search for the songs of MIR-QBSH by its recordings.

    Args:
        root: the folder that holds `midiFile` and `waveFile`.
        source: `"sound"`, heard by swift-f0, or `"labels"`, the pitch that people labelled; only
            recordings that have labels are then used.
        n_noise: tunes beside the songs, spread evenly over those that there are.
        essen: take them from Essen, as MIREX does; for non-commercial use. By default they are the
            free tunes, which are other music.
        progress: receives how many of how many recordings are heard.
    """
    check_choice(source, SOURCES, "source")
    corpus = load_mir_qbsh(root)
    noise = noise_tunes(n_noise, essen)
    gallery = [as_sung(song) for song in corpus.songs] + list(noise)
    chosen = np.arange(len(corpus))
    if source == "labels":
        chosen = np.flatnonzero([path is not None for path in corpus.labels])
        if not chosen.size:
            raise RetrievalInputError(
                f"no recording in {root} has labels, a .pv beside its .wav. Use source='sound'"
            )
    queries: list[SungNotes | None] = []
    refused: dict[Path, str] = {}
    for done, at in enumerate(chosen.tolist(), start=1):
        try:
            queries.append(first_seconds(_contour(corpus, at, source), SECONDS))
        except (RetrievalInputError, DamagedFileError) as error:
            refused[corpus.recordings[at]] = str(error)
            queries.append(None)
        progress(done, chosen.size)
    search = HumSearch(gallery, start="beginning")
    ids = found_ids(search, queries, min(DEPTH, len(gallery)))
    shape = len(queries), len(gallery)
    qrels = Qrels.from_pairs(np.arange(len(queries)), corpus.song_of[chosen], shape=shape)
    singers = np.array(corpus.singers)[chosen]
    result = evaluate(ids, qrels, metrics=("R@10", "MRR"), groups=singers)
    kind = "songs of Essen" if essen else "free tunes"
    described = f"{len(corpus.songs)} songs and {len(noise):,} {kind}"
    return MirexResult(result, corpus, described, refused)


def noise_tunes(n: int, essen: bool) -> tuple[Melody, ...]:
    """Return n tunes, spread evenly over the collection."""
    tunes = load_tunes((ESSEN,)) if essen else load_tunes()
    n = check_count(n, "n_noise", least=0, most=len(tunes))
    return tuple(tunes[at] for at in np.linspace(0, len(tunes) - 1, n).round().astype(int))


def as_sung(song: Melody) -> SungNotes:
    """Return a song at the tempo of its file, which is that of the singers."""
    onsets, durations = song.seconds()
    return SungNotes(onsets, durations, song.pitches, song.source)


def _contour(corpus: SungCorpus, at: int, source: str) -> SungNotes:
    if source == "labels":
        return contour_of(read_pitch_labels(corpus.labels[at]), frame=PV_FRAME)
    return hear_file(corpus.recordings[at]).contour
