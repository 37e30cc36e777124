"""Pictures of pages: boxes recovered from drawn layouts, real features by hand, and bad input."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import page_pictures
from lib.datasets.page_layouts import (
    KINDS,
    LINE,
    PICTURE,
    TEXT,
    Layout,
    generate_pages,
    layout_overlap,
    layout_task,
)
from lib.datasets.page_pictures import _filled, _run_lengths, find_layout, read_page_folder
from tests.datasets.rendered_pages import render_page

BEST_IOU = {TEXT: 0.8, PICTURE: 0.95, LINE: 0.85}  # least mean over boxes


def box_iou(one, other):
    """Intersection over union of each pair of boxes."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (one, other)]
    return both / (areas[0][:, None] + areas[1] - both)


def test_runs_by_hand():
    row = np.array([[1, 1, 0, 0, 0, 1, 0]], dtype=bool)
    assert _run_lengths(row, 1).tolist() == [[2, 2, 3, 3, 3, 1, 1]]
    assert _run_lengths(row.T, 0).ravel().tolist() == [2, 2, 3, 3, 3, 1, 1]
    assert _filled(row, 3).tolist() == row.tolist()
    assert _filled(row, 4).tolist() == [[True] * 6 + [False]]  # the margin stays white
    assert _filled(row.T, 4, axis=0).ravel().tolist() == [True] * 6 + [False]


def test_boxes_of_generated_pages_are_recovered():
    """The best IoU of a drawn box with a found one of its kind, and the overlap of whole pages."""
    pages = generate_pages("validation", 12)
    found = [find_layout(render_page(page, seed=i)) for i, page in enumerate(pages)]
    overlap = layout_overlap(found, pages)
    assert overlap.diagonal().min() > 0.85 and (overlap.argmax(axis=1) == np.arange(12)).all()
    for kind in KINDS:
        best, n_found = [], 0
        for page, layout in zip(pages, found, strict=True):
            drawn, boxes = (x.boxes[np.array(x.kinds) == kind] for x in (page, layout))
            n_found += len(boxes)
            best += box_iou(drawn, boxes).max(axis=1, initial=0).tolist()
        assert np.mean(best) > BEST_IOU[kind], kind
        assert abs(n_found - len(best)) < 0.1 * len(best), kind


@pytest.mark.parametrize(("size", "paper"), [((1500, 2000), "white"), ((750, 1000), "#f4ecd8")])
def test_resolution_and_paper_change_little(size, paper):
    page = generate_pages("validation", 10)[9]
    overlap = layout_overlap([find_layout(render_page(page, size, paper=paper))], [page])
    assert overlap > 0.85


def test_white_on_black_is_a_page_too():
    page = generate_pages("validation", 3)[2]
    picture = render_page(page)
    inverted = Image.eval(picture, lambda value: 255 - value)
    assert layout_overlap([find_layout(inverted)], [find_layout(picture)]) > 0.97


def test_what_a_rule_touches_stays_apart():
    """A picture that hangs on a rule, an underlined line of words, a grid of a table, a frame."""
    picture = Image.new("RGB", (750, 1000), "white")
    draw = ImageDraw.Draw(picture)
    draw.line((50, 100, 700, 100), "black", 1)
    draw.ellipse((100, 101, 250, 250), "red")  # hangs on the rule
    words = render_page(Layout([[0.1, 0.5, 0.6, 0.514]], (TEXT,)))
    picture.paste(words.crop((75, 495, 450, 514)), (75, 495))
    draw.line((75, 513, 440, 513), "blue", 1)  # an underline
    for x in (100, 300, 500):
        draw.line((x, 700, x, 900), "black", 1)
    for y in (700, 800, 900):
        draw.line((100, y, 500, y), "black", 1)
    found = find_layout(picture)
    boxes = dict.fromkeys(KINDS)
    for kind in KINDS:
        boxes[kind] = found.boxes[np.array(found.kinds) == kind] * [750, 1000, 750, 1000]
    assert len(boxes[PICTURE]) == 1 and len(boxes[TEXT]) == 1
    np.testing.assert_allclose(boxes[PICTURE][0], [100, 101, 251, 251], atol=1)
    np.testing.assert_allclose(boxes[LINE][:, 1] + 3, [100.5, 700.5, 800.5, 900.5], atol=1)


def test_a_folder_is_read_in_order_and_makes_a_task(tmp_path):
    pages = generate_pages("validation", 3)
    (tmp_path / "b").mkdir()
    for i, name in enumerate(("b/2.JPG", "a.png", "b/1.jpeg")):
        render_page(pages[i]).save(tmp_path / name, quality=90)
    (tmp_path / "notes.txt").write_text("no page")
    names, layouts = read_page_folder(tmp_path)
    assert names == ["a.png", "b/1.jpeg", "b/2.JPG"]
    assert layout_overlap(layouts, pages).argmax(axis=1).tolist() == [1, 2, 0]
    task = layout_task(layouts)
    assert len(task.queries) == 3 and task.split == "given"
    np.testing.assert_array_equal(task.query_groups, np.arange(3))


@pytest.mark.parametrize(
    ("size", "colour", "message"),
    [
        ((400, 500), "white", "is blank"),
        ((400, 500), "grey", "is blank"),
        ((1, 1), "black", "at least 200 pixels, .* got 1 x 1"),
        ((199, 300), "white", "got 199 x 300"),
        ((200, 801), "white", "one at most 4 times the other, got 200 x 801"),
    ],
)
def test_what_is_no_page(tmp_path, size, colour, message):
    Image.new("RGB", size, colour).save(tmp_path / "page.png")
    with pytest.raises(RetrievalInputError, match=r"page\.png " + ".*" + message):
        read_page_folder(tmp_path)


def test_bad_folders(tmp_path, monkeypatch):
    with pytest.raises(MissingFileError, match="is no folder"):
        read_page_folder(tmp_path / "none")
    with pytest.raises(DamagedFileError, match=r"holds no \.png"):
        read_page_folder(tmp_path)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(DamagedFileError, match="is not a picture"):
        read_page_folder(tmp_path)
    Image.new("1", (9_000, 9_000)).save(tmp_path / "a.png")
    with pytest.raises(RetrievalInputError, match="is too large: 9,000 x 9,000"):
        read_page_folder(tmp_path)
    monkeypatch.setattr(page_pictures, "MOST_PAGES", 0)
    with pytest.raises(RetrievalInputError, match="holds 1 pictures, at most 0 are read"):
        read_page_folder(tmp_path)


@pytest.mark.parametrize("seed", range(20))
def test_any_picture_is_a_layout_or_an_error(seed):
    """Noise, gradients, stripes: never a wrong layout, never another error."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(200, 500, 2)
    pixels = rng.integers(0, 256, (height, width, 3))
    if seed % 4 == 1:
        pixels[:] = np.linspace(0, 255, width)[:, None]
    elif seed % 4 == 2:
        pixels[:] = 255 * (np.arange(height) // int(rng.integers(1, 30)) % 2)[:, None, None]
    elif seed % 4 == 3:
        pixels = 255 * (pixels > rng.choice([2, 250]))
    try:
        layout = find_layout(Image.fromarray(pixels.astype(np.uint8)))
    except RetrievalInputError as error:
        assert "is blank" in str(error)
    else:
        assert layout.boxes.min() >= 0 and layout.boxes.max() <= 1


def test_no_pages_make_no_task():
    with pytest.raises(RetrievalInputError, match="pages must hold at least one layout"):
        layout_task([])
