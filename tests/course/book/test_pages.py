"""Glossary, indexes and results hold what the notebooks hold; broken pages are found."""

import re

import pytest

from lib.core.checks import RetrievalInputError
from lib.course.book.checks import link_problems
from lib.course.book.glossary import Word, link_words, read_words, section_that_teaches
from lib.course.book.indexes import contents_page, figures_page, formulas_page, parts_of
from lib.course.book.sources import write_changed


def test_every_word_is_taught(chapters):
    for word in read_words():
        chapter, number = section_that_teaches(word, chapters)
        assert not number or number in chapter.sections
    forms = [form for word in read_words() for form in word.forms]
    assert len(set(forms)) == len(forms)


def test_definitions_are_plain():
    for word in read_words():
        assert word.means[0].isupper() and word.means.endswith((".", "?")), word.name
        assert len(word.means.split()) <= 40, word.name


def test_a_word_that_nobody_teaches_is_refused(chapters):
    for word in (Word("flummery", "A dish."), Word("cosine", "An angle.", taught="99")):
        with pytest.raises(RetrievalInputError, match=word.name):
            section_that_teaches(word, chapters)


def test_bold_words_are_linked_once():
    seen = set()
    text = link_words("# **Hub**\nA **hub** and **hubs**, a **Hub**.\n```\n**code**\n```", seen)
    assert text == "# **Hub**\nA **[hub](#word-hub)** and **hubs**, a **Hub**.\n```\n**code**\n```"
    assert seen == {"hub"} and link_words("**hub**", seen) == "**hub**"


def test_the_contents_name_every_chapter_once(chapters):
    page = contents_page(chapters)
    listed = [line for line in page.splitlines() if re.fullmatch(r"[\w-]+", line)]
    assert [name for name in listed if name[0].isdigit() or name.startswith("lab")] == [
        chapter.stem for chapter in chapters
    ]
    assert sum(len(part.chapters) for part in parts_of(chapters)) == len(chapters)


def test_empty_indexes():
    assert formulas_page([]).startswith("# ") and figures_page([]).startswith("# ")


def test_files_that_did_not_change_keep_their_time(tmp_path):
    write_changed({"a.md": "a", "sub/b.png": b"b", "c.md": "c"}, tmp_path)
    before = (tmp_path / "a.md").stat().st_mtime_ns
    write_changed({"a.md": "a", "sub/b.png": b"new"}, tmp_path)
    assert (tmp_path / "a.md").stat().st_mtime_ns == before
    assert (tmp_path / "sub/b.png").read_bytes() == b"new" and not (tmp_path / "c.md").exists()


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ('<a href="b.html#there">x</a><a href="https://example.org">x</a>', None),
        ('<img src="data:image/png;base64,AA"><a href="#here" id="here">x</a>', None),
        ('<iframe srcdoc="&lt;img src=&quot;https://example.org&quot;&gt;"></iframe>', None),
        ('<link rel="canonical" href="https://example.org/a.html">', None),
        ('<a href="c.html">x</a>', "c.html, which does not exist"),
        ('<a href="b.html#nowhere">x</a>', "b.html#nowhere, which has no such place"),
        ("<a href='#nowhere'>x</a>", "#nowhere, which has no such place"),
        ('<script src="https://example.org/a.js"></script>', "loads https://example.org/a.js"),
        ('<img alt="" src="//example.org/a.png">', "loads //example.org/a.png"),
        ('<link rel="preconnect" href="https://fonts.example.org">', "loads https://fonts"),
        ('<img src="missing.png">', "missing.png, which does not exist"),
    ],
)
def test_broken_links_and_addresses_that_load_are_found(tmp_path, page, problem):
    (tmp_path / "a.html").write_text(page)
    (tmp_path / "b.html").write_text('<h1 id="there">There</h1>')
    found = link_problems(tmp_path)
    assert len(found) == (problem is not None)
    assert problem is None or problem in found[0]


def test_style_sheets_load_nothing_remote(tmp_path):
    (tmp_path / "a.css").write_text("@font-face { src: url('https://example.org/font.woff') }")
    (tmp_path / "b.css").write_text("a { background: url(data:image/png;base64,AA) }")
    assert len(link_problems(tmp_path)) == 1
