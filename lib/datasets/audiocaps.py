"""AudioCaps: ten seconds of a video's sound each, described by people who only listened."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from lib.core.checks import RetrievalInputError, check_choice, whole_number_of
from lib.datasets.annotations import (
    Record,
    captioned_media,
    entries_of,
    field_of,
    find_file,
    read_json,
    require_file,
)
from lib.datasets.audio_video import SOUND_SUFFIXES
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import published_counts
from lib.datasets.csv_files import read_table
from lib.datasets.media.files import VIDEO_SUFFIXES, AudioFiles, find_names

NAME = "audiocaps"
SPLITS = ("test", "val", "train")
CAPTIONS = ("all", "2.0", "WavCaps")
# Rows: dataset/README.md (whose 2,476 and 4,876 count the header line) and dataset2.0/README.md of
# cdjkim/audiocaps. Clips: README.md of xieh97/audiocaps-dl. 957: recalled from the papers.
PUBLISHED = {
    "test": {
        "sounds": 975,
        "captions": 4_875,
        "sounds, WavCaps": 957,
        "captions, WavCaps": 4_785,
    },
    "val": {"sounds": 495, "captions": 2_475},
    "train": {"sounds": 49_838, "captions": 49_838, "captions, 2.0": 91_256},
}
HEADER = ("audiocap_id", "youtube_id", "start_time", "caption")
FIRST, SECOND = "dataset", "dataset2.0"  # the folders of the two releases
WAVCAPS = "test.json"
WAVCAPS_FOLDERS = ("json_files", "retrieval/data/AudioCaps/json_files")
SECONDS = 10  # of every clip
SUFFIXES = (*SOUND_SUFFIXES, ".opus", *VIDEO_SUFFIXES)
_N_TEXTS = 5  # of each clip in WavCaps's list
_ID_LENGTH = 11  # of YouTube


@dataclass(frozen=True)
class _Clip:
    """One clip: its video, its texts with their ids, and, if stated, its first second.

    `numbers` are the ids of its captions in `test.csv`, under which one program stores copies.
    """

    video: str
    texts: tuple[tuple[str, str], ...]
    start: int | None = None
    numbers: tuple[str, ...] = ()


def load_audiocaps(
    root: str | Path,
    split: str = "test",
    *,
    captions: str = "all",
    trimmed: bool = True,
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load the clips of one split and their captions, for retrieval between text and sound.

    | captions | test clips, texts | from |
    | --- | --- | --- |
    | `"all"` | 975, 4,875 | `test.csv` of the first release |
    | `"2.0"` | 975, 4,875 | the second release: other words in places, and more for training |
    | `"WavCaps"` | 957, 4,785 | WavCaps's list, of the test split: clips that were still there |

    Args:
        root: holds `test.csv`, `val.csv`, `train.csv` (or has them in `dataset/`, and the second
            release in `dataset2.0/`), for WavCaps's list `test.json` (or has it in `json_files/`),
            and the sounds in `audio/`, `audio/<split>/`, `waveforms/<split>/`, `<split>/` or
            `audio_32000Hz/<split>/`, as `<youtube id>_<start>`, `Y<youtube id>`, `<youtube id>` or
            `<audiocap id>` with .wav, .flac, .mp3, .ogg, .opus, .m4a or the suffix of a film.
        split: `"test"`, on which papers report, `"val"` or `"train"`.
        captions: the release, or the list.
        trimmed: True if the files are the clips; False if they are the sounds of whole videos.
        allow_partial: evaluate the clips that exist. Many left YouTube; the result says how many.
        need_media: False reads the annotations alone.

    Returns:
        Item ids are YouTube's, with `_<start>` where a video has several clips. Text ids are the
        file's `audiocap_id`; WavCaps's list has none, which gives `"7fmOlUlwoNg#1"`.

    Reference: Kim et al. 2019, "AudioCaps: generating captions for audios in the wild"; Mei et al.
    2024, "WavCaps".
    """
    check_choice(split, SPLITS, "split")
    check_choice(captions, CAPTIONS, "captions")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    expected = _expected(published, split, captions)
    clips = _read_list(root) if captions == "WavCaps" else _read_release(root, split, captions)
    if not trimmed and any(clip.start is None for clip in clips):
        raise RetrievalInputError(
            "WavCaps's list states no times: put test.csv beside it, or leave trimmed=False out"
        )
    item_ids, names = _ids(clips), _files(root, split, clips)
    records = [Record(*one) for one in zip(names, item_ids, (clip.texts for clip in clips))]
    times = None if trimmed else [(clip.start, clip.start + SECONDS) for clip in clips]
    return captioned_media(
        records,
        root,
        partial(AudioFiles, segments=times),
        name=label,
        split=split,
        modality="audio",
        published=expected,
        captions=captions,
        datasheet=NAME,
        allow_partial=allow_partial,
        need_media=need_media,
    )


def _expected(published: dict, split: str, captions: str) -> dict:
    """Choose the published counts of a release; nobody has published the clips of train, 2.0."""
    if captions == "WavCaps" and "sounds, WavCaps" not in published:
        raise RetrievalInputError(f"split must be 'test' for captions 'WavCaps', got {split!r}")
    numbers = {what: published[what] for what in ("sounds", "captions")}
    if f"captions, {captions}" in published:
        numbers = {what: published.get(f"{what}, {captions}") for what in numbers}
    return numbers


def _read_release(root: Path, split: str, captions: str) -> list[_Clip]:
    """Read `audiocap_id,youtube_id,start_time,caption`; rows of one clip need not be adjacent."""
    name = f"{split}.csv"
    path = find_file(root, f"{SECOND}/{name}") if captions == "2.0" else None
    path = path or require_file(root, name, (SECOND if captions == "2.0" else FIRST,), NAME)
    texts: dict[tuple[str, int], list[tuple[str, str]]] = {}
    for line, row in read_table(path, HEADER):
        video, start = row["youtube_id"], row["start_time"]
        seconds = whole_number_of(start, most_digits=6)
        if not (video and seconds is not None and row["audiocap_id"]):
            raise RetrievalInputError(
                f"{path}, line {line}: expected an audiocap_id, a youtube_id and a start_time in"
                f" whole seconds, got {row['audiocap_id']!r:.40}, {video!r:.40}, {start!r:.40}"
            )
        texts.setdefault((video, seconds), []).append((row["audiocap_id"], row["caption"]))
    if not texts:
        raise RetrievalInputError(f"{path} has no row behind its header. Fetch it again")
    return [
        _Clip(video, tuple(some), start, tuple(number for number, _ in some))
        for (video, start), some in texts.items()
    ]


def _read_list(root: Path) -> list[_Clip]:
    """Read WavCaps's list: `{"data": [{"id": "Y<video>.wav", "caption_1", ..., "caption_5"}]}`.

    It states neither times nor ids of captions, which come from `test.csv` if that is at hand.
    """
    path = require_file(root, WAVCAPS, WAVCAPS_FOLDERS, NAME)
    known = _test_clips(root)
    clips = []
    for where, entry in entries_of(read_json(path), "data", "clip", path):
        named = entry if isinstance(entry, dict) else {}
        key = next((key for key in ("id", "wav", "audio") if key in named), "id")
        stem = PurePosixPath(field_of(entry, key, str, where)).name.removesuffix(".wav")
        video = stem[1:] if stem[:1] == "Y" and len(stem) == _ID_LENGTH + 1 else stem
        places = range(1, _N_TEXTS + 1)
        texts = [field_of(entry, f"caption_{place}", str, where) for place in places]
        described = tuple((f"{video}#{place}", text) for place, text in zip(places, texts))
        clips.append(replace(known.get(video, _Clip(video, ())), texts=described))
    if not clips:
        raise RetrievalInputError(f"{path} lists no clip. Fetch it again")
    return clips


def _test_clips(root: Path) -> dict[str, _Clip]:
    """Return the test clip of each video that has a single one; none without `test.csv`."""
    if find_file(root, "test.csv", (FIRST, SECOND)) is None:
        return {}
    clips = _read_release(root, "test", "all" if find_file(root, "test.csv", (FIRST,)) else "2.0")
    several = _several(clips)
    return {clip.video: clip for clip in clips if clip.video not in several}


def _ids(clips: Sequence[_Clip]) -> list[str]:
    several = _several(clips)
    return [f"{one.video}_{one.start}" if one.video in several else one.video for one in clips]


def _several(clips: Sequence[_Clip]) -> set[str]:
    """Return the videos with more than one clip; their files need the start in the name."""
    n_clips = Counter(clip.video for clip in clips if clip.start is not None)
    return {video for video, n in n_clips.items() if n > 1}


def _files(root: Path, split: str, clips: Sequence[_Clip]) -> list[str]:
    """Find the file of each clip under the names that circulate, see the datasheet."""
    several = _several(clips)
    stems = []
    for clip in clips:
        alone = () if clip.video in several else (f"Y{clip.video}", clip.video)
        timed: tuple[str, ...] = ()
        if clip.start is not None:
            start, end = clip.start, clip.start + SECONDS
            timed = (f"{clip.video}_{start}", f"Y{clip.video}_{start}", f"{clip.video}_{start:06d}")
            timed += (f"{clip.video}_{1000 * start}_{1000 * end}",)
        stems.append((*timed, *alone, *clip.numbers))
    folders = ("audio", f"audio/{split}", f"waveforms/{split}", split, f"audio_32000Hz/{split}")
    return find_names(root, stems, folders, SUFFIXES)
