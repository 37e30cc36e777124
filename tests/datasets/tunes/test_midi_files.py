"""Melodies of MIDI files, by hand."""

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.tunes import midi_files
from lib.datasets.tunes.midi_files import read_midi

mido = pytest.importorskip("mido")


def write(path, *tracks, ticks=96):
    midi = mido.MidiFile(type=1, ticks_per_beat=ticks)
    midi.tracks.extend(mido.MidiTrack(track) for track in tracks)
    midi.save(path)
    return path


def on(note, time=0, velocity=80, channel=0):
    return mido.Message("note_on", note=note, velocity=velocity, time=time, channel=channel)


def off(note, time=0, channel=0):
    return mido.Message("note_off", note=note, time=time, channel=channel)


def test_notes_rests_and_tempo(tmp_path):
    tempo = mido.MetaMessage("set_tempo", tempo=400_000)
    track = [on(60), off(60, 96), on(62, 48), on(62, 24, velocity=0), on(64), off(64, 192)]
    melody = read_midi(write(tmp_path / "a.mid", [tempo], track))
    assert melody.onsets.tolist() == [0, 1.5, 1.75]
    assert melody.durations.tolist() == [1, 0.25, 2]
    assert melody.pitches.tolist() == [60, 62, 64]
    assert melody.tempo == pytest.approx(150) and melody.title == "a"


def test_the_fullest_track_without_drums_and_its_highest_notes(tmp_path):
    drums = [m for _ in range(9) for m in (on(35, channel=9), off(35, 10, channel=9))]
    bass = [on(40), off(40, 96)]
    chords = [on(60), on(67), off(60, 96), off(67), on(65), off(65, 96)]
    melody = read_midi(write(tmp_path / "a.mid", drums, bass, chords))
    assert melody.pitches.tolist() == [67, 65]


def test_notes_that_overlap_end_where_the_next_begins(tmp_path):
    track = [on(60), on(64, 96), off(60, 96), off(64, 96)]
    melody = read_midi(write(tmp_path / "a.mid", track))
    assert melody.onsets.tolist() == [0, 1] and melody.durations.tolist() == [1, 2]
    assert melody.tempo == pytest.approx(120)  # where a file names none


def test_a_note_that_begins_again_ends_first(tmp_path):
    melody = read_midi(write(tmp_path / "a.mid", [on(60), on(60, 96), off(60, 48), off(60, 10)]))
    assert melody.durations.tolist() == [1, 0.5]


@pytest.mark.parametrize("content", [b"", b"MThd", b"RIFF" + bytes(100), b"MThd" + bytes(60)])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.mid"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match="a.mid .*standard MIDI file"):
        read_midi(path)


def test_cut_and_changed_files_are_read_or_refused(tmp_path):
    whole = write(tmp_path / "a.mid", [on(60), off(60, 96), on(62), off(62, 96)]).read_bytes()
    path = tmp_path / "b.mid"
    for at in range(len(whole)):
        for content in (whole[:at], whole[:at] + b"\xff" + whole[at + 1 :]):
            path.write_bytes(content)
            try:
                assert len(read_midi(path)) > 0
            except DamagedFileError as error:
                assert "b.mid" in str(error)


def test_files_without_notes_and_missing_files(tmp_path):
    with pytest.raises(DamagedFileError, match="no note"):
        read_midi(write(tmp_path / "a.mid", [on(35, channel=9), off(35, 10, channel=9)]))
    with pytest.raises(MissingFileError, match="missing"):
        read_midi(tmp_path / "none.mid")


def test_without_mido_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(midi_files, "available", lambda: False)
    with pytest.raises(RetrievalInputError, match=r"crossmodal-retrieval\[hum\]"):
        read_midi("a.mid")
