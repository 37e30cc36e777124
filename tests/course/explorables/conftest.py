"""Pages without a network."""

import pytest


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
