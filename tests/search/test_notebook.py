"""The search in a notebook: what the kernel answers, what a stored notebook shows, and the page."""

import base64
import json

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.search import notebook
from lib.search.collection import Collection, build_collection
from lib.search.collection import collection as opened
from lib.search.notebook import picture_search
from tests.search.collection.conftest import COLOURS, MODEL, ColourEncoder, paint
from tests.search.service.conftest import upload

CAPTION = 'a {} page, shade {} & "x"'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve pictures: four shades of three colours, with captions."""
    root = tmp_path_factory.mktemp("notebook")
    for colour in COLOURS:
        for shade in range(0, 80, 20):
            paint(root / "pictures" / f"{colour}_{shade}.png", colour, shade=shade, size=(40, 30))
            text = CAPTION.format(colour, shade)
            (root / "pictures" / f"{colour}_{shade}.txt").write_text(text)
    build_collection([root / "pictures"], root / "mine", ColourEncoder(), MODEL)
    return root / "mine"


@pytest.fixture
def widget(folder, monkeypatch):
    """The widget, and the list of what it sends."""
    monkeypatch.setattr(opened, "load_query_encoder", lambda manifest: ColourEncoder())
    made = picture_search(folder)
    made.sent = []
    monkeypatch.setattr(
        type(made), "send", lambda self, content, buffers=None: self.sent.append((content, buffers))
    )
    return made


def ask(widget, **message):
    """Send a message as the page does, and return the one answer to it."""
    widget.sent.clear()
    widget._handle_custom_msg({"number": "a-1", **message}, [])
    ((answer, buffers),) = widget.sent
    assert answer["number"] == "a-1"
    return buffers[0] if buffers else answer.get("answer", answer.get("error"))


def test_it_describes_and_suggests(widget):
    (described,) = ask(widget, ask="collections")
    assert described["name"] == "mine" and described["pictures"] == 12
    assert len(described["examples"]) == 12 and described["second_stages"] == ()
    assert ask(widget, ask="suggest", prefix="GR") == ["green"]


def test_it_finds_what_the_collection_finds(widget, folder):
    expected = Collection(folder).search("red", k=5, fold=False)
    first = ask(widget, ask="search", query={"text": "red", "k": 3, "fold": False})
    asked = {"query": first["query"], "k": 2, "offset": 3, "fold": False}
    second = ask(widget, ask="search", query=asked)
    assert [hit["id"] for hit in first["hits"] + second["hits"]] == [h.id for h in expected.hits]
    json.dumps([first, second])  # plain values
    item = first["hits"][0]["id"]
    like = ask(widget, ask="search", query={"collection": "mine", "like": [item], "k": 2})
    assert like["hits"][0]["name"].startswith("a red page") and like["hits"][0]["id"] != item
    dropped = ask(widget, ask="search", query={"image": upload("blue"), "k": 1})
    assert dropped["hits"][0]["name"] == CAPTION.format("blue", 0)
    assert ask(widget, ask="search", query={"strokes": [[[0.1, 0.1], [0.9, 0.9]]]})["hits"]
    assert ask(widget, ask="thumbnail", id=item) == Collection(folder).thumbnail(item)


@pytest.mark.parametrize(
    ("message", "status", "text"),
    [
        ({"ask": "search", "query": {"text": "red", "k": 0}}, 422, "k must be greater"),
        ({"ask": "search", "query": {"texts": "red"}}, 422, "'texts' is no field"),
        ({"ask": "search", "query": None}, 422, "got None"),
        ({"ask": "search", "query": {}}, 400, "a query must have text, image"),
        ({"ask": "search", "query": {"query": "gone", "k": 1}}, 400, "token of an earlier answer"),
        (
            {"ask": "search", "query": {"text": "x", "where": "hight > 3"}},  # codespell:ignore
            400,
            "'height'",
        ),
        ({"ask": "thumbnail", "id": 99}, 400, "one of the 12 pictures, got 99"),
        ({"ask": "thumbnail"}, 400, "must be a whole number, got None"),
        ({"ask": "serch"}, 400, "Did you mean 'search'"),  # codespell:ignore
        ({}, 400, "ask must be one of"),
    ],
)
def test_an_error_is_the_answer(widget, message, status, text):
    error = ask(widget, **message)
    assert error["status"] == status and text in error["message"]


def test_a_defect_is_told_and_raised(widget, monkeypatch):
    monkeypatch.setattr(notebook, "query_of", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        widget._answer(widget, {"number": "1", "ask": "search", "query": {"text": "red"}}, [])
    assert widget.sent[0][0]["error"]["status"] == 503


def test_the_drawing_and_the_picture_are_read_in_python(widget):
    seen = []
    widget.observe(lambda change: seen.append(change["new"]), "strokes")
    assert widget.query_image() is None and widget.drawing() is None
    widget.set_state({"strokes": [[[0.5, 0.1], [0.5, 0.9]]]})  # as the page sends it
    drawn = widget.query_image().convert("L")
    assert seen == [[[[0.5, 0.1], [0.5, 0.9]]]]
    np.testing.assert_array_equal(widget.drawing().points, [[0.5, 0.1], [0.5, 0.9]])
    assert drawn.getpixel((256, 256)) == 0 and drawn.getpixel((20, 20)) == 255
    widget.set_state({"strokes": [], "picture": f"data:image/png;base64,{upload('blue')}"})
    assert widget.query_image().convert("RGB").getpixel((4, 4)) == COLOURS["blue"]


def test_a_stored_notebook_shows_still_pictures(widget):
    data, _ = widget._repr_mimebundle_()
    assert data["text/plain"] == "A search of 12 pictures; run this cell to use it."
    page = data["text/html"]
    assert page.count("<img ") == 6 and page.count("data:image/jpeg;base64,") == 6
    assert 'alt="a red page, shade 0 &amp; &quot;x&quot;"' in page and "<script" not in page
    assert "application/vnd.jupyter.widget-view+json" in data


def test_what_is_no_collection_is_refused(tmp_path, monkeypatch):
    with pytest.raises(MissingFileError, match="is no collection"):
        picture_search(tmp_path)
    monkeypatch.setattr(notebook, "IMPORT", "import nothing")
    with pytest.raises(RetrievalInputError, match="must have the line"):
        notebook._module()


# ---- in Chromium

# A model as anywidget gives it: messages go to Python and come back, traits are kept.
LOAD = """async (module) => {
  const heard = [], traits = {};
  window.traits = traits;
  window.model = {
    get: (name) => traits[name],
    set: (name, value) => (traits[name] = value),
    save_changes: () => (traits.saved = (traits.saved ?? 0) + 1),
    on: (name, f) => heard.push(f),
    off: (name, f) => heard.splice(heard.indexOf(f), 1),
    send: async (message) => {
      const [answer, buffer] = JSON.parse(await window.kernel(JSON.stringify(message)));
      const bytes = buffer && Uint8Array.from(atob(buffer), (c) => c.charCodeAt(0));
      for (const f of [...heard]) f(answer, bytes ? [new DataView(bytes.buffer)] : []);
    },
  };
  window.heard = heard;
  const address = URL.createObjectURL(new Blob([module], {type: "text/javascript"}));
  const widget = (await import(address)).default;
  document.body.dataset.jpThemeLight = "false";
  window.ends = [];
  for (const id of ["first", "second"]) {
    const el = document.createElement("div");
    el.id = id;
    document.body.append(el);
    window.ends.push(widget.render({model: window.model, el}));
  }
}"""


@pytest.fixture
def tab(browser, widget):
    """A page with two views of one widget, whose kernel is this process."""
    page, wrong = browser.new_page(), []
    page.set_default_timeout(60_000)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    asked = []

    def kernel(text):
        message = json.loads(text)
        asked.append(message)
        widget.sent.clear()
        widget._handle_custom_msg(message, [])
        ((answer, buffers),) = widget.sent
        return json.dumps([answer, base64.b64encode(buffers[0]).decode() if buffers else None])

    page.expose_function("kernel", kernel)
    page.set_content(f"<!DOCTYPE html><style>{widget._css}</style><body></body>")
    page.evaluate(LOAD, widget._esm)
    page.asked = asked
    yield page
    assert not wrong
    page.close()


@pytest.mark.browser
def test_it_draws_and_searches_in_a_notebook(tab):
    place = tab.locator("#second")
    place.get_by_role("heading", name="Search 12 pictures").wait_for()
    assert place.locator(".ps").evaluate("e => getComputedStyle(e).colorScheme") == "dark"
    box = place.get_by_role("combobox", name="Describe a picture")
    box.fill("green")
    box.press("Enter")
    hit = place.get_by_role("option", name="1. a green page, shade 0")
    tab.wait_for_function("() => document.querySelector('#second .ps-tile img')?.naturalWidth > 0")
    assert hit.locator("img").get_attribute("src").startswith("blob:")
    hit.click()
    why = place.get_by_role("complementary", name="Why this picture")
    why.locator(".ps-near img").first.wait_for()
    assert why.get_by_role("link", name="Original").count() == 0
    assert place.get_by_label("Hum a melody").is_hidden()
    why.press("Escape")

    place.get_by_role("button", name="Draw").click()
    canvas = place.locator(".ps-canvas").bounding_box()
    tab.mouse.move(canvas["x"] + 20, canvas["y"] + 20)
    tab.mouse.down()
    tab.mouse.move(canvas["x"] + 120, canvas["y"] + 20, steps=4)
    tab.mouse.up()
    ((stroke,),) = [tab.evaluate("traits.strokes")]
    assert len(stroke) >= 3 and tab.evaluate("traits.picture") == ""
    tab.wait_for_function("() => !document.querySelector('#second .ps-bone')")
    for _ in range(100):  # it is sent a quarter of a second after the stroke
        drawn = [message["query"] for message in tab.asked if message["ask"] == "search"][-1]
        if "strokes" in drawn:
            break
        tab.wait_for_timeout(50)
    assert drawn["strokes"] == [stroke] and drawn["text"] == "green"
    assert tab.locator("#first").get_by_role("heading", name="Search 12 pictures").is_visible()
    ids = tab.locator("[id]").evaluate_all("all => all.map((e) => e.id)")
    assert len(ids) == len(set(ids))

    place.get_by_role("button", name="Options").click()
    place.get_by_label("Condition").fill("hight > 3")  # codespell:ignore
    place.get_by_label("Condition").press("Enter")
    place.get_by_role("alert").filter(has_text="Did you mean 'height'").wait_for()
    tab.evaluate("ends.forEach((end) => end())")
    assert tab.evaluate("heard.length") == 0
