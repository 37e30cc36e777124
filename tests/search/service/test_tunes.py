"""POST /hum: a WAV file in, tunes out; and what is refused, with which words."""

import struct

import numpy as np
import pytest
from fastapi.testclient import TestClient

from lib.core.checks import RetrievalInputError
from lib.datasets.tunes import collections
from lib.models.pitch import hear_melody
from lib.search.melody.hum_search import LONGEST, open_hum_search
from lib.search.service import Limits, create_app
from lib.search.service.tunes import ServedTunes, read_wav
from tests.search.melody.tunes import melody
from tests.search.service.hums import TUNES, WANTED, hummed, wav

LOCAL = "http://localhost"


@pytest.fixture(scope="module")
def listener(tunes):
    with TestClient(create_app([], tunes=tunes), base_url=LOCAL) as opened:
        yield opened


def refused(client, content, status=400) -> str:
    answer = client.post("/hum", content=content)
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


def test_a_hum_finds_its_tune_and_the_part_that_was_hummed(listener, tunes):
    answer = listener.post("/hum", content=wav(hummed()), params={"k": 5})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert [tune["rank"] for tune in found["tunes"]] == [1, 2, 3, 4, 5]
    best = found["tunes"][0]
    assert best["title"] == TUNES[WANTED].title and found["searched"] == len(TUNES)
    assert 0 <= best["off"] < 0.6 and best["score"] >= found["tunes"][1]["score"]
    assert 0 <= best["start"] < best["end"] <= best["seconds"] + 0.3
    assert len(best["notes"]) == len(TUNES[WANTED])
    assert [note[2] for note in best["notes"]] == TUNES[WANTED].pitches.tolist()
    heard = hear_melody(hummed(), tracker=tunes.tracker).contour
    assert found["heard"]["seconds"] == pytest.approx(heard.seconds, abs=0.2)
    assert not found["remarks"]


def test_the_moved_hum_lies_on_the_notes_of_the_part(tunes):
    found = tunes.find(wav(hummed()), 1)
    (tune,) = found.tunes
    onsets, _, pitches = np.array(tune.notes).T
    times, _, hum = np.array(found.heard.notes).T
    places = np.interp(times, np.arange(len(tune.places)) * 0.2, tune.places)
    assert (tune.start, tune.end) == (tune.places[0], pytest.approx(tune.places[-1] + 0.2))
    there = pitches[np.searchsorted(onsets, places, side="right") - 1]
    assert np.median(np.abs(hum + tune.moved - there)) < 0.3


def test_channels_and_rates_do_not_matter(tunes):
    sound = hummed()
    titles = {
        tunes.find(content, 1).tunes[0].title
        for content in (wav(sound, channels=2), wav(np.repeat(sound, 3), 48_000))
    }
    assert titles == {TUNES[WANTED].title}


def test_a_tune_that_is_too_short_is_listed_without_a_part():
    short = ServedTunes([*TUNES[:3], melody([60, 64, 67])])
    (last,) = [one for one in short.find(wav(hummed(2)), 4).tunes if not one.title]
    assert last.places == [] and last.off == 3 and last.end - last.start <= 1


def test_long_and_short_hums_are_searched_with_a_remark(tunes):
    long = tunes.find(wav(np.tile(hummed(seconds=12.0), 2)), 1)
    assert "The first 15 of" in long.remarks[-1]
    assert long.heard.seconds == pytest.approx(LONGEST, abs=0.2)
    short = tunes.find(wav(hummed()[: 3 * 16_000]), 1)
    assert "Hum five seconds or more" in short.remarks[-1] and short.tunes


SECOND = np.zeros(16_000)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "must be a WAV file, got nothing"),
        (b"no sound at all", "must be a WAV file of 16-bit PCM"),
        (b"RIFF" + struct.pack("<I", 1 << 30) + b"WAVE", "must be a WAV file of 16-bit PCM"),
        (wav(SECOND)[:-1000], "must hold the 16,000 samples that its header says, got 15,500"),
        (wav([]), "holds no sample"),
        (wav(SECOND, width=1), "must have 16 bits a sample, got 8"),
        (wav(SECOND, channels=9), "1 to 8 channels, got 9"),
        (wav(SECOND, 200), "8,000 to 96,000 samples a second, got 200"),
        (wav(np.zeros(61 * 8_000), 8_000), "must last at most 60 s, got 61 s"),
        (wav(SECOND), "Nothing was recorded: look at the microphone"),
        (wav(hummed()[:16_000]), "at least 1.5 s of a voice with a pitch"),
        (
            wav(np.random.default_rng(0).normal(0, 0.1, 48_000)),
            "at least 1.5 s of a voice with a pitch",
        ),
    ],
)
def test_what_is_no_hum_is_refused_with_words(listener, content, words):
    assert words in refused(listener, content)


def test_sizes_numbers_and_methods_have_limits(tunes, listener):
    limits = Limits(max_body=100_000)
    with TestClient(create_app([], limits, tunes), base_url=LOCAL) as client:
        assert "at most 100,000 bytes" in refused(client, bytes(200_000), 413)
        assert "at most 100,000 bytes" in refused(client, iter([bytes(60_000)] * 2), 413)
    for k in ("0", "51", "x"):
        assert listener.post("/hum", content=b"", params={"k": k}).status_code == 422
    assert listener.put("/hum", content=b"").status_code == 405


def test_any_bytes_behind_a_header_are_refused_or_read():
    draw = np.random.default_rng(1)
    whole = wav(hummed(seconds=2.0))[:4000]
    for _ in range(300):
        damaged = bytearray(whole)
        for at in draw.integers(0, 60, 3):
            damaged[at] = draw.integers(0, 256)
        try:
            samples, rate = read_wav(bytes(damaged))
        except RetrievalInputError:
            continue
        assert samples.ndim == 2 and samples.size and 8_000 <= rate <= 96_000


def test_tunes_alone_are_served_on_their_own_page(listener, tunes):
    described = listener.get("/tunes").json()
    assert described["tunes"] == len(TUNES) and described["tracker"] == tunes.tracker
    assert listener.get("/collections").json() == []
    assert str(listener.get("/").url).endswith("/hum")
    page = listener.get("/hum")
    assert "/page/hum.js" in page.text
    assert listener.get("/page/recorder_worklet.js").status_code == 200
    search = listener.post("/search", json={"text": "red"})
    assert search.status_code == 404 and "/hum" in search.json()["error"]


def test_without_tunes_the_service_says_how_to_serve_them(client):
    described = client.get("/tunes").json()
    assert described["tunes"] == 0 and "crossmodal serve --tunes" in described["message"]
    assert "crossmodal serve --tunes" in refused(client, wav(hummed()), 404)
    assert client.get("/hum").status_code == 200


def test_without_music21_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setattr(collections.importlib.util, "find_spec", lambda name: None)
    collections.load_tunes.cache_clear()
    open_hum_search.cache_clear()
    with pytest.raises(OSError, match="pip install music21"):
        ServedTunes()
