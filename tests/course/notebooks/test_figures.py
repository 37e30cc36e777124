"""Stored pictures are small and look the same."""

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from lib.course.notebooks.figures import FEW, LARGE_ERROR, pack_figures, packed_png


def png_of(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def rgb(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), int)


@pytest.fixture(scope="module")
def chart() -> bytes:
    figure, ax = plt.subplots(figsize=(9, 5))
    for number in range(4):
        ax.plot(np.arange(9), np.arange(9) * number, marker="o", label=f"line {number}")
    ax.legend()
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    plt.close(figure)
    return stream.getvalue()


def test_a_chart_takes_half_the_bytes_and_looks_the_same(chart):
    packed = packed_png(chart)
    assert len(packed) < len(chart) / 2
    assert Image.open(io.BytesIO(packed)).mode == "P"
    assert rgb(packed).shape == rgb(chart).shape
    moved = np.abs(rgb(packed) - rgb(chart)).max(axis=2)
    assert (moved > LARGE_ERROR).mean() <= FEW
    white = (rgb(chart) == 255).all(axis=2)
    assert white.mean() > 0.5 and (rgb(packed)[white] == 255).all()


def test_few_colours_keep_their_exact_values():
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:10] = (0, 114, 178)
    pixels[10:] = (213, 94, 0)
    assert np.array_equal(rgb(packed_png(png_of(pixels))), pixels)


def test_many_colours_are_not_put_into_a_palette():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
    pixels[:, :, 3] = 255
    png = png_of(pixels)
    packed = packed_png(png)
    assert len(packed) < len(png)
    assert np.array_equal(rgb(packed), pixels[:, :, :3])


def test_transparent_pictures_packed_ones_and_other_bytes_stay_as_they_are(chart):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:4, :, 3] = 128
    png = png_of(pixels)
    assert packed_png(png) == png
    packed = packed_png(chart)
    assert packed_png(packed) == packed
    assert packed_png(b"no picture") == b"no picture"


def test_of_a_notebook_only_its_pictures_change(chart):
    picture = {"image/png": base64.b64encode(chart).decode(), "text/plain": "<Figure>"}
    table = {"text/html": "<table></table>"}
    outputs = [new_output("display_data", picture), new_output("display_data", table)]
    outputs.append(new_output("stream", text="12 encoded\n"))
    notebook = new_notebook(
        cells=[new_markdown_cell("# 20 A title"), new_code_cell("plots.show()", outputs=outputs)]
    )
    pack_figures(notebook)
    first, second, third = notebook.cells[1].outputs
    assert base64.b64decode(first.data["image/png"]) == packed_png(chart)
    assert first.data["text/plain"] == "<Figure>"
    assert second.data == table and third.text == "12 encoded\n"
