"""Settings of all tests, and one Chromium for all that ask for a page."""

import gc
import os
import sys

import pytest

# ranx computes the same without numba's compiler, which takes a minute for the few rows of a test.
os.environ["NUMBA_DISABLE_JIT"] = "1"
# jsonschema, which nbformat imports, would check addresses with it; its grammar takes 2 s to make.
sys.modules.setdefault("rfc3987_syntax", None)

# Modules and tests stay to the end. Python's search for cycles need not visit them each time, which
# was a seventh of all processor time.
gc.disable()


def pytest_collection_finish():
    """Start the search for cycles, for what the tests themselves make."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


@pytest.fixture(scope="session")
def browser():
    """Start the Chromium of the system; without one, skip or, where it is required, fail."""
    # It imports matplotlib and nbconvert, which most tests do not need.
    from lib.course.slides.pdf import open_browser, why_no_browser

    if reason := why_no_browser():
        reason = f"no browser for the tests: {reason}"
        if os.environ.get("CROSSMODAL_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    with open_browser() as started:
        yield started
