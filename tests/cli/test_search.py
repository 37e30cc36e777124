"""`crossmodal search`: output, contact sheet and refused queries."""

import numpy as np
import pytest
from PIL import Image

from lib.cli import search
from lib.datasets import pictures
from lib.datasets.picture_gallery import EMOJI_NOTICE, UNSEEN, load_gallery
from lib.search import PictureHit
from tests.cli.conftest import one_line

N_ICONS = 16_546


class FakeRetriever:
    """Answer without a model, and record the queries."""

    def __init__(self):
        self.queries, self.made, self.options, self.first = [], [], [], 0
        self.gallery = load_gallery()

    def make(self, *arguments):
        self.made.append(arguments)
        return self

    def hits(self, query, k, **options):
        self.queries.append(query)
        self.options.append(options)
        places = [self.first + 10 * i for i in range(k)]
        return [
            PictureHit(
                rank,
                1 - rank / 10,
                place,
                self.gallery.names[place],
                source=str(self.gallery.sources[place]),
                family=self.gallery.family(place),
                split=str(self.gallery.splits[place]),
            )
            for rank, place in enumerate(places, start=1)
        ]

    by_text = by_image = hits

    def by_sketch(self, sketch, k, text, **options):
        return self.hits((sketch, text), k, **options)

    def doubts_about(self, query):
        return [f"{len(query.split())} words are many."] if len(query.split()) > 20 else []

    def missed_name(self, query, hits):
        return f"{query} is missed." if query.startswith("penguin") else ""


@pytest.fixture
def fake(monkeypatch):
    import lib.search

    retriever = FakeRetriever()
    monkeypatch.setattr(lib.search, "picture_retriever", retriever.make)
    return retriever


def test_search_prints_a_table_and_writes_a_sheet(run, fake, tmp_path):
    code, out, _ = run("search", "red alarm clock", "-k", "3")
    assert code == 0 and fake.queries == ["red alarm clock"]
    for position in (0, 10, 20):
        assert fake.gallery.names[position] in out and fake.gallery.family(position) in out
    n_trained = sum(fake.gallery.splits[position] == "train" for position in (0, 10, 20))
    assert f"trained on {n_trained} of these 3 pictures" in out
    assert "0.900" in out and out.endswith("contact sheet: hits.png\n")
    with Image.open(tmp_path / "hits.png") as sheet:
        assert sheet.format == "PNG" and sheet.width > 200
    assert [path.name for path in tmp_path.iterdir()] == ["hits.png"]  # no temporary file is left


def test_emoji_are_in_colour_and_credited(run, fake, tmp_path):
    fake.first = N_ICONS + 300
    code, out, _ = run("search", "sea", "-k", "4")
    assert code == 0 and out.count(EMOJI_NOTICE) == 1 and "openmoji" in out
    with Image.open(tmp_path / "hits.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"), dtype=int)
    assert (np.ptp(pixels, axis=2) > 60).mean() > 0.01


@pytest.mark.parametrize(
    ("options", "made"),
    [
        ([], (["icons", "emoji"], None)),
        (["--in", "emoji"], (["emoji"], None)),
        (["--in", "emoji, icons"], (["emoji", "icons"], None)),
        (["--in", "emoji", "--in", "icons", "--unseen"], (["emoji", "icons"], UNSEEN)),
    ],
)
def test_options_choose_the_pictures(run, fake, options, made):
    assert run("search", "cat", "-k", "1", *options)[0] == 0
    assert fake.made == [made]


def test_every_drawing_of_a_concept_is_shown_on_demand(run, fake):
    run("search", "cat", "-k", "1")
    run("search", "cat", "-k", "1", "--all")
    assert fake.options == [{"per_concept": 2}, {"per_concept": None}]


def test_search_by_image_reads_a_drawing_or_colours(run, fake, tmp_path):
    drawing, picture = fake.gallery.pixels([5000, N_ICONS + 300])
    Image.fromarray(drawing).save(tmp_path / "sketch.png")
    Image.fromarray(picture).save(tmp_path / "colour.png")
    for name in ("sketch.png", "colour.png"):
        code, out, _ = run("search", "--image", name, "-k", "2")
        assert code == 0 and name in out
    grey, colour = fake.queries
    assert grey.shape == colour.shape == (64, 64, 3) and grey.dtype == np.uint8
    assert not np.ptp(grey, axis=2).any() and (np.ptp(colour, axis=2) > 60).any()


@pytest.mark.parametrize("words", [[], ["a line"]])
def test_search_by_sketch_reads_strokes_or_a_picture(run, fake, tmp_path, words):
    (tmp_path / "one.ndjson").write_text('{"drawing": [[[0, 9], [0, 5]]]}\n')
    Image.fromarray(fake.gallery.pixels([5000])[0]).save(tmp_path / "one.png")
    for name in ("one.ndjson", "one.png"):
        code, out, _ = run("search", *words, "--sketch", name, "-k", "2")
        assert code == 0 and ", ".join([*words, name]) in out
    (drawing, text), (picture, _) = fake.queries
    np.testing.assert_array_equal(drawing.points, [[0, 0], [9, 5]])
    assert picture.size == (64, 64) and text == "".join(words)


def test_search_by_sketch_end_to_end(run, tmp_path):
    (tmp_path / "x.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path fill="none" stroke="red"'
        ' d="M1 1L8 8M1 8L8 1"/></svg>'
    )
    code, out, _ = run("search", "--sketch", "x.svg", "-k", "8")
    assert code == 0 and "x.svg" in out and "of these 8 pictures" in out
    code, words, _ = run("search", "music note", "--sketch", "x.svg", "-k", "8")
    assert code == 0 and "music note, x.svg" in words
    assert words.partition("split")[2] != out.partition("split")[2]


@pytest.mark.parametrize("query", ["[/red] [bold]", "$x_$ \\frac{", "\u23f0 \u65e5\u672c"])
def test_any_query_is_printed_as_it_is(run, fake, query):
    code, out, _ = run("search", query, "-k", "1")
    assert code == 0 and query in out


def test_lines_are_joined_and_doubts_stand_above_the_table(run, fake):
    code, out, err = run("search", "red\nheart " + "word " * 50, "-k", "1")
    assert code == 0 and err == ""
    assert out.startswith("52 words are many.\n") and "red heart word" in out


def test_a_picture_of_that_name_that_is_no_hit_is_told(run, fake):
    _, out, _ = run("search", "penguin", "-k", "1")
    assert out.startswith("penguin is missed.\n")


def test_control_characters_and_long_texts_do_not_reach_the_terminal(run, fake):
    code, out, _ = run("search", "\x1b[31mdog \u202e\x9b" + "x" * 100_000, "-k", "1")
    assert code == 0 and "[31mdog" in out and len(out) < 2_000
    assert not set(out) & set("\x1b\x9b\u202e")


def test_joined_emoji_stay_whole_in_the_title(run, fake, monkeypatch):
    sheets = []
    monkeypatch.setattr(search, "write_sheet", lambda *arguments: sheets.append(arguments[2]))
    flag = "\U0001f3f3\ufe0f\u200d\U0001f308"
    code, out, _ = run("search", flag, "-k", "1")
    assert code == 0 and flag in out and sheets == ["rainbow flag"]


@pytest.mark.parametrize("options", [[], ["--collection", "nowhere"]])
def test_the_sheet_does_not_replace_the_picture_that_is_asked_for(run, tmp_path, options):
    Image.new("RGB", (64, 64)).save(tmp_path / "hits.png")
    (tmp_path / "link.png").symlink_to("hits.png")
    before = (tmp_path / "hits.png").read_bytes()
    for name in ("hits.png", "link.png"):
        for option in ("--image", "--sketch"):
            code, out, err = run("search", option, name, *options)
            assert code == 2 and out == "" and "--out must be another file" in one_line(err)
    assert (tmp_path / "hits.png").read_bytes() == before


def test_a_sheet_has_room_for_some_hits_only(run, fake, monkeypatch, tmp_path):
    monkeypatch.setattr(search, "ON_SHEET", 6)  # one row
    heights = []
    for k in (6, 7):
        run("search", "cat", "-k", str(k))
        with Image.open(tmp_path / "hits.png") as sheet:
            heights.append(sheet.height)
    assert heights[0] == heights[1]


@pytest.mark.parametrize("name", ["sheets/today.png", "hits.PNG"])
def test_out_chooses_folder_and_name(run, fake, tmp_path, name):
    code, _, _ = run("search", "cat", "-k", "1", "--out", name)
    assert code == 0 and (tmp_path / name).stat().st_size > 500


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search"], "give words, or --sketch FILE with or without words, or --image FILE"),
        (["search", "cat", "--image", "x.png"], "or --image FILE alone"),
        (["search", "--sketch", "x.svg", "--image", "x.png"], "or --image FILE alone"),
        (["search", "--sketch", "none.svg"], "none.svg is missing. Name a sketch: .svg, .json,"),
        (["search", "--sketch", "none.png"], "none.png is missing"),
        (["search", "--image", "none.png"], "none.png is missing"),
        (["search", "--image", "."], ". cannot be opened (Is a directory)"),
        (["search", "cat", "--in", "tunes"], "--in must be one of 'icons', 'emoji'"),
        (["search", "cat", "--out", "hits"], "the suffix of --out must be one of '.png'; got ''"),
        (["search", "cat", "--out", "hits.webm"], "got '.webm'"),
    ],
)
def test_mistakes_in_a_search_are_told_before_the_model_loads(run, monkeypatch, arguments, message):
    import lib.search

    monkeypatch.setattr(lib.search, "picture_retriever", lambda *_: pytest.fail("loaded the model"))
    code, out, err = run(*arguments)
    assert code == 2 and out == "" and message in one_line(err)


def test_a_missing_artifact_names_the_command(run, monkeypatch, tmp_path):
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    code, _, err = run("search", "cat")
    assert code == 2 and "crossmodal train pictures" in one_line(err)


def test_a_folder_that_cannot_be_written_is_one_line(run, fake, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run("search", "cat", "-k", "1", "--out", "file/hits.png")
    assert code == 2 and "file" in one_line(err)


def test_search_end_to_end(run, tmp_path):
    code, out, _ = run("search", "alarm clock", "-k", "5")
    assert code == 0 and (tmp_path / "hits.png").stat().st_size > 5000
    assert "alarm clock" in out.split("split", 1)[1] and EMOJI_NOTICE in out
    code, out, _ = run("search", "alarm clock", "-k", "5", "--unseen")
    assert code == 0 and "trained on 0 of these 5 pictures.\n" in out
    assert sum(out.count(split) for split in pictures.SPLITS[1:]) >= 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["", "-k", "3"], "no letter or digit"),
        (["cat", "-k", "0"], "k must be at least 1"),
        (["cat", "-k", "99999"], "18460"),
    ],
)
def test_bad_queries_and_depths_are_one_line(run, arguments, message):
    code, _, err = run("search", *arguments)
    assert code == 2 and message in one_line(err)
