"""Write an interactive figure as one page inside a frame: data, style and script, no network."""

import base64
import html
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from lib.plots.style import COLOURS

FOLDER = Path(__file__).parent
DECIMALS = 6  # of a number in a page
NAMES = ("blue", "orange", "green", "pink", "sky", "amber")  # of COLOURS, in CSS
HEIGHT = 640  # pixels, until the page has told its own height
# Nothing may be loaded: scripts and styles stand in the page, pictures are data.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{name}</title>
<style>:root {{ {colours} }}
{style}</style></head>
<body><div id="piece"></div>
<script type="application/json" id="data">{data}</script>
<script type="module">
{parts}
{script}</script></body></html>
"""


def page(name: str, data: dict) -> str:
    """Write the page of one piece, whole and without links to anything outside."""
    return PAGE.format(
        policy=POLICY,
        name=name,
        colours=" ".join(f"--{name}: {colour};" for name, colour in zip(NAMES, COLOURS)),
        style=_file("parts.css"),
        data=json_in_html(data),
        parts=_file("parts.js"),
        script=_file(f"{name}.js"),
    )


def frame(name: str, data: dict, sentence: str) -> str:
    """Put the page of a piece into a frame, with a sentence below it."""
    return (
        '<figure style="margin:0.5em 0">'
        f'<iframe title="Interactive figure: {name}" srcdoc="{html.escape(page(name, data))}"'
        f' style="width:100%;height:{HEIGHT}px;border:1px solid #c9cdd2;border-radius:8px">'
        f"</iframe><figcaption>{html.escape(sentence)}</figcaption></figure>"
    )


def json_in_html(data: dict) -> str:
    """Write data as JSON that cannot end a script element; arrays are rounded."""
    text = json.dumps(data, default=_rounded, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def picture(pixels: np.ndarray) -> str:
    """Write uint8 pixels, grey or RGB, as the address of a picture that is its own content."""
    content = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(content, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def _rounded(value):
    if isinstance(value, np.generic | np.ndarray):
        wide = value.astype(np.float64) if value.dtype.kind == "f" else value
        return np.round(wide, DECIMALS).tolist()
    raise TypeError(f"{type(value).__name__} has no place in a page: {value!r}")


def _file(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
