"""nbval, as `make test` runs it, on a notebook whose stored outputs were changed on purpose."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from lib import report
from lib.course.predictions import PREDICTION_MIME

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="

ROWS = [{"metric": "R@1", "value": 35.25, "n": 100}, {"metric": "R@10", "value": 66.5, "n": 100}]
QUALITY = f"report.quality({ROWS!r}, tolerance=0.5)"
SENTENCE = (
    "report.sentence('It rises to {top:.1f}% at {n} dimensions.', top=66.5, n=256, tolerance=0.5)"
)
DRAW = f"""from base64 import b64decode
from IPython.display import Image, display
for _ in range(2):
    display(Image(data=b64decode({PNG!r}), format="png"))
"""


def result(shown) -> list:
    return [new_output("execute_result", data=shown._repr_mimebundle_(), execution_count=1)]


def quality(**change) -> list:
    rows = [dict(ROWS[0], **change), ROWS[1]]
    return result(report.quality(rows, tolerance=0.5))


def without(column: str) -> list:
    return result(
        report.quality([{k: v for k, v in r.items() if k != column} for r in ROWS], tolerance=0.5)
    )


def sentence(**change) -> list:
    values = {"top": 66.5, "n": 256, **change}
    return result(
        report.sentence("It rises to {top:.1f}% at {n} dimensions.", tolerance=0.5, **values)
    )


def pictures(count: int) -> list:
    data = {"image/png": "b3RoZXIgcGl4ZWxz", "text/plain": "<another picture>"}
    return [new_output("display_data", data=data) for _ in range(count)]


def printed(text: str, name: str = "stdout") -> list:
    return [new_output("stream", name=name, text=text)]


ASKED = "course.predict('q', 'Which?', ['x', 'y'])"
ASKED_TEXT = (
    "Which?\n  a) x\n  b) y\nYour prediction: none yet."
    ' Set yours="a", or another letter, and run the cell again.\n'
)
MEASURED = "course.reveal('q', 'a', 'It is.')"
MEASURED_TEXT = (
    'Observed: a) x\nYou made no prediction: set yours="a", or another letter, in'
    " course.predict, and run both again.\nWhy: It is.\n"
)


def shown_prediction(text: str) -> list:
    data = {"text/plain": text.rstrip("\n"), "text/html": "<p>older</p>", PREDICTION_MIME: {}}
    return [new_output("display_data", data=data)]


# what is tried -> (source, stored outputs, whether nbval must accept them, phrase of the report if
# not)
CASES = {
    "setup": ("from lib import course, report", [], True, ""),
    "same numbers": (QUALITY, quality(), True, ""),
    "moved less than the tolerance": (QUALITY, quality(value=35.7), True, ""),
    "moved more than the tolerance": (
        QUALITY,
        quality(value=36.0),
        False,
        "differ by 0.75, the tolerance is 0.5",
    ),
    "a count moved": (QUALITY, quality(n=101), False, "stored 101, now 100; they must be equal"),
    "another text": (QUALITY, quality(metric="R@5"), False, "stored 'R@5', now 'R@1'"),
    "a missing column": (QUALITY, quality(chance=0.07), False, "missing columns: chance"),
    "a new column": (QUALITY, without("n"), False, "new columns: n"),
    "a missing row": (
        QUALITY,
        result(report.quality([*ROWS, {"metric": "MRR"}], tolerance=0.5)),
        False,
        "MRR",
    ),
    "a loosened tolerance": (
        QUALITY,
        result(report.quality(ROWS, tolerance=0.1)),
        False,
        "tolerance of 'value': stored 0.1, now 0.5",
    ),
    "a sentence within tolerance": (SENTENCE, sentence(top=66.1), True, ""),
    "a sentence out of tolerance": (
        SENTENCE,
        sentence(top=67.5),
        False,
        "'top': stored 67.5, now 66.5",
    ),
    "a lost payload": (QUALITY, [], False, "stored 0 tables and sentences, now 1"),
    "other pixels": (DRAW, pictures(2), True, ""),
    "a lost figure": (DRAW, pictures(3), False, "dissimilar number of outputs"),
    "figure, text and payload": (
        f"{DRAW}print('a')\n{SENTENCE}",
        pictures(2) + printed("a\n") + sentence(top=66.2),
        True,
        "",
    ),
    "text beside a payload": (
        f"print('a')\n{QUALITY}",
        printed("b\n") + quality(),
        False,
        "mismatch 'stdout'",
    ),
    "plain text": ("print('a')", printed("b\n"), False, "mismatch 'stdout'"),
    "a prediction": (
        f"{ASKED}\n{MEASURED}",
        printed(f"{ASKED_TEXT}{MEASURED_TEXT}"),
        True,
        "",
    ),
    "a prediction with another markup": (ASKED, shown_prediction(ASKED_TEXT), True, ""),
    "a prediction beside printed text and a payload": (
        f"print('a')\n{ASKED}\n{MEASURED}\n{QUALITY}",
        printed(f"a\n{ASKED_TEXT}") + shown_prediction(MEASURED_TEXT) + quality(),
        True,
        "",
    ),
    "another outcome": (
        MEASURED,
        shown_prediction(MEASURED_TEXT.replace("a) x", "b) y")),
        False,
        "mismatch 'stdout'",
    ),
    "stderr": (
        "import sys\nprint('w', file=sys.stderr)",
        printed("old warning", "stderr"),
        True,
        "",
    ),
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory) -> tuple[list[str], str]:
    """Runs all cases as the cells of one notebook in one nbval session; gives the outcome per
    cell.
    """
    folder = tmp_path_factory.mktemp("nbval")
    cells = [
        new_code_cell(source, outputs=outputs, execution_count=number)
        for number, (source, outputs, _, _) in enumerate(CASES.values(), start=1)
    ]
    nbformat.write(new_notebook(cells=cells), folder / "probe.ipynb")
    shutil.copy(ROOT / "conftest.py", folder)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    environment["PYTHONPATH"] = str(ROOT)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval",
        "--nbval-current-env",
        "-p",
        "no:cacheprovider",
        "-rA",
    ]
    done = subprocess.run(
        [*command, "--color=no", "--rootdir", str(folder), "probe.ipynb"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    found = re.findall(r"^(PASSED|FAILED) probe\.ipynb::Cell (\d+)", done.stdout, re.MULTILINE)
    outcomes = [outcome for outcome, _ in sorted(found, key=lambda pair: int(pair[1]))]
    assert len(outcomes) == len(CASES), done.stdout + done.stderr
    return outcomes, done.stdout


@pytest.mark.parametrize("name", CASES)
def test_nbval_judges_as_it_should(verdicts, name):
    outcomes, output = verdicts
    _, _, accepted, phrase = CASES[name]
    number = list(CASES).index(name)
    said = re.split(r"_+ probe\.ipynb::Cell (\d+) _+", output)
    said = dict(zip(said[1::2], said[2::2], strict=True)).get(str(number), "")
    assert outcomes[number] == ("PASSED" if accepted else "FAILED"), said
    assert phrase in said
