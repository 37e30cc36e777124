"""Any picture as an icon."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.datasets import icons
from lib.datasets.user_drawings import FAINT, SPAN, read_drawing, read_picture


def sketch(page, ink, size=(200, 120), mode="RGB"):
    """A flag: a pole on the left, a cloth at the top."""
    picture = Image.new(mode, size, page)
    pen = ImageDraw.Draw(picture)
    pen.rectangle([60, 20, 65, 100], fill=ink)
    pen.rectangle([65, 20, 120, 50], fill=ink)
    return picture


@pytest.fixture
def read(tmp_path):
    def save_and_read(picture, name="drawing.png", **options):
        picture.save(tmp_path / name, **options)
        return read_drawing(tmp_path / name)

    return save_and_read


@pytest.fixture
def flag(read):
    return read(sketch("black", "white"))


def test_a_drawing_is_cropped_scaled_and_centred(flag):
    assert flag.shape == (64, 64) and flag.dtype == np.uint8 and flag.max() == 255
    rows, columns = np.flatnonzero(flag.any(axis=1)), np.flatnonzero(flag.any(axis=0))
    # 44 pixels high, as the median icon, in the middle of 64.
    assert (rows[0], rows[-1]) == (10, 53)
    assert columns[-1] - columns[0] + 1 == round(44 * 61 / 81)
    assert flag[14, 40] == 255 and flag[50, 40] == 0  # the cloth is at the top and to the right


@pytest.mark.parametrize(
    ("page", "ink"),
    [("white", "black"), ("#fff8e0", "#203060"), ("#404040", "#c0c0c0"), ("#00c000", "#600000")],
)
def test_any_ink_on_any_page_is_the_same_icon(read, flag, page, ink):
    assert np.abs(read(sketch(page, ink)).astype(int) - flag).max() <= 1


@pytest.mark.parametrize("ink", [(0, 0, 0, 255), (255, 255, 255, 255), (90, 0, 200, 255)])
def test_transparency_is_page(read, flag, ink):
    found = read(sketch((0, 0, 0, 0), ink, mode="RGBA"))
    assert np.abs(found.astype(int) - flag).max() <= 1


def test_the_colour_behind_full_transparency_does_not_show(read, flag):
    found = read(sketch((255, 0, 0, 0), (0, 0, 0, 255), mode="RGBA"))
    assert np.abs(found.astype(int) - flag).max() <= 1


@pytest.mark.parametrize(
    ("mode", "name"),
    [("L", "a.png"), ("1", "a.png"), ("P", "a.gif"), ("CMYK", "a.tiff"), ("I;16", "a.png")],
)
def test_other_modes_and_formats(read, flag, mode, name):
    picture = sketch("white", "black").convert("L")
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    found = read(picture.convert(mode), name)
    assert np.abs(found.astype(int) - flag).mean() < 2


def test_jpeg_noise_is_not_ink(read, flag):
    found = read(sketch("white", "black"), "drawing.jpg", quality=60)
    assert np.abs(found.astype(int) - flag).mean() < 6


def test_thin_lines_of_a_large_sketch_stay_bright(read):
    picture = Image.new("L", (2000, 2000), 255)
    ImageDraw.Draw(picture).ellipse([200, 200, 1800, 1800], outline=0, width=4)
    found = read(picture)
    assert found.max() == 255 and (found > 120).sum() > 60


def test_a_wide_drawing_keeps_its_shape(read):
    picture = Image.new("L", (400, 60), 255)
    ImageDraw.Draw(picture).rectangle([50, 28, 350, 31], fill=0)
    found = read(picture)
    assert np.flatnonzero(found.any(axis=1)).tolist() == [31] and found.any(axis=0).sum() == SPAN


def test_a_small_drawing_is_enlarged(read):
    found = read(Image.fromarray(np.pad(np.full((2, 2), 255, np.uint8), 3)))
    assert found.any(axis=0).sum() == found.any(axis=1).sum() == SPAN


def test_an_icon_comes_back_nearly_as_it_is(read):
    def blurred(image):
        return image.reshape(8, 8, 8, 8).mean(axis=(1, 3)).ravel()

    likeness = []
    for image in icons.load_icons().images[1000::500]:
        found = read(Image.fromarray(255 - image))
        assert max(np.flatnonzero(found.any(axis=axis)).size for axis in (0, 1)) <= SPAN
        likeness.append(np.corrcoef(blurred(found), blurred(image))[0, 1])
    assert np.median(likeness) > 0.9


def test_the_median_icon_has_the_size_drawings_are_scaled_to():
    inked = icons.load_icons().images >= FAINT
    spans = []
    for axis in (1, 2):
        used = inked.any(axis=axis)
        spans.append(64 - used.argmax(axis=1) - used[:, ::-1].argmax(axis=1))
    assert np.median(np.maximum(*spans)) == SPAN


@pytest.mark.parametrize("page", ["white", "black", (0, 0, 0, 0), (10, 20, 30, 128)])
def test_refuses_blank_pictures(read, page):
    with pytest.raises(RetrievalInputError, match=r"drawing.png is blank: no ink stands out"):
        read(Image.new("RGBA", (50, 40), page))


def test_refuses_what_is_not_there_or_not_an_image(tmp_path):
    with pytest.raises(MissingFileError, match="none.png is missing"):
        read_drawing(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.png").write_bytes(b"")
    sketch("white", "black").save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:150])
    for name in ("text.png", "empty.png", "half.png", "."):
        with pytest.raises(
            ValueError, match="is not a picture|is empty|cannot be decoded|cannot be opened"
        ):
            read_drawing(tmp_path / name)


def test_refuses_a_picture_too_large_to_unpack(tmp_path, monkeypatch):
    sketch("white", "black").save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(
        RetrievalInputError, match="large.png is too large: more than Pillow's limit"
    ):
        read_drawing(tmp_path / "large.png")


def test_orientation_and_sixteen_bits_give_the_same_icon(read, flag):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned 90 degrees clockwise
    turned = sketch("white", "black").transpose(Image.Transpose.ROTATE_90)
    assert np.abs(read(turned, exif=exif).astype(int) - flag).max() <= 1
    deep = np.asarray(sketch("white", "black", mode="L"), dtype=np.uint16) * 257
    assert np.abs(read(Image.fromarray(deep)).astype(int) - flag).max() <= 1


# ---- pictures in colour


def read_coloured(tmp_path, picture):
    picture.save(tmp_path / "picture.png")
    return read_picture(tmp_path / "picture.png")


def test_a_drawing_becomes_dark_ink_on_white(tmp_path, read):
    drawing = sketch("white", "black")
    picture = read_coloured(tmp_path, drawing)
    np.testing.assert_array_equal(picture, np.repeat(255 - read(drawing)[..., None], 3, axis=2))


@pytest.mark.parametrize(("mode", "page"), [("RGB", "white"), ("RGBA", (0, 0, 0, 0))])
def test_colours_stay_and_the_picture_is_centred(tmp_path, mode, page):
    picture = read_coloured(tmp_path, sketch(page, (255, 0, 0), mode=mode))
    assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
    red = (picture[..., 0] > 200) & (picture[..., 1] < 60) & (picture[..., 2] < 60)
    rows = np.flatnonzero(red.any(axis=1))
    assert (rows[0], rows[-1]) == (5, 58)  # 54 pixels high, as the median emoji
    assert (picture[0] == 255).all() and (picture[:, 0] == 255).all()


def test_a_speck_of_colour_makes_no_colour_picture(tmp_path):
    drawing = sketch("white", "black")
    drawing.putpixel((70, 30), (255, 0, 0))
    assert not np.ptp(read_coloured(tmp_path, drawing), axis=2).any()


def test_a_blank_picture_is_refused(tmp_path):
    with pytest.raises(RetrievalInputError, match="is blank"):
        read_coloured(tmp_path, Image.new("RGB", (30, 20), (200, 30, 30)))
