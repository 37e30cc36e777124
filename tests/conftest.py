"""Settings of all tests, and one Chromium for all that ask for a page."""

import os
import shutil
import sys
from importlib.util import find_spec

import pytest

# ranx computes the same without numba's compiler, which takes a minute for the few rows of a test.
os.environ["NUMBA_DISABLE_JIT"] = "1"
# jsonschema, which nbformat imports, would check addresses with it; its grammar takes 2 s to make.
sys.modules.setdefault("rfc3987_syntax", None)

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
