"""One Chromium for all tests that ask for a page, and pages without a network."""

import os
import shutil
from importlib.util import find_spec

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser():
    """Start the Chromium of the system; without one, skip or, where it is required, fail."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None or find_spec("playwright") is None:
        what = "playwright" if path else f"one of {', '.join(NAMES)}"
        reason = f"no browser for the tests: {what} must be installed"
        if os.environ.get("CROSSMODAL_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    # Chromium's own sandbox does not run as root; the pages are ours and load nothing.
    arguments = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    with sync_playwright() as running:
        started = running.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()


@pytest.fixture
def tab(browser):
    """Open an empty page with the network off; it may neither ask for anything nor fail."""
    context = browser.new_context(viewport={"width": 1100, "height": 900}, offline=True)
    tab, asked, wrong = context.new_page(), [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda message: wrong.append(message.text))
    yield tab
    context.close()
    assert not wrong
    assert not [url for url in asked if not url.startswith(("data:", "file:", "about:"))]
