"""The page with names, captions and columns that an attacker chose: nothing runs, all is shown."""

import csv
import json
import socket
import threading

import pyarrow as pa
import pytest
import uvicorn

from lib.search.collection import Columns, build_collection
from lib.search.collection import collection as opened
from lib.search.service import create_app
from tests.search.collection.conftest import COLOURS, MODEL, ColourEncoder, paint
from tests.search.service.test_page import ask, box, sent, tiles, watched

pytestmark = [pytest.mark.browser, pytest.mark.slow]
IMAGE = "<img src=x onerror=hacked=1>"
NAMES = {
    f"{IMAGE}.png": "",
    '" onfocus=hacked=1 autofocus x=".png': "",
    "'+hacked+'&lt;b&gt;.png": f"<script>hacked=1</script>{IMAGE}",
    "javascript:hacked=1.png": "</li></ul><svg onload=hacked=1>",
    "\u202eexe.gnp.png": "\u202edesrever \u2066 isolated \u200f right to left \u0627\u0644",
    "two\nlines\tand\x01controls.png": "two\n\nlines\r\n\tand\x1b[31m controls\x07",
    "W" * 250 + ".png": "W" * 60_000,
    "__proto__.png": "constructor toString __proto__",
    "${hacked=1}{{hacked=1}}.png": "=HYPERLINK(hacked)",
}
COLUMNS = {
    "__proto__": "polluted",
    IMAGE: IMAGE,
    "w" * 300: "v" * 5000,
    "constructor": "<b>bold</b>",
}
FOLDER = f"{IMAGE}'\"&".replace("/", "") + "n" * 200


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    for at, (name, caption) in enumerate(NAMES.items()):
        path = root / "pictures" / name
        paint(path, list(COLOURS)[at % 3], shade=60 * (at // 3), size=(48, 36))
        if caption:
            path.with_suffix(".txt").write_text(caption, encoding="utf-8")
    table = pa.table({"path": list(NAMES)} | {n: [v] * len(NAMES) for n, v in COLUMNS.items()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opened, "load_query_encoder", lambda manifest: Repeating())
        folders = [root / FOLDER, root / "plain"]
        for folder in folders:
            build_collection(
                [root / "pictures"], folder, ColourEncoder(), MODEL, columns=Columns(table, "table")
            )
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(folders), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


class Repeating(ColourEncoder):
    def doubts_about(self, text):
        return [f"The word {text!r} was in no caption."]


@pytest.fixture(scope="module", params=[1100, 390], ids=["desk", "phone"])
def shared(browser, address, request):
    context = browser.new_context(viewport={"width": request.param, "height": 800})
    yield *watched(context, address), request.param
    context.close()


@pytest.fixture
def tab(shared, address):
    """Load the page; what runs, fails, asks elsewhere or makes the page wider ends the test."""
    tab, check, width = shared
    tab.goto(address)
    tab.get_by_role("heading", name="Search 9 pictures").wait_for()
    yield tab
    assert tab.evaluate("typeof hacked") == "undefined"
    assert tab.evaluate("({}).polluted === undefined && Object.keys(Object.prototype).length") == 0
    assert (
        tab.evaluate("document.querySelectorAll('script:not([src]), svg[onload], b > b').length")
        == 0
    )
    fits(tab, width)
    check()


def fits(tab, width) -> None:
    assert tab.evaluate("document.documentElement.scrollWidth") <= width, "the page is too wide"
    wide = """width => [...document.querySelectorAll('.ps *')]
      .filter((e) => e.checkVisibility() && !e.closest('svg')
        && (e.getBoundingClientRect().right > width + 1 || e.getBoundingClientRect().left < -1))
      .map((e) => `${e.tagName}.${e.className} ${Math.round(e.getBoundingClientRect().right)}`)"""
    assert tab.evaluate(wide, width) == []


def test_the_beginning(tab, shared):
    tab.locator(".ps-example img").last.wait_for()
    assert tab.locator(".ps-example").count() == 9
    assert tab.locator(".ps-chooser option").first.inner_text() == FOLDER
    tab.get_by_role("button", name="Options").click()
    assert tab.get_by_role("button", name=IMAGE, exact=True).is_visible()
    fits(tab, shared[2])


def test_results_show_names_as_they_are(tab, shared):
    ask(tab, f"{IMAGE} {'W' * 300}")
    labels = " ".join(tiles(tab).evaluate_all("all => all.map((e) => e.ariaLabel)"))
    assert IMAGE in labels and "</li></ul><svg onload=hacked=1>" in labels
    assert tiles(tab).count() == 9 and IMAGE in tab.get_by_role("list", name="Doubts").inner_text()
    assert max(map(len, tiles(tab).evaluate_all("all => all.map((e) => e.title)"))) <= 201
    fits(tab, shared[2])


def test_why_and_chips(tab, shared):
    ask(tab, "red")
    for at in range(9):
        tiles(tab).nth(at).click()
        why = tab.get_by_role("complementary", name="Why this picture")
        why.locator(".ps-near img").nth(4).wait_for()
        assert why.locator("dd").get_by_text(IMAGE, exact=True).is_visible()
        assert why.locator("dt").filter(has_text="__proto__").count() == 1
        panel = "e => e.scrollWidth - e.clientWidth"
        assert why.evaluate(panel) <= 1, "the panel is too wide"
        assert why.get_by_role("button", name="More like this").bounding_box()["y"] < 800
        fits(tab, shared[2])
        why.press("Escape")
    tiles(tab).nth(0).click()
    sent(tab, why.get_by_role("button", name="More like this").click)
    tab.get_by_role("button", name="Options").click()
    tab.get_by_label("Without").fill(f"{IMAGE} {'W' * 300}")
    sent(tab, lambda: tab.get_by_label("Without").press("Enter"))
    tab.get_by_label("Condition").fill(f"{IMAGE} > {'W' * 300}")
    tab.get_by_label("Condition").press("Enter")
    tab.get_by_role("alert").filter(has_text="cannot be read").wait_for()


def test_suggestions(tab, shared):
    box(tab).press_sequentially("ww")
    tab.wait_for_timeout(300)
    fits(tab, shared[2])
    for text in ("hack", "scri", "constr"):
        box(tab).fill("")
        box(tab).press_sequentially(text)
        tab.get_by_role("option").first.wait_for()
        fits(tab, shared[2])


def test_exports_hold_the_texts(tab, tmp_path):
    ask(tab, "red")
    tiles(tab).first.focus()
    for _ in range(9):
        tab.keyboard.press("Space")
        tab.keyboard.press("ArrowRight")
    bar = tab.get_by_role("group", name="Selected pictures")
    found = {}
    for name in ("List as JSON", "List as CSV"):
        with tab.expect_download() as download:
            bar.get_by_role("button", name=name).click()
        download.value.save_as(tmp_path / name)
        found[name] = (tmp_path / name).read_bytes().decode()
    rows = json.loads(found["List as JSON"])
    assert {row["path"] for row in rows} == set(NAMES) and {row[IMAGE] for row in rows} == {IMAGE}
    assert {row["__proto__"] for row in rows} == {"polluted"}
    csv.field_size_limit(1 << 20)
    table = list(csv.DictReader(found["List as CSV"].splitlines(keepends=True)))
    assert [row["caption"] for row in table] == [row["caption"] for row in rows]
    with tab.expect_download() as download:
        bar.get_by_role("button", name="Originals (ZIP)").click()
    assert "/" not in download.value.suggested_filename
