"""MIR-QBSH: children's songs as people sang them, the test set of MIREX's hum search.

Layout of the corpus, as its authors publish it:

    midiFile/00001.mid ...              48 songs, one melody each
    midiFile/songList.txt               file, English and Chinese title, number of recordings; Big5
    waveFile/year2003a/person00001/00014.wav    8 seconds of song 14, 8 kHz, 8 bits
    waveFile/year2003a/person00001/00014.pv     its pitch, labelled by hand

4,431 recordings; all begin at the beginning of the song. Nothing of it is here: a user names the
folder.

Source: J.-S. R. Jang, MIR-QBSH corpus, MIR Lab, National Tsing Hua University.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.core.reading import DamagedFileError, MissingFileError, reading
from lib.datasets.tunes.melody import HIGHEST, Melody
from lib.datasets.tunes.midi_files import read_midi

NAME = "MIR-QBSH"
PV_FRAME = 256 / 8000  # seconds
MOST_FRAMES = 20_000  # of one file, 10 minutes
N_SONGS, N_RECORDINGS = 48, 4431  # of the whole corpus
ADVICE = "Give the folder that holds midiFile and waveFile"


@dataclass(frozen=True, eq=False, repr=False)
class SungCorpus:
    """Songs, and recordings of people who sing them.

    Args:
        songs: the melodies; `title` is that of the song list where there is one.
        song_ids: name of each song's file, such as `"00014"`.
        recordings: paths of the sounds.
        labels: path of the labelled pitch of each recording; None where there is none.
        song_of: int64 `(n_recordings,)`, position of the song that is sung.
        singers: name of each recording's singer, such as `"year2003a/person00001"`.
    """

    songs: tuple[Melody, ...]
    song_ids: tuple[str, ...]
    recordings: tuple[Path, ...]
    labels: tuple[Path | None, ...]
    song_of: np.ndarray
    singers: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.recordings)

    @property
    def is_whole(self) -> bool:
        """Return whether songs and recordings are as many as published."""
        return (len(self.songs), len(self)) == (N_SONGS, N_RECORDINGS)

    def describe(self) -> str:
        """Describe the corpus in one line."""
        labelled = sum(path is not None for path in self.labels)
        line = (
            f"{NAME}: {len(self):,} recordings by {len(set(self.singers)):,} singers, {labelled:,}"
            f" with labelled pitch, of {len(self.songs)} songs"
        )
        expected = f" (published: {N_RECORDINGS:,} recordings of {N_SONGS} songs)"
        return line if self.is_whole else line + expected

    def __repr__(self) -> str:
        return f"SungCorpus({self.describe()})"


def load_mir_qbsh(root: str | Path) -> SungCorpus:
    """Load the songs of MIR-QBSH and find its recordings; sounds are read later.

    Args:
        root: the folder that holds `midiFile` and `waveFile`.
    """
    root = Path(root)
    midi, waves = root / "midiFile", root / "waveFile"
    paths = sorted(midi.glob("*.mid"))
    if not paths:
        raise MissingFileError(f"{midi} holds no .mid file. {ADVICE}")
    titles = read_titles(midi / "songList.txt")
    songs = []
    for path in paths:
        song = read_midi(path)
        songs.append(
            Melody(song.onsets, song.durations, song.pitches, titles.get(path.stem, path.stem),
                   song.source, song.key, song.tempo)
        )  # fmt: skip
    position = {path.stem: at for at, path in enumerate(paths)}
    recordings = sorted(waves.glob("*/*/*.wav"))
    if not recordings:
        raise MissingFileError(f"{waves} holds no year*/person*/*.wav. {ADVICE}")
    unknown = [path for path in recordings if path.stem not in position]
    if unknown:
        raise DamagedFileError(
            f"{unknown[0]} is named after no song: {midi / unknown[0].stem}.mid is missing."
            " Restore it, or move the recording away"
        )
    labels = [path.with_suffix(".pv") for path in recordings]
    return SungCorpus(
        songs=tuple(songs),
        song_ids=tuple(position),
        recordings=tuple(recordings),
        labels=tuple(path if path.is_file() else None for path in labels),
        song_of=np.array([position[path.stem] for path in recordings]),
        singers=tuple(str(path.parent.relative_to(waves).as_posix()) for path in recordings),
    )


def read_titles(path: Path) -> dict[str, str]:
    """Read the titles of the song list, the English one first; empty where there is no list."""
    if not path.is_file():
        return {}
    titles = {}
    for line in path.read_bytes().decode("big5", "replace").splitlines():
        name, *others = (part.strip() for part in line.split("\t"))
        known = [title for title in others[:2] if title not in ("", "-")]
        if name and known:
            titles[name.removesuffix(".mid")] = known[0]
    return titles


def read_pitch_labels(path: str | Path) -> np.ndarray:
    """Read a `.pv` file: one MIDI number a line every 32 ms; 0, no voice, becomes NaN."""
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. {ADVICE}")
    advice = "A .pv file holds one MIDI number a line, 0 where nothing is sung"
    with reading(path, "no .pv file", advice):
        words = path.read_bytes()[: 2**20].decode("ascii").split()
        pitches = np.array([float(word) for word in words])
    if not 0 < pitches.size <= MOST_FRAMES:
        raise DamagedFileError(
            f"{path} must hold 1 to {MOST_FRAMES:,} numbers, got {pitches.size:,}. {advice}"
        )
    wrong = np.flatnonzero(~((pitches >= 0) & (pitches <= HIGHEST)))
    if wrong.size:
        raise DamagedFileError(
            f"{path}, number {wrong[0] + 1}, must lie in 0..{HIGHEST}, got {pitches[wrong[0]]:g}."
            f" {advice}"
        )
    return np.where(pitches > 0, pitches, np.nan)
