"""The page /hum in Chromium: a microphone that plays a file, an uploaded file, what goes wrong."""

import socket
import threading

import numpy as np
import pytest
import uvicorn
from scipy.signal import resample_poly

from lib.course.slides.pdf import find_chromium
from lib.search.service import create_app
from tests.search.service.hums import TUNES, WANTED, hummed, wav
from tests.search.service.test_page import watched

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tunes):
    """Serve thirty tunes on a free port of loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app([], tunes=tunes)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def singing(browser, tmp_path_factory):
    """A Chromium whose microphone plays a synthesised hum once, at 48 kHz."""
    path = tmp_path_factory.mktemp("microphone") / "hum.wav"
    path.write_bytes(wav(resample_poly(hummed(), 3, 1), 48_000))
    options = [
        "--no-sandbox",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={path}%noloop",
    ]
    started = browser.browser_type.launch(executable_path=find_chromium(), args=options)
    yield started
    started.close()


def titles(tab) -> list[str]:
    tab.get_by_role("list", name="Tunes found").get_by_role("listitem").first.wait_for()
    return tab.locator(".hum-found h2").all_inner_texts()


@pytest.mark.slow
def test_a_hum_at_the_microphone_finds_its_tune(singing, address):
    context = singing.new_context(viewport={"width": 1100, "height": 800})
    tab, check = watched(context, address)
    asked = []
    tab.add_init_script(
        """const devices = navigator.mediaDevices, ask = devices.getUserMedia.bind(devices);
        devices.getUserMedia = (wish) => { window.wish = wish; return ask(wish); };"""
    )
    tab.on("request", lambda request: asked.append(request))
    tab.goto(f"{address}/hum")
    tab.get_by_role("button", name="Hum", exact=True).click()
    stop = tab.get_by_role("button", name="Stop")
    stop.wait_for()
    meter = tab.get_by_role("meter")
    tab.get_by_text("4 of 15 s").wait_for()
    assert int(meter.get_attribute("aria-valuenow")) > -50
    tab.get_by_text("8 of 15 s").wait_for()
    stop.click()
    assert titles(tab)[0] == TUNES[WANTED].title
    assert tab.evaluate("window.wish") == {
        "audio": {"echoCancellation": False, "noiseSuppression": False, "autoGainControl": False}
    }
    (sent,) = [one for one in asked if one.method == "POST"]
    body = sent.post_data_buffer
    assert body[:4] == b"RIFF" and 7 * 32_000 < len(body) < 11 * 32_000
    check()
    context.close()


@pytest.fixture
def tab(browser, address):
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    opened, check = watched(context, address)
    opened.goto(f"{address}/hum")
    opened.get_by_role("button", name="Choose a sound file").wait_for()
    yield opened
    check()
    context.close()


def upload(tab, content, name="hum.wav"):
    tab.get_by_label("Sound file").set_input_files(
        {"name": name, "mimeType": "audio/wav", "buffer": content}
    )


def test_a_file_finds_its_tune_which_can_be_played(tab):
    upload(tab, wav(hummed()))
    assert titles(tab)[0] == TUNES[WANTED].title
    first = tab.get_by_role("listitem").first
    assert first.locator("svg rect").count() > 10 and first.locator("svg path").count() == 1
    assert "semitones" in first.inner_text()
    assert "s of melody" in tab.get_by_role("region", name="What was heard").inner_text()
    play = first.get_by_role("button", name="Play the tune")
    play.click()
    tab.get_by_role("button", name="Stop").click()
    play.wait_for()  # its name is back
    first.get_by_role("button", name="Play this part").click()
    tab.get_by_role("button", name="Play what was heard").click()
    assert tab.get_by_role("button", name="Stop").count() == 1  # one sound at a time


def test_the_played_notes_have_the_pitch_of_the_tune(tab):
    """Render two notes of the player without a loudspeaker, and count their periods."""
    samples = tab.evaluate(
        """async () => {
          const Live = window.AudioContext;
          let offline;
          window.AudioContext = function () {
            return (offline = new OfflineAudioContext(1, 16000, 16000));
          };
          const { playNotes } = await import("/page/sound.js");
          const close = OfflineAudioContext.prototype.close;
          OfflineAudioContext.prototype.close = () => {};
          playNotes([[0, 0.4, 69], [0.4, 0.4, 81]]);
          const sound = await offline.startRendering();
          window.AudioContext = Live;
          return [...sound.getChannelData(0)];
        }"""
    )
    sound = np.array(samples)
    for start, hertz in ((0.1, 440), (0.5, 880)):
        part = sound[int(16_000 * start) : int(16_000 * (start + 0.3))]
        crossings = ((part[:-1] < 0) & (part[1:] >= 0)).sum()
        assert crossings / 0.3 == pytest.approx(hertz, abs=8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no sound", "hum.wav is no sound that this browser can read"),
        (wav(np.zeros(32_000)), "Nothing was recorded"),
        (wav(hummed()[:8000]), "Less than a second"),
    ],
    ids=["no sound", "silence", "short"],
)
def test_what_cannot_be_searched_is_told(tab, content, words):
    upload(tab, content)
    tab.get_by_role("alert").filter(has_text=words).wait_for()
    upload(tab, wav(hummed()))  # and the next one works
    assert titles(tab)[0] == TUNES[WANTED].title
    assert tab.get_by_role("alert").count() == 0


def test_a_long_file_is_cut_with_a_remark(tab):
    upload(tab, wav(np.tile(hummed(seconds=12.0), 2)))
    tab.get_by_text("The first 15 of").wait_for()


def test_a_microphone_that_is_refused_is_told(tab):
    tab.get_by_role("button", name="Hum", exact=True).click()
    tab.get_by_role("alert").filter(has_text="choose a sound file instead").wait_for()
    assert tab.get_by_role("button", name="Hum", exact=True).is_enabled()


def test_without_tunes_there_is_a_message_and_no_button(browser, address):
    context = browser.new_context()
    tab, check = watched(context, address)
    message = "This service has no tunes. Start it with: crossmodal serve --tunes"
    tab.route("**/tunes", lambda route: route.fulfill(json={"tunes": 0, "message": message}))
    tab.goto(f"{address}/hum")
    tab.get_by_text(message).wait_for()
    assert tab.get_by_role("button").count() == 0
    check()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(browser, address, scheme):
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    tab, check = watched(context, address)
    tab.goto(f"{address}/hum")
    tab.get_by_role("button", name="Choose a sound file").wait_for()
    upload(tab, wav(hummed()))
    titles(tab)
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    check()
    context.close()
