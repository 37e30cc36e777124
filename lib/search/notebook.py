"""Search a collection inside a notebook, on the page of the service: `picture_search("pictures")`.

The widget stands in a running notebook. A stored notebook, its HTML page and GitHub show the same
output as still pictures of the collection; they need no kernel and no script. nbval compares these
pictures: tag the cell `nbval-ignore-output` where they are not the same on every machine.
"""

import base64
import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from PIL import Image

from lib.core.checks import RetrievalInputError, check_choice
from lib.datasets.strokes import Drawing
from lib.search.collection import Collection
from lib.search.collection.searching import name_of
from lib.search.service.drawing import decode_upload, read_strokes
from lib.search.service.messages import SearchRequest, answer_of, error_answer
from lib.search.service.opened import frequent_words, suggested
from lib.search.service.queries import (
    KeptQueries,
    described,
    examples,
    query_of,
    results_of,
    space_of,
)
from lib.search.sketches import sketch_page

PAGE = Path(__file__).parent / "service" / "page"
IMPORT = 'import { mount } from "./picture_search.js";\n'
STILLS = 6  # pictures where no kernel runs


def picture_search(collection: Collection | str | Path) -> "PictureSearchWidget":
    """Make a search box, a canvas and a grid of results over a collection, for a notebook.

    Args:
        collection: that `crossmodal index` made, open or by its folder.
    """
    if not isinstance(collection, Collection):
        collection = Collection(collection)
    return PictureSearchWidget(collection)


def _module() -> str:
    """Return one module without imports, as a widget needs it: the page's, and the messages."""
    page, messages = ((PAGE / n).read_text("utf-8") for n in ("picture_search.js", "notebook.js"))
    if IMPORT not in messages:
        raise RetrievalInputError(f"notebook.js must have the line {IMPORT.strip()!r}")
    return page + messages.replace(IMPORT, "")


class PictureSearchWidget(anywidget.AnyWidget):
    """Show the page of the service in a notebook; it searches in the kernel, without a server.

    Args:
        collection: that is searched.

    Attributes:
        strokes: the drawing on the canvas: lists of points (x, y) from 0 to 1, the last stroke
            last. `widget.observe(f, "strokes")` calls f after each stroke.
        picture: the picture that was chosen, dropped or pasted, as a data URL; "" for none.
    """

    _esm = _module()
    _css = (PAGE / "page.css").read_text("utf-8")
    strokes = traitlets.List(read_only=True).tag(sync=True)
    picture = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(self, collection: Collection) -> None:
        super().__init__()
        self.collection, self._kept = collection, KeptQueries()
        self._name = collection.folder.path.resolve().name
        self._words: list[str] | None = None
        self._asked = {
            "collections": lambda message: [described(self._name, collection)],
            "search": self._search,
            "suggest": self._suggest,
            "thumbnail": lambda message: collection.thumbnail(message.get("id")),
        }
        self.on_msg(self._answer)

    def query_image(self) -> Image.Image | None:
        """Return the picture or the drawing that the page shows as a query; None without one."""
        if self.picture:
            return decode_upload(self.picture)
        drawing = self.drawing()
        return None if drawing is None else sketch_page(drawing)

    def drawing(self) -> Drawing | None:
        """Return the strokes on the canvas, a sketch for every search; None without one."""
        return read_strokes(self.strokes) if self.strokes else None

    def _answer(self, widget: object, message: Mapping[str, Any], buffers: list) -> None:
        """Answer one message of the page; an error becomes its answer."""
        number = message.get("number")
        try:
            ask = check_choice(message.get("ask"), self._asked, "ask")
            answer = self._asked[ask](message)
        except Exception as error:  # whatever it is, the page must not wait for ever
            status, sentence = error_answer(error)
            self.send({"number": number, "error": {"message": sentence, "status": status}})
            if isinstance(error, ValueError | OSError | MemoryError):
                return
            raise  # a defect
        if isinstance(answer, bytes):
            self.send({"number": number}, [answer])
        else:
            self.send({"number": number, "answer": answer})

    def _search(self, message: Mapping[str, Any]) -> dict[str, Any]:
        request = SearchRequest.model_validate(message.get("query"))
        space = space_of(self._name, self.collection)
        query, rows = query_of(request, self._kept, space)
        results = results_of(request, self.collection, query, rows)
        token = self._kept.token_of(request, space, query, results)
        return answer_of(self._name, token, results).model_dump()

    def _suggest(self, message: Mapping[str, Any]) -> list[str]:
        if self._words is None:
            self._words = frequent_words(self.collection)
        return suggested(self._words, str(message.get("prefix", "")))

    # ---- where no kernel runs

    def __repr__(self) -> str:
        return f"A search of {len(self.collection):,} pictures; run this cell to use it."

    def _repr_mimebundle_(self, **options: object) -> tuple[dict, dict]:
        """Return the widget, and still pictures for a page without a kernel."""
        data, metadata = super()._repr_mimebundle_(**options)
        return {**data, "text/plain": repr(self), "text/html": self._stills()}, metadata

    def _stills(self) -> str:
        """Write some pictures of the collection as HTML that needs nothing else."""
        images = []
        for item in examples(self.collection, STILLS):
            content = base64.b64encode(self.collection.thumbnail(item)).decode()
            name = html.escape(name_of(self.collection.item(item)))
            images.append(
                f'<img src="data:image/jpeg;base64,{content}" alt="{name}" title="{name}"'
                ' style="height:96px;margin:0 8px 8px 0;border-radius:8px">'
            )
        return f"<div>{''.join(images)}<p>{html.escape(repr(self))}</p></div>"
