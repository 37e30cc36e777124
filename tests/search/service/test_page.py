"""The page in Chromium: mouse, keyboard, dropped files; and nothing leaves this machine."""

import base64
import csv
import json
import socket
import threading
import zipfile

import numpy as np
import pytest
import uvicorn

from lib.datasets.strokes import read_ndjson
from lib.search.collection import build_collection
from lib.search.collection import collection as opened
from lib.search.service import create_app
from tests.search.collection.conftest import COLOURS, MODEL, ColourEncoder, paint
from tests.search.service.conftest import upload

pytestmark = pytest.mark.browser
SHADES = range(0, 99, 3)  # of each colour


class Doubting(ColourEncoder):
    def doubts_about(self, text):
        return ["The word 'zebra' was in no caption."] if text == "zebra" else []


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Serve 99 pictures on a free port of loopback."""
    root = tmp_path_factory.mktemp("page")
    for colour in COLOURS:
        for shade in SHADES:
            name = f"{colour}_{shade:02d}"
            paint(root / "pictures" / f"{name}.png", colour, shade=shade, size=(48, 36))
            (root / "pictures" / f"{name}.txt").write_text(f"a {colour} page, shade {shade}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opened, "load_query_encoder", lambda manifest: Doubting())
        build_collection([root / "pictures"], root / "pages", ColourEncoder(), MODEL)
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app([root / "pages"]), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def watched(context, address):
    """Open a page of a context, and note what it asks for and what goes wrong."""
    tab, asked, wrong = context.new_page(), [], []
    tab.set_default_timeout(10_000)
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda message: wrong.append(message.text))

    def check():
        refused = "Failed to load resource"  # Chromium's note of an answer that tells an error
        assert not [text for text in wrong if not text.startswith(refused)]
        assert not [url for url in asked if not url.startswith((address, "data:", "blob:"))]
        asked.clear()
        wrong.clear()

    return tab, check


def begin(tab, address) -> None:
    tab.goto(address)
    tab.get_by_role("heading", name="Search 99 pictures").wait_for()


@pytest.fixture(scope="module")
def shared(browser, address):
    """One page for all tests: a new one for each would take most of their time."""
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    yield watched(context, address)
    context.close()


@pytest.fixture
def tab(shared, address):
    """Load the page anew; it may ask for nothing elsewhere, and never fail."""
    tab, check = shared
    begin(tab, address)
    yield tab
    tab.unroute_all(behavior="ignoreErrors")
    check()


def box(tab):
    return tab.get_by_role("combobox", name="Describe a picture")


def ask(tab, text: str) -> None:
    box(tab).fill(text)
    with tab.expect_response("**/search"):
        box(tab).press("Enter")
    tab.locator(".ps-tile:not(.ps-bone)").first.wait_for()


def tiles(tab):
    return tab.get_by_role("option").filter(has=tab.locator("img"))


def first(tab) -> str:
    return tiles(tab).first.get_attribute("aria-label")


def sent(tab, act) -> dict:
    """Do something, and return the query that the page then sends."""
    with tab.expect_request("**/search") as asked:
        act()
    asked.value.response()
    tab.locator(".ps-tile:not(.ps-bone)").first.wait_for()
    return asked.value.post_data_json


def test_the_beginning_offers_words_and_pictures(tab):
    tab.locator(".ps-example img").last.wait_for()  # they follow the heading
    assert tab.locator(".ps-example img").count() == 12
    query = sent(tab, lambda: tab.get_by_role("button", name="green", exact=True).click())
    assert query["text"] == "green" and first(tab).startswith("1. a green page, shade 0, score")
    assert "found, the best first" in tab.get_by_role("status").inner_text()
    query = sent(tab, lambda: tiles(tab).first.locator("[data-do=like]").click(force=True))
    assert query["like"] and query["text"] == ""
    assert tab.get_by_text("like a green page, shade 0").is_visible()


def test_words_are_suggested_and_chosen_by_keyboard(tab):
    box(tab).press_sequentially("a gre")
    tab.get_by_role("option", name="green", exact=True).wait_for()
    assert box(tab).get_attribute("aria-expanded") == "true"
    box(tab).press("ArrowDown")
    assert box(tab).get_attribute("aria-activedescendant")
    query = sent(tab, lambda: box(tab).press("Enter"))
    assert query["text"] == "a green" and box(tab).get_attribute("aria-expanded") == "false"
    box(tab).press_sequentially(" re")
    tab.get_by_role("option", name="red", exact=True).wait_for()
    box(tab).press("Escape")
    assert tab.locator(".ps-words").is_hidden() and box(tab).input_value() == "a green re"


def draw(tab, *points) -> None:
    place = tab.locator(".ps-canvas").bounding_box()
    at = [(place["x"] + x * place["width"], place["y"] + y * place["height"]) for x, y in points]
    tab.mouse.move(*at[0])
    tab.mouse.down()
    for point in at[1:]:
        tab.mouse.move(*point, steps=4)
    tab.mouse.up()


def test_a_drawing_is_searched_erased_and_taken_back(tab):
    tab.get_by_role("button", name="Draw").click()
    one = sent(tab, lambda: draw(tab, (0.2, 0.2), (0.8, 0.2)))["strokes"]
    assert len(one) == 1 and one[0][0] == pytest.approx([0.2, 0.2], abs=0.01)
    assert one[0][-1] == pytest.approx([0.8, 0.2], abs=0.01) and len(one[0]) >= 4
    two = sent(tab, lambda: draw(tab, (0.2, 0.7), (0.8, 0.7)))["strokes"]
    assert two[0] == one[0] and len(two) == 2
    tab.get_by_role("button", name="Eraser").click()
    assert sent(tab, lambda: draw(tab, (0.2, 0.1), (0.2, 0.3)))["strokes"] == [two[1]]
    assert sent(tab, tab.get_by_role("button", name="Undo").click)["strokes"] == two
    tab.get_by_role("button", name="Clear", exact=True).click()
    tab.get_by_role("heading", name="Search 99 pictures").wait_for()
    tab.get_by_role("button", name="Pen").click()
    dot = sent(tab, lambda: draw(tab, (0.5, 0.5)))["strokes"]
    assert len(dot) == 1 and len(dot[0]) == 1
    box(tab).fill("red")
    both = sent(tab, lambda: box(tab).press("Enter"))
    assert both["text"] == "red" and both["strokes"] == dot and both["image_weight"] == 0.5
    weight = tab.get_by_role("slider")
    assert sent(tab, lambda: weight.press("ArrowRight"))["image_weight"] == 0.55
    gone = sent(tab, tab.get_by_role("button", name="Remove drawing").click)
    assert "strokes" not in gone


def test_a_drawing_is_saved_as_quickdraw_writes_it(tab, tmp_path):
    tab.get_by_role("button", name="Draw").click()
    saver = tab.get_by_role("button", name="Save drawing")
    assert saver.is_disabled()
    sent(tab, lambda: draw(tab, (0.2, 0.2), (0.8, 0.2)))
    strokes = sent(tab, lambda: draw(tab, (0.5, 0.5)))["strokes"]
    box(tab).fill("a line and a dot ")
    with tab.expect_download() as download:
        saver.click()
    assert download.value.suggested_filename == "drawing.ndjson"
    download.value.save_as(tmp_path / "drawing.ndjson")
    (record,) = read_ndjson(tmp_path / "drawing.ndjson")
    assert record.word == "a line and a dot" and record.key_id > 10**12
    assert (record.country, record.recognized, record.timestamp) == (None, None, None)
    for saved, drawn in zip(record.drawing.strokes, strokes, strict=True):
        np.testing.assert_allclose(saved / 512, drawn, atol=1e-3)
    times = np.concatenate(record.drawing.times)
    assert times[0] == 0 and (np.diff(times) >= 0).all() and 0 < times[-1] < 60_000
    tab.get_by_role("button", name="Clear", exact=True).click()
    assert saver.is_disabled()


GIVE = """(content) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const given = new DataTransfer();
  given.items.add(new File([bytes], NAME, {type: KIND}));
  return given;
}"""


PASTE = """([view, data]) => view.dispatchEvent(
  new ClipboardEvent("paste", {clipboardData: data, bubbles: true}))"""
WIDTH = """(address) => new Promise((done) => {
  const image = new Image();
  image.onload = () => done(image.width);
  image.src = address;
})"""


def give(tab, name="blue.png", kind="image/png", content=None):
    """A `DataTransfer` with one file."""
    code = GIVE.replace("NAME", json.dumps(name)).replace("KIND", json.dumps(kind))
    return tab.evaluate_handle(code, content or upload())


def test_a_picture_is_dropped_pasted_and_chosen(tab):
    view = tab.locator(".ps")
    view.dispatch_event("dragover", {"dataTransfer": give(tab)})
    assert tab.get_by_text("Drop a picture to search with it").is_visible()
    query = sent(tab, lambda: view.dispatch_event("drop", {"dataTransfer": give(tab)}))
    assert query["image"] == f"data:image/png;base64,{upload()}"
    assert first(tab).startswith("1. a blue page, shade 0,")
    assert tab.locator(".ps-veil").is_hidden() and tab.get_by_text("blue.png").is_visible()

    green = upload("green")
    data = give(tab, "green.png", content=green)
    query = sent(
        tab,
        lambda: tab.evaluate(PASTE, [view.element_handle(), data]),
    )
    assert query["image"].endswith(green) and first(tab).startswith("1. a green page")

    large = base64.b64decode(upload("red", (3000, 2000)))
    chosen = {"name": "large.png", "mimeType": "image/png", "buffer": large}
    query = sent(tab, lambda: tab.locator("input[type=file]").set_input_files(chosen))
    assert first(tab).startswith("1. a red page") and len(query["image"]) < 200_000
    assert tab.evaluate(WIDTH, query["image"]) == 1600  # made smaller before it is sent


def test_what_is_no_picture_is_told(tab):
    view = tab.locator(".ps")
    view.dispatch_event("drop", {"dataTransfer": give(tab, "notes.txt", "text/plain")})
    assert "notes.txt is not a picture" in tab.get_by_role("alert").inner_text()
    view.dispatch_event("drop", {"dataTransfer": give(tab, "broken.png", content="aGVsbG8=")})
    tab.get_by_role("alert").filter(has_text="the image").wait_for()


def test_further_pages_come_by_scrolling_from_one_token(tab):
    ask(tab, "red")
    queries = []

    def note(request):
        if request.method == "POST":
            queries.append(request.post_data_json)

    tab.on("request", note)
    tab.get_by_role("button", name="Options").click()
    tab.get_by_label("Show near-identical pictures once").uncheck()
    for _ in range(40):
        tab.mouse.wheel(0, 3000)
        if tiles(tab).count() == 99:
            break
        tab.wait_for_timeout(50)
    assert tiles(tab).count() == 99 and len(set(tab.locator(".ps-tile").all_inner_texts())) == 99
    assert tab.get_by_role("button", name="More pictures").is_hidden()
    tab.remove_listener("request", note)
    whole, *pages = queries
    assert whole["text"] == "red" and whole["fold"] is False
    assert [page["offset"] for page in pages] == [40, 80]
    assert len({page["query"] for page in pages}) == 1 and all("text" not in p for p in pages)
    ranks = [
        int(text.split(".")[0])
        for text in tiles(tab).evaluate_all("all => all.map(t => t.ariaLabel)")
    ]
    assert ranks == list(range(1, 100))


def test_a_token_that_the_service_forgot_is_asked_for_again(tab):
    tab.route("**/search", lambda route: route.continue_(
        post_data=route.request.post_data.replace('"query":"', '"query":"gone ')
    ))  # fmt: skip
    tab.get_by_role("button", name="Options").click()
    tab.get_by_label("Show near-identical pictures once").uncheck()
    ask(tab, "red")
    tab.mouse.wheel(0, 30_000)
    tab.locator(".ps-tile").nth(60).wait_for(state="attached")
    assert tab.get_by_role("alert").is_hidden()


def test_why_a_picture_was_found(tab):
    ask(tab, "blue")
    tiles(tab).first.click()
    why = tab.get_by_role("complementary", name="Why this picture")
    why.locator(".ps-near img").first.wait_for()
    assert tab.evaluate("document.activeElement.tagName") == "H2"
    text = why.inner_text()
    assert "The cosine with your query is 1.000" in text and "deviations above the mean" in text
    assert "near-identical picture" in text and "blue_00.png" in text and "null" not in text
    assert why.locator("dt").first.inner_text() == "id"
    assert why.get_by_role("img", name="Score 1.000").is_visible()
    why.press("Escape")
    assert why.is_hidden() and tab.evaluate("document.activeElement.ariaLabel") == first(tab)
    tiles(tab).first.click()
    with tab.expect_download() as loaded:
        why.get_by_role("link", name="Original").click()
    assert loaded.value.suggested_filename.startswith("pages-")
    query = sent(tab, why.get_by_role("button", name="More like this").click)
    assert query["text"] == "" and len(query["like"]) == 1 and why.is_hidden()


def test_doubts_are_told_above_the_pictures(tab):
    ask(tab, "zebra")
    doubts = tab.get_by_role("list", name="Doubts")
    assert doubts.inner_text() == "The word 'zebra' was in no caption."
    ask(tab, "red")
    assert doubts.is_hidden()


def test_without_and_a_condition(tab):
    ask(tab, "red")
    tab.get_by_role("button", name="Options").click()
    tab.get_by_label("Without").fill("blue")
    assert sent(tab, lambda: tab.get_by_label("Without").press("Enter"))["without"] == ["blue"]
    condition = tab.get_by_label("Condition")
    condition.fill("hight > 3")  # codespell:ignore
    condition.press("Enter")
    alert = tab.get_by_role("alert").filter(has_text="Did you mean 'height'")
    alert.wait_for()
    assert not tiles(tab).count()
    condition.fill("contains(caption, 'shade 6')")
    assert sent(tab, lambda: condition.press("Enter"))["where"] == "contains(caption, 'shade 6')"
    assert alert.is_hidden() and "shade 6" in first(tab)
    condition.fill("height > 1000")
    condition.press("Enter")
    tab.get_by_role("heading", name="No picture found").wait_for()
    assert tab.get_by_role("status").inner_text() == "No picture found."
    query = sent(tab, tab.get_by_role("button", name="Remove height > 1000").click)
    assert query["where"] == "" and condition.input_value() == ""


def test_pictures_are_selected_and_exported(tab, tmp_path):
    ask(tab, "green")
    tiles(tab).nth(0).locator("[data-do=select]").click(force=True)
    tiles(tab).nth(1).focus()
    tab.keyboard.press("Space")
    bar = tab.get_by_role("group", name="Selected pictures")
    assert bar.get_by_text("2 pictures selected").is_visible()
    assert tiles(tab).nth(1).get_attribute("aria-selected") == "true"

    def loaded(name):
        with tab.expect_download() as download:
            bar.get_by_role("button", name=name).click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        return path

    rows = json.loads(loaded("List as JSON").read_text())
    assert [row["rank"] for row in rows] == [1, 2] and rows[0]["path"] == "green_00.png"
    with open(loaded("List as CSV"), newline="", encoding="utf-8") as stream:
        table = list(csv.DictReader(stream))
    assert [row["caption"] for row in table] == [row["caption"] for row in rows]
    assert table[0]["caption"] == "a green page, shade 0"  # a comma inside
    with zipfile.ZipFile(loaded("Originals (ZIP)")) as archive:
        assert len(archive.namelist()) == 2 and archive.testzip() is None
    ask(tab, "red")  # the selection stays
    assert bar.get_by_text("2 pictures selected").is_visible()
    bar.get_by_role("button", name="Clear selection").click()
    assert bar.is_hidden()


def test_a_service_that_is_gone_is_told_and_asked_again(tab):
    tab.route("**/search", lambda route: route.abort())
    box(tab).fill("red")
    box(tab).press("Enter")
    alert = tab.get_by_role("alert")
    alert.filter(has_text="The service does not answer").wait_for()
    assert not tab.locator(".ps-bone").count()
    tab.unroute("**/search")
    sent(tab, alert.get_by_role("button", name="Try again").click)
    assert alert.is_hidden() and first(tab).startswith("1. a red page")


def test_while_it_searches_it_says_so(tab):
    held = []
    tab.route("**/search", lambda route: held.append(route))
    box(tab).fill("red")
    box(tab).press("Enter")
    tab.locator(".ps-bone").first.wait_for()
    assert tab.get_by_role("status").inner_text() == "Searching"
    assert tab.locator(".ps-grid").get_attribute("aria-busy") == "true"
    for _ in range(500):  # the request is given to this test a moment later
        if held:
            break
        tab.wait_for_timeout(20)
    held[0].continue_()
    tiles(tab).first.wait_for()
    assert not tab.locator(".ps-bone").count()
    assert tab.locator(".ps-grid").get_attribute("aria-busy") is None


def test_pictures_are_reached_by_keyboard(tab):
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.ariaLabel") == "Describe a picture"
    tab.keyboard.type("red")
    sent(tab, lambda: tab.keyboard.press("Enter"))
    for _ in range(8):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.role") == "option":
            break
    label = "() => document.activeElement.ariaLabel"
    assert tab.evaluate(label) == first(tab)
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate(label).startswith("2.")
    tab.keyboard.press("ArrowDown")
    below = int(tab.evaluate(label).split(".")[0])
    tab.keyboard.press("ArrowUp")
    assert below > 3 and tab.evaluate(label).startswith("2.")
    tab.keyboard.press("End")
    assert tab.evaluate(label) == tiles(tab).last.get_attribute("aria-label")
    tab.keyboard.press("Home")
    tab.keyboard.press("Enter")
    assert tab.get_by_role("complementary").is_visible()


def test_every_control_has_a_name_and_the_microphone_waits(tab):
    ask(tab, "red")
    tiles(tab).first.click()
    tab.locator(".ps-near img").first.wait_for()
    nameless = """all => all
      .filter((e) => !(e.ariaLabel || e.labels?.[0]?.textContent || e.textContent.trim()))
      .map((e) => e.outerHTML)"""
    controls = tab.locator("button, input, select, a, [role=option]")
    assert controls.count() > 20 and controls.evaluate_all(nameless) == []
    microphone = tab.get_by_label("Hum a tune")  # no tunes are served
    assert microphone.is_hidden() and microphone.is_disabled() and microphone.get_attribute("title")
    assert all(alt == "" for alt in tab.locator("img").evaluate_all("all => all.map(i => i.alt)"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_follows_the_scheme(browser, address, scheme):
    context = browser.new_context(
        viewport={"width": 390, "height": 800}, color_scheme=scheme, has_touch=True
    )
    tab, check = watched(context, address)
    begin(tab, address)
    ask(tab, "red")
    tiles(tab).first.click()
    tab.locator(".ps-near img").first.wait_for()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    shade = tab.evaluate("getComputedStyle(document.querySelector('.ps')).backgroundColor")
    assert (int(shade.split("(")[1].split(",")[0]) > 128) == (scheme == "light")
    check()
    context.close()


MOUNT = """async (thumbnail) => {
  const { mount } = await import("/page/picture_search.js");
  document.body.className = "";
  document.body.replaceChildren();
  window.asked = [];
  const hit = {rank: 1, id: 7, score: 0.5, standing: 3, name: "a <b>page</b>", columns: {}, copies: [], second_score: 1.5};
  const answer = {query: "token", hits: [hit], more: false, offset: 0, mean: 0.1, deviation: 0.1, doubts: [], second_stage: ["Ordered by MaxSim."]};
  const api = {
    collections: async () => [{name: "kernel", pictures: 1, columns: {}, examples: [], second_stages: ["maxsim"]}],
    search: async (query) => (window.asked.push(query), answer),
    suggest: () => [],
    thumbnail: async () => thumbnail,
  };
  for (const name of ["first", "second"]) {
    const place = document.createElement("div");
    place.id = name;
    document.body.append(place);
    mount(place, api);
  }
}"""  # noqa: E501


def test_a_notebook_mounts_it_with_functions_of_its_own(tab):
    tab.evaluate(MOUNT, f"data:image/png;base64,{upload()}")
    second = tab.locator("#second")
    box(second).fill("red")
    box(second).press("Enter")
    shown = second.get_by_role("option", name="1. a <b>page</b>, score 0.500")
    shown.click()
    assert second.get_by_role("heading", name="a <b>page</b>").is_visible()
    assert second.locator(".ps-tile img").evaluate("image => image.naturalWidth") == 9
    assert second.get_by_role("link", name="Original").count() == 0
    assert [query.get("text") for query in tab.evaluate("asked")] == ["red", None]
    assert tab.locator("#first").get_by_role("heading", name="Search 1 picture").is_visible()
    ids = tab.locator("[id]").evaluate_all("all => all.map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_a_second_stage_is_chosen_for_words_alone(tab):
    tab.get_by_role("button", name="Options").click()
    assert tab.get_by_label("Order").is_hidden()  # this collection has none
    tab.evaluate(MOUNT, f"data:image/png;base64,{upload()}")
    place = tab.locator("#second")
    box(place).fill("red")
    box(place).press("Enter")
    place.get_by_role("button", name="Options").click()
    place.get_by_label("Order").select_option("maxsim")
    assert "Ordered by MaxSim." in place.get_by_role("status").inner_text()
    place.get_by_label("Without").fill("blue")
    place.get_by_label("Without").press("Enter")
    place.locator(".ps-tile[data-id]").click()
    assert "scores it 1.500" in place.get_by_role("complementary").inner_text()
    asked = [query.get("rerank") for query in tab.evaluate("asked")]
    assert asked == [None, "maxsim", None, None]
