"""A miniature in the layout of MIR-QBSH: songs as MIDI, hums at 8 kHz and 8 bits, labels."""

import mido
import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

from lib.datasets.tunes import SungNotes
from lib.datasets.voices import sing_aloud

SONGS = {
    "00001": [60, 60, 67, 67, 69, 69, 67, 65, 65, 64, 64, 62, 62, 60],
    "00007": [60, 62, 64, 60, 60, 62, 64, 60, 64, 65, 67, 64, 65, 67],
    "00014": [64, 62, 60, 62, 64, 64, 64, 62, 62, 62, 64, 67, 67, 64],
}
SECONDS = 0.4  # of a note
RATE = 8000


def write_midi(path, pitches, *, beat=500_000, ticks=96, **options):
    """Write one note a quarter, as format 1 with a tempo track."""
    midi = mido.MidiFile(type=1, ticks_per_beat=ticks)
    midi.tracks.append(mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=beat)]))
    track = mido.MidiTrack()
    for pitch in pitches:
        track.append(mido.Message("note_on", note=pitch, velocity=80, **options))
        track.append(mido.Message("note_on", note=pitch, velocity=0, time=ticks, **options))
    midi.tracks.append(track)
    midi.save(path)


def sung(pitches, shift):
    n = len(pitches)
    onsets = np.arange(n) * SECONDS
    return SungNotes(onsets, np.full(n, SECONDS * 0.9), np.array(pitches, float) + shift)


def write_corpus(root):
    """Write three songs, and two singers who sing two of them each."""
    (root / "midiFile").mkdir(parents=True)
    for name, pitches in SONGS.items():
        write_midi(root / "midiFile" / f"{name}.mid", pitches)
    titles = "00001.mid\tTwinkle\t小星星\t2\r\n00007.mid\t-\t兩隻老虎\t1\r\n"
    (root / "midiFile" / "songList.txt").write_bytes(titles.encode("big5"))
    for singer, voice, shift, names in (
        ("year2003a/person00001", "low hum", 0.4, ("00001", "00014")),
        ("year2004/person00017", "high hum", -2, ("00001", "00007")),
    ):
        folder = root / "waveFile" / singer
        folder.mkdir(parents=True)
        for name in names:
            sound = sing_aloud(sung(SONGS[name], shift), voice)
            samples = resample_poly(sound.samples.astype(float), 1, 2)
            eight_bits = np.clip(np.rint(samples * 127 + 128), 0, 255).astype(np.uint8)
            wavfile.write(folder / f"{name}.wav", RATE, eight_bits)
            frames = np.arange(samples.size // 256) * 256 / RATE
            labels = np.nan_to_num(sound.pitches_at(frames))
            lines = "".join(f"{pitch:.4f}\r\n" for pitch in labels)
            (folder / f"{name}.pv").write_bytes(lines.encode("ascii"))
    return root
