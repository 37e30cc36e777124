"""Pages that ask for something, fail, or are too wide for a phone are found in Chromium."""

import pytest

from lib.course.book.checks import page_problems

pytestmark = pytest.mark.browser

HEAD = "<!DOCTYPE html><meta name='viewport' content='width=device-width'><title>x</title>"
FIGURE = """<iframe srcdoc="<div id='piece'><p>x</p></div>"></iframe><script>
const show = () => { for (const frame of document.querySelectorAll("iframe"))
  frame.contentDocument.documentElement.style.colorScheme = document.documentElement.dataset.theme;
}; addEventListener("load", () => { show(); new MutationObserver(show).observe(
  document.documentElement, { attributes: true }); });</script>"""


@pytest.fixture(scope="module")
def context(browser):
    context = browser.new_context(offline=True)
    yield context
    context.close()


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ("<p>Nothing is wrong here.", []),
        (FIGURE, []),
        ("<script>fetch('https://example.org/a').catch(() => 0)</script>", ["asks for", "lacks"]),
        ("<img alt='' src='missing.png'>", ["lacks"]),
        ("<script>missing()</script>", ["error of a script"]),
        ("<div style='width: 500px'>wide</div>", ["pixels wide on a phone"]),
        (FIGURE.replace("Observer(show)", "Observer(() => 0)"), ["the dark", "the light"]),
    ],
)
def test_each_problem_is_found(context, tmp_path, body, problems):
    (tmp_path / "a.html").write_text(HEAD + body)
    found = page_problems(context, tmp_path, "a.html")
    assert len(found) == len(problems), found
    for line, part in zip(sorted(found), problems):
        assert line.startswith("a.html: ") and part in line
