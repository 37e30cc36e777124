"""The glossary of the book: each word with a definition and the section that teaches it."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.course.book.notebook_text import HEADING, NUMBERED, Chapter

WORDS = Path(__file__).parent / "glossary.toml"
BOLD = re.compile(r"(?<!\*)\*\*([^*\[\]]+)\*\*(?!\*)")


@dataclass(frozen=True)
class Word:
    """A word of the glossary.

    Attributes:
        name: the word.
        means: its definition.
        taught: key of the chapter to look in; without one, the first that has it in bold.
        also: other forms of the word.
    """

    name: str
    means: str
    taught: str = ""
    also: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Name its place in the book."""
        return "word-" + re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def forms(self) -> tuple[str, ...]:
        """List the word and its other forms in lower case."""
        return tuple(form.lower() for form in (self.name, *self.also))


@cache
def read_words() -> tuple[Word, ...]:
    """Read the glossary in alphabetical order."""
    read = tomllib.loads(WORDS.read_text(encoding="utf-8"))
    for values in read.values():
        values["also"] = tuple(values.get("also", ()))
    words = [Word(name=name, **values) for name, values in read.items()]
    return tuple(sorted(words, key=lambda word: word.name.lower()))


@cache
def _word_of_form() -> dict[str, Word]:
    return {form: word for word in read_words() for form in word.forms}


def link_words(text: str, linked: set[str]) -> str:
    """Link bold words to the glossary, each the first time in a chapter.

    Args:
        text: of a cell; its code blocks and headings stay as they are.
        linked: names of the words that the chapter has linked before; grows.
    """

    def link(match: re.Match) -> str:
        word = _word_of_form().get(match[1].lower())
        if word is None or word.name in linked:
            return match[0]
        linked.add(word.name)
        return f"**[{match[1]}](#{word.label})**"

    pieces = re.split(r"(^```.*?^```|^#.*?$)", text, flags=re.DOTALL | re.MULTILINE)
    pieces[::2] = [BOLD.sub(link, piece) for piece in pieces[::2]]
    return "".join(pieces)


def section_that_teaches(word: Word, chapters: Sequence[Chapter]) -> tuple[Chapter, str]:
    """Find the chapter and the number of the section that teach a word.

    Returns:
        The chapter, and the number of its section; "" before the first numbered one.
    """
    forms = "|".join(re.escape(form) for form in word.forms)
    plain = re.compile(rf"(?<![\w-])(?:{forms})(?![\w-])", re.IGNORECASE)
    bold = re.compile(rf"\*\*(?:{forms})\*\*", re.IGNORECASE)
    if word.taught:
        chapters = [chapter for chapter in chapters if chapter.key == word.taught]
    for pattern in (bold, plain) if word.taught else (bold,):
        for chapter in chapters:
            # What stands before the first section is announced there, and taught later.
            for number, text in sorted(_sections(chapter), key=lambda part: part[0] == ""):
                if pattern.search(text):
                    return chapter, number
    raise RetrievalInputError(
        f"`{word.name}` of {WORDS.name} must stand in bold in a notebook, or be named in the"
        f" notebook of its `taught`, got {word.taught or 'no such place'}. Mend the entry."
    )


def _sections(chapter: Chapter) -> Iterator[tuple[str, str]]:
    """Yield number and text of the parts of a chapter between its numbered headings."""
    number, lines = "", []
    for cell in chapter.stored.cells:
        if cell.cell_type != "markdown":
            continue
        for line in cell.source.splitlines():
            match = HEADING.match(line)
            numbered = NUMBERED.match(match[2]) if match and len(match[1]) > 1 else None
            if numbered:
                yield number, "\n".join(lines)
                number, lines = numbered[1], []
            lines.append(line)
    yield number, "\n".join(lines)


def glossary_page(chapters: Sequence[Chapter]) -> str:
    """Write the glossary."""
    lines = ["# Glossary\n", "The words of the course, each with the section that teaches it.\n"]
    letter = ""
    for word in read_words():
        if word.name[0].upper() != letter:
            letter = word.name[0].upper()
            lines.append(f"## {letter}\n")
        chapter, number = section_that_teaches(word, chapters)
        label = chapter.sections.get(number, f"notebook-{chapter.key}")
        place = f"notebook {chapter.key}, section {number}" if number else f"notebook {chapter.key}"
        lines += [f"({word.label})=\n", "{.word}"]
        lines.append(f"**{word.name}**: {word.means} *Taught in [{place}](#{label}).*\n")
    return "\n".join(lines)
