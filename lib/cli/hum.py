"""`crossmodal hum`: search folk tunes by a hummed melody, from a file or the microphone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from rich.markup import escape
from rich.table import Table
from typer import Argument, Option

from lib.cli.output import console, progress_bar, say, shown
from lib.core.checks import RetrievalInputError, check_number
from lib.core.reading import DamagedFileError
from lib.core.writing import atomic_path

if TYPE_CHECKING:
    from lib.models.pitch import Heard

LONGEST_RECORDING = 60.0
MORE_SUFFIXES = (".mov", ".m4v", ".wav", ".mp3", ".m4a", ".ogg", ".opus", ".flac")


def hum(
    file: Annotated[
        Path | None,
        Argument(help="A recording (wav, mp3, m4a, ...); with --record, where it is kept."),
    ] = None,
    record: Annotated[
        float | None, Option(help="Record so many seconds from the microphone first.")
    ] = None,
    k: Annotated[int, Option("-k", help="Number of tunes.")] = 10,
    start: Annotated[float, Option(help="Where the hum begins in the file, in seconds.")] = 0.0,
    essen: Annotated[
        bool, Option("--essen", help="Search 8,508 songs of Essen too (not for commercial use).")
    ] = False,
    videos: Annotated[
        Path | None,
        Option(help="Search the music of the videos and sounds in this folder instead of tunes."),
    ] = None,
    tracker: Annotated[
        str, Option(help="swift-f0, or autocorrelation, which needs no package.")
    ] = "swift-f0",
) -> None:
    """Find the folk tune, or with --videos the video, whose melody is hummed in a recording.

    Hum on "da" or "la", five seconds or more, from anywhere in a tune, in any key and tempo.
    """
    if (record is None) == (file is None) and record is None:
        raise RetrievalInputError("give a file, or --record SECONDS")
    if essen and videos is not None:
        raise RetrievalInputError("--essen adds tunes, --videos searches files: give one of them")
    from lib.models.pitch import hear_file, hear_melody
    from lib.search.melody import open_hum_search

    paths = [] if videos is None else video_files(videos)
    if record is None:
        check_number(start, "--start", 0)
        heard = hear_file(file, start=start, tracker=tracker)
    else:
        samples, rate = record_microphone(record, file)
        heard = hear_melody(samples, rate, tracker=tracker)
    describe_heard(heard)
    asked = "microphone" if file is None else shown(str(file))
    if videos is not None:
        return find_videos(heard, paths, videos, k, asked)
    search = open_hum_search(essen=essen, log=say_once)
    table = Table("rank", "off", "tune", "begins at", "from", "key", title=escape(asked))
    for hit in search.find(heard, k):
        tune = search.tunes[hit.position]
        place = f"{hit.start:.1f} s, note {hit.note + 1}"
        cells = f"{hit.off:.2f}", shown(tune.title), place, shown(tune.source), shown(tune.key)
        table.add_row(str(hit.rank), *map(escape, cells))
    console.print(table)
    say(
        f"Searched {search.n_items:,} tunes. Off: mean distance of the pitch in semitones, keys and"
        " tempo apart. Begins at: in the tune, whose median note takes 0.3 s"
    )


def video_files(folder: Path) -> list[Path]:
    """List the videos and sounds in a folder and below it, in the order of their paths."""
    from lib.datasets.media.files import VIDEO_SUFFIXES

    if not folder.is_dir():
        raise RetrievalInputError(f"--videos must be a folder, got {folder}")
    known = (*VIDEO_SUFFIXES, *MORE_SUFFIXES)
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in known]
    if not paths:
        raise RetrievalInputError(f"{folder} holds no file with one of {', '.join(known)}")
    return paths


def find_videos(heard: Heard, paths: list[Path], folder: Path, k: int, asked: str) -> None:
    """Print the files whose melody was hummed, and the second; those without one are named."""
    from lib.search.melody import HumSearch
    from lib.search.melody.videos import melody_of_file

    labels, melodies = [], []
    with progress_bar() as bar:
        row = bar.add_task("listening", total=len(paths))
        for path in paths:
            try:
                melodies.append(melody_of_file(path))
                labels.append(str(path.relative_to(folder)))
            except (RetrievalInputError, DamagedFileError) as error:
                say(f"left out: {shown(str(error), 300)}")
            bar.advance(row)
    if not melodies:
        raise RetrievalInputError(f"no file in {folder} has a melody that can be heard")
    search = HumSearch(melodies, labels=labels, cached=True)
    table = Table("rank", "off", "file", "from", "to", title=escape(asked))
    for hit in search.find(heard, k):
        cells = f"{hit.off:.2f}", shown(hit.label), f"{hit.start:.1f} s", f"{hit.end:.1f} s"
        table.add_row(str(hit.rank), *map(escape, cells))
    console.print(table)
    say(f"Searched the music of {len(melodies):,} files. Off: mean distance in semitones")


def say_once(line: str) -> None:
    """Say what takes a minute, and that it is kept."""
    say(f"{line}. It takes a minute; the next call finds them in the cache")


def describe_heard(heard: Heard) -> None:
    """Print what was heard, with doubts."""
    from lib.search.melody.hum_search import LONGEST

    low, high = np.percentile(heard.contour.pitches, [5, 95])
    notes = "" if heard.notes is None else f", {len(heard.notes)} notes"
    seconds = heard.contour.seconds
    say(f"heard: {seconds:.1f} s of melody{notes}, a range of {high - low:.0f} semitones")
    if seconds > LONGEST:
        say(f"Its first {LONGEST:g} s are searched; --start moves them")
    for remark in heard.remarks:
        say(remark)


def record_microphone(seconds: float, path: Path | None = None) -> tuple[np.ndarray, int]:
    """Record from the microphone, and keep it as a WAV file where a new path is given.

    Args:
        seconds: 2 to 60.
        path: a `.wav` that does not exist yet.

    Returns:
        float32 `(n, 1)` samples and their rate.
    """
    seconds = check_number(seconds, "--record", 2, LONGEST_RECORDING)
    if path is not None and (path.suffix.lower() != ".wav" or path.exists()):
        why = "exists already" if path.exists() else "is no .wav file"
        raise RetrievalInputError(
            f"with --record, FILE is where the recording is kept: {path} {why}. Give another name"
        )
    sounddevice = _sounddevice()
    try:
        rate = int(sounddevice.query_devices(kind="input")["default_samplerate"])
        say(f"Hum now, for {seconds:g} s")
        samples = sounddevice.rec(
            round(seconds * rate), samplerate=rate, channels=1, dtype="float32", blocking=True
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise RetrievalInputError(
            f"the microphone cannot be used: {error}. Record a file with another program, and give"
            " that"
        ) from error
    if path is not None:
        from scipy.io import wavfile

        with atomic_path(path, replace=False) as temporary:
            wavfile.write(temporary, rate, (np.clip(samples, -1, 1) * 32767).astype(np.int16))
        say(f"recording: {path}")
    return samples, rate


def _sounddevice():
    """Import and return sounddevice; the error says how to install it or what it lacks."""
    if importlib.util.find_spec("sounddevice") is None:
        raise RetrievalInputError(
            "--record needs the package sounddevice. Run: pip install"
            " 'crossmodal-retrieval[record]'. A recorded file needs no microphone here"
        )
    try:
        import sounddevice
    except OSError as error:  # on Linux the library is the system's
        raise RetrievalInputError(
            f"--record needs the library PortAudio: {error}. On Debian: apt-get install"
            " libportaudio2. A recorded file needs no microphone here"
        ) from error
    return sounddevice
