"""The page without a server in Chromium, from a file and offline: it finds what Python finds."""

import base64

import numpy as np
import pytest
from scipy.signal import resample_poly

from lib.course.hum_page import build_hum_page
from lib.course.slides.pdf import find_chromium
from lib.datasets.tunes import hum_task
from lib.datasets.voices import sing_aloud
from lib.metrics import evaluate
from lib.models.pitch import BY_HAND, hear_melody
from lib.search.melody import ContourVectorMatcher, DtwMatcher, first_seconds, matched_part
from lib.search.two_stage import StagedQueries, TwoStageRetriever
from tests.search.service.hums import TUNES, WANTED, hummed, wav
from tests.search.service.test_hum_page import titles, upload

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HEAD = 6.0  # seconds of the first stage
FIND = """async ([text, k]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const steps = hum.hearMelody(new Float32Array(bytes.buffer));
  const found = await hum.findTunes(steps, k);
  return {
    steps: steps.map(({ onset, pitch }) => [onset, pitch]),
    tunes: found.map(({ notes, ...rest }) => rest),
  };
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return build_hum_page(tmp_path_factory.mktemp("hum"), TUNES).as_uri()


@pytest.fixture
def tab(browser, address):
    """The page from a file, without a network; it may ask for nothing and never fail."""
    context = browser.new_context(viewport={"width": 1100, "height": 800}, offline=True)
    tab, asked, wrong = context.new_page(), [], []
    tab.set_default_timeout(60_000)
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda message: wrong.append(message.text))
    tab.goto(address)
    tab.get_by_role("button", name="Choose a sound file").wait_for()
    yield tab
    context.close()
    assert not wrong
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]


def found_in(tab, samples, k):
    text = base64.b64encode(np.asarray(samples, "<f4").tobytes()).decode()
    return tab.evaluate(FIND, [text, k])


def found_by_python(tunes, contours, k):
    """The same two stages, with the settings of search.js: vectors at seven tempos, then DTW."""
    tempos = tuple(np.geomspace(0.6, 1.67, 7))
    first = ContourVectorMatcher(tunes, seconds=HEAD, scales=tempos, windows=8000)
    stages = TwoStageRetriever(first, DtwMatcher(tunes), min(400, len(tunes)))
    heads = [first_seconds(contour, HEAD) for contour in contours]
    return stages.search(StagedQueries(heads, contours), k)


def test_a_file_finds_its_tune_without_a_network(tab):
    upload(tab, wav(hummed()))
    assert titles(tab)[0] == TUNES[WANTED].title
    assert "of 30 tunes" in tab.get_by_role("status").inner_text()
    assert "nothing is sent" in tab.locator(".hum-about").inner_text()
    upload(tab, wav(np.zeros(32_000)))
    tab.get_by_role("alert").filter(has_text="Nothing was recorded").wait_for()


@pytest.mark.parametrize("number", [1, 7, 19])
def test_pitch_vectors_and_dtw_are_those_of_the_library(tab, number):
    samples = hummed(number, level="medium")
    found = found_in(tab, samples, 10)
    contour = hear_melody(samples, tracker=BY_HAND).contour
    onsets, pitches = np.array(found["steps"]).T
    assert onsets == pytest.approx(contour.onsets)
    assert pitches == pytest.approx(contour.pitches, abs=1e-3)
    run = found_by_python(TUNES, [contour], 10)
    assert [one["off"] for one in found["tunes"]] == pytest.approx(-run.scores[0], abs=0.02)
    assert found["tunes"][0]["title"] == TUNES[run.ids[0, 0]].title == TUNES[number].title
    part = matched_part(contour, TUNES[number])
    assert found["tunes"][0]["places"][0] == pytest.approx(part.start, abs=0.41)
    assert found["tunes"][0]["moved"] == pytest.approx(part.moved, abs=0.1)


def test_twenty_hums_are_found_as_well_as_by_python(browser, tmp_path_factory):
    """The tunes of the test split; hums of 8 s with medium errors, two synthesised voices."""
    task = hum_task("test", "medium", n_queries=20, gallery="split")
    sounds = [
        sing_aloud(notes, ("low hum", "high hum")[number % 2], seed=number).samples
        for number, notes in enumerate(task.queries)
    ]
    tab = browser.new_page()
    tab.goto(build_hum_page(tmp_path_factory.mktemp("all"), task.gallery).as_uri())
    position = {tune.source: at for at, tune in enumerate(task.gallery)}
    ids = [
        [position[one["source"]] for one in found_in(tab, samples, 50)["tunes"]]
        for samples in sounds
    ]
    tab.close()
    heard = [hear_melody(samples, tracker=BY_HAND).contour for samples in sounds]
    run = found_by_python(task.gallery, heard, 50)
    script, python = (
        evaluate(found, task.qrels, metrics=("MRR",), hit_grade=task.hit_grade).mean("MRR")
        for found in (np.array(ids), run.ids)
    )
    print(f"MRR of 20 hums: JavaScript {script:.3f}, Python {python:.3f}")
    # Frames whose middle falls on the onset of a note are rounded in two ways: some costs differ.
    assert (np.array(ids)[:, 0] == run.ids[:, 0]).mean() >= 0.9
    assert script == pytest.approx(python, abs=0.03)


def test_the_microphone_works_from_a_file(browser, address, tmp_path):
    sound = tmp_path / "hum.wav"
    sound.write_bytes(wav(resample_poly(hummed(), 3, 1), 48_000))
    options = [
        "--no-sandbox",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}%noloop",
    ]
    started = browser.browser_type.launch(executable_path=find_chromium(), args=options)
    tab = started.new_page()
    tab.set_default_timeout(60_000)
    tab.goto(address)
    tab.get_by_role("button", name="Hum", exact=True).click()
    tab.get_by_text("8 of 15 s").wait_for()
    tab.get_by_role("button", name="Stop").click()
    assert titles(tab)[0] == TUNES[WANTED].title
    started.close()
