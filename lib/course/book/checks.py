"""Check the pages of the book: links lead somewhere, and nothing is loaded from a network."""

import html
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lib.course.slides.pdf import open_browser

TAG = re.compile(r"<([a-zA-Z][\w-]*)((?:\s[^<>]*)?)>")
ATTRIBUTE = re.compile(r"""([\w:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
LOADED = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")
# Attributes whose address a browser loads by itself; of <link> those that are no mere hints.
LOADING = {"src", "srcset", "poster", "data", "background"}
HINTS = {"next", "prev", "search", "index", "author", "canonical", "help", "license"}
PHONE, DESK = 390, 1100  # pixels
SEARCHED = "temperature"
PATIENCE_S = 180  # on a busy machine; a page takes about a second

SCHEMES_OF_FIGURES = """
patience => Promise.all([...document.querySelectorAll("iframe[srcdoc]")].map(async frame => {
  const drawn = () => frame.contentDocument?.querySelector("#piece > *");
  for (let n = 0; n < 10 * patience && !drawn(); n++)
    await new Promise(done => setTimeout(done, 100));
  return drawn() && frame.contentDocument.documentElement.style.colorScheme;
}))
"""


def link_problems(pages: Path) -> list[str]:
    """List broken links and addresses of a network that a page would load, without a browser.

    Args:
        pages: folder of the HTML pages.

    Returns:
        One line a problem.
    """
    found: dict[Path, list[tuple[str, str, str]]] = {}
    ids: dict[Path, set[str]] = {}
    for path in sorted(pages.rglob("*.html")):
        if "_static" not in path.relative_to(pages).parts:
            found[path] = list(_addresses(path.read_text(encoding="utf-8")))
            ids[path] = {value for _, name, value in found[path] if name in ("id", "name")}
    problems = []
    for path, addresses in found.items():
        for tag, name, address in addresses:
            if name in LOADING or name == "href":
                problem = _problem(path, tag, name, address, ids)
                if problem:
                    problems.append(f"{path.name}: {problem}")
    for path in sorted(pages.rglob("*.css")):
        for match in LOADED.finditer(path.read_text(encoding="utf-8")):
            if _is_remote(match[1] or match[2]):
                problems.append(f"{path.name}: loads {match[0]}")
    return problems


def _addresses(page: str) -> Iterator[tuple[str, str, str]]:
    """Yield (tag, attribute, value) of a page."""
    for tag in TAG.finditer(page):
        attributes = {
            match[1].lower(): html.unescape(match[2] if match[2] is not None else match[3])
            for match in ATTRIBUTE.finditer(tag[2])
            if match[1].lower() != "srcdoc"
        }
        kind = tag[1].lower()
        if kind == "link" and set(attributes.get("rel", "").split()) & HINTS:
            kind = "a"  # it is not loaded
        yield from ((kind, name, value) for name, value in attributes.items())


def _is_remote(address: str) -> bool:
    return bool(re.match(r"(?:[a-z][a-z0-9+.-]*:)?//", address.strip(), re.IGNORECASE))


def _problem(path: Path, tag: str, name: str, address: str, ids: dict[Path, set[str]]) -> str:
    """Say what is wrong with an address, or nothing."""
    if _is_remote(address):
        return "" if tag == "a" else f"<{tag} {name}> loads {address}"
    parts = urlsplit(address)
    if parts.scheme:  # data:, mailto:, javascript:
        return ""
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return f"<{tag} {name}> leads to {address}, which does not exist"
    fragment = unquote(parts.fragment)
    if tag == "a" and fragment and target in ids and fragment not in ids[target]:
        return f"a link leads to {address}, which has no such place"
    return ""


def browser_problems(pages: Path, jobs: int = 2) -> list[str]:
    """List what goes wrong when Chromium shows each page: requests, errors, overflow.

    Each page is opened as a file, at the width of a phone and of a laptop, light and dark. Nothing
    but files of the book may be asked for, no script may fail, nothing may reach beyond the width
    of a phone, interactive figures must run, and the search must find something.

    Args:
        pages: folder of the HTML pages.
        jobs: browsers that share the pages.
    """
    names = sorted(path.name for path in pages.glob("*.html"))
    shares = [names[start::jobs] for start in range(jobs)]
    with ProcessPoolExecutor(jobs) as pool:
        done = pool.map(_shown, [pages] * jobs, shares)
        return sorted(problem for problems in done for problem in problems)


def _shown(pages: Path, names: list[str]) -> list[str]:
    """Show some pages in one browser and list their problems."""
    with open_browser() as browser:
        context = browser.new_context(viewport={"width": PHONE, "height": 800}, offline=True)
        context.set_default_timeout(1000 * PATIENCE_S)
        return [problem for name in names for problem in page_problems(context, pages, name)]


def page_problems(context, pages: Path, name: str) -> list[str]:
    """List what goes wrong when a browser shows one page of a folder."""
    root, problems, tab = pages.resolve().as_uri(), [], context.new_page()
    tab.set_viewport_size({"width": PHONE, "height": 800})
    _listen(tab, root, problems)
    query = f"?q={SEARCHED}" if name == "search.html" else ""
    tab.goto(f"{root}/{name}{query}")
    problems += _seen(tab, bool(query))
    tab.close()
    return [f"{name}: {problem}" for problem in problems]


def _listen(tab, root: str, problems: list[str]) -> None:
    """Add to `problems` what a tab asks for besides the book, what it lacks, and its errors."""

    def asked(request) -> None:
        if not request.url.startswith((root, "data:", "about:", "blob:")):
            problems.append(f"asks for {request.url[:200]}")

    tab.on("request", asked)
    tab.on("requestfailed", lambda lacking: problems.append(f"lacks {lacking.url[:200]}"))
    tab.on("pageerror", lambda error: problems.append(f"error of a script: {error}"))


def _seen(tab, is_search: bool) -> Iterator[str]:
    """Yield what is wrong with the page that a tab shows."""
    if is_search:
        try:
            tab.locator("#search-results li").first.wait_for()
        except Exception:  # the class of a timeout is playwright's own
            yield f"the search does not find {SEARCHED!r}"
    width = tab.evaluate("document.documentElement.scrollWidth")
    if width > PHONE:
        yield f"is {width} pixels wide on a phone of {PHONE}"
    tab.set_viewport_size({"width": DESK, "height": 800})
    for theme in ("light", "dark"):
        tab.evaluate(f"document.documentElement.dataset.theme = {theme!r}")
        schemes = tab.evaluate(SCHEMES_OF_FIGURES, PATIENCE_S)
        yield from (
            f"an interactive figure is {scheme or 'empty'} in the {theme} theme"
            for scheme in schemes
            if scheme != theme
        )
