"""Read a deck: slides with speaker notes and minutes from one markdown file."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lib.core.checks import RetrievalInputError

DIRECTIVE = re.compile(r"\{\{\s*(\w+)\s+([^{}]+?)\s*\}\}")
NOTES = re.compile(r"^Notes \((\d+) min\):[ \t]*$", flags=re.MULTILINE)
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", flags=re.DOTALL)
CODE = re.compile(r"`([^`]+)`")
# Digits that are no measurement: numbers of notebooks, sections and exercises, and years of papers.
REFERENCES = re.compile(
    r"\b(?:notebooks?|sections?|exercises?|labs?) \d+(?:(?:, | and | to )\d+)*|et al\. \d{4}",
    flags=re.IGNORECASE,
)
# A digit that begins a number; `R@10`, `ViT-B-32` and `float32` are names.
NUMBER = re.compile(r"(?<![\w@.-])[-+]?\.?\d[\w.,/%]*")
WORDS = "one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|fifty|hundred|thousand"
MEASURED_WORDS = re.compile(
    rf"\b(?:{WORDS}) (?:percent|points?|times|per cent)\b", flags=re.IGNORECASE
)


@dataclass(frozen=True)
class Directive:
    """A place in a slide that a stored output of the notebook fills: `{{name argument | ...}}`."""

    name: str
    argument: str
    options: dict[str, str]
    source: str


@dataclass(frozen=True)
class Slide:
    """One slide: its heading, its markdown, what the speaker says, and for how long."""

    title: str
    body: str
    notes: str
    minutes: int


@dataclass(frozen=True)
class Deck:
    """The slides of one notebook; the first is the title."""

    path: Path
    slides: tuple[Slide, ...]

    @property
    def title(self) -> str:
        return self.slides[0].title

    @property
    def minutes(self) -> int:
        return sum(slide.minutes for slide in self.slides)


def read_deck(path: str | Path) -> Deck:
    """Read the deck of a notebook.

    Args:
        path: of the markdown: `# title`, then a slide for each `## heading`. Below each heading
            stand the slide, a line `Notes (4 min):`, and the notes.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    parts = re.split(r"^(#{1,2}) (.+)$", text, flags=re.MULTILINE)
    levels, titles, bodies = parts[1::3], parts[2::3], parts[3::3]
    if parts[0].strip() or levels[:1] != ["#"] or "#" in levels[1:]:
        raise RetrievalInputError(
            f"{path.name} must begin with its only `# title`; the other slides begin with `## `"
        )
    slides = (_slide(path, title.strip(), body) for title, body in zip(titles, bodies))
    return Deck(path, tuple(slides))


def _slide(path: Path, title: str, text: str) -> Slide:
    parts = NOTES.split(text)
    if len(parts) != 3 or not parts[2].strip():
        raise RetrievalInputError(
            f"{path.name}, slide {title!r}: needs one line `Notes (4 min):` and notes below it"
        )
    body, minutes, notes = parts
    return Slide(title, body.strip(), notes.strip(), int(minutes))


def directives(markdown: str) -> Iterator[Directive]:
    """Yield the directives of a slide or of its notes, in order."""
    for match in DIRECTIVE.finditer(markdown):
        argument, *rest = (part.strip() for part in match[2].split("|"))
        options = {}
        for part in rest:
            name, _, value = part.partition(":")
            options[name.strip()] = value.strip()
        yield Directive(match[1], argument, options, match[0])


def typed_numbers(markdown: str) -> list[str]:
    """List the numbers that are typed into a text instead of read from a stored output.

    Numbers inside directives are read. A formula may hold numbers beside letters. Code between
    backticks is a setting; `settings_in` lists it, and the notebook must hold it.
    """
    text = CODE.sub(" ", DIRECTIVE.sub(" ", markdown))
    bare = [formula for formula in _formulas(text) if not re.search(r"[A-Za-z\\]", formula)]
    text = REFERENCES.sub(" ", FORMULA.sub(" ", text))
    found = NUMBER.findall(text) + MEASURED_WORDS.findall(text)
    return found + [formula for formula in bare if re.search(r"\d", formula)]


def settings_in(markdown: str) -> list[str]:
    """List the pieces of code with digits between backticks."""
    pieces = CODE.findall(DIRECTIVE.sub(" ", markdown))
    return [piece for piece in pieces if NUMBER.search(piece)]


def _formulas(text: str) -> list[str]:
    return [block or inline for block, inline in FORMULA.findall(text)]
