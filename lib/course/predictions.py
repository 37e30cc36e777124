"""Predictions that a student makes before a result is shown, and the comparison afterwards.

In a working copy (`lib.course.progress`) a question has buttons, and the choice is kept. In a
stored notebook and on its page the measured answer is behind a click. The text of both is printed
in a terminal and compared by nbval.
"""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from IPython.display import display

from lib.core.checks import RetrievalInputError, check_choice
from lib.course.engine import wrapped
from lib.course.progress import PROGRESS, keep_progress, progress_file, read_progress
from lib.report import escaped

PREDICTION_MIME = "application/vnd.crossmodal.prediction+json"
BOX = "border-left:4px solid currentColor;padding:0.1em 0 0.1em 1em;max-width:70ch"


@dataclass
class _Prediction:
    """A question, the student's answer to it, and what was measured."""

    key: str
    question: str
    options: list[str]
    answer: str | None = None  # a letter
    reason: str = ""  # of the student
    observed: str | None = None  # a letter

    @property
    def letters(self) -> str:
        return string.ascii_lowercase[: len(self.options)]

    @property
    def closed(self) -> bool:
        """Tell whether the answer came before the reveal, and stays."""
        return self.answer is not None and self.observed is not None

    def option(self, letter: str) -> str:
        return f"{letter}) {self.options[self.letters.index(letter)]}"

    def letter(self, value: str, name: str) -> str:
        """Find the letter of an option that is given by its text or its letter."""
        if value in self.options:
            return self.letters[self.options.index(value)]
        return check_choice(str(value).strip().rstrip(")").lower(), self.letters, name)

    def keep(self) -> None:
        record = {"answer": self.answer, "because": self.reason, "observed": self.observed}
        keep_progress("predictions", self.key, record)


_PREDICTIONS: dict[str, _Prediction] = {}


class _Output:
    """An output of a cell as text and as HTML."""

    def __init__(self, text: str, markup: str, key: str) -> None:
        self.text, self.markup, self.key = text, markup, key

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        mark = {"key": self.key}
        return {"text/plain": self.text, "text/html": self.markup, PREDICTION_MIME: mark}


def predict(key: str, question: str, options: Sequence[str], yours: str | None = None) -> None:
    """Ask a question with options and store the student's prediction for `reveal`.

    Args:
        key: name of the question.
        question: what will be measured.
        options: possible outcomes, two to six.
        yours: the student's letter, "a", "b", ...; None for no prediction yet. In a working copy
            buttons ask for it.
    """
    if not 2 <= len(options) <= 6:
        raise RetrievalInputError(f"a prediction needs 2 to 6 options, got {len(options)}")
    prediction = _Prediction(key, question, list(options))
    _restore(prediction)
    if yours is not None:
        letter = check_choice(str(yours).strip().rstrip(")").lower(), prediction.letters, "yours")
        if not prediction.closed:
            prediction.answer = letter
            prediction.keep()
    _PREDICTIONS[key] = prediction
    choices = [prediction.option(letter) for letter in prediction.letters]
    if prediction.answer is None:
        state = (
            'Your prediction: none yet. Set yours="a", or another letter, and run the cell again.'
        )
        shown = "Choose, and say why, before you read on."
    else:
        state = shown = f"Your prediction: {prediction.option(prediction.answer)}"
    asks = progress_file() is not None
    lines = "".join(f"<div>{escaped(choice)}</div>" for choice in choices)
    markup = (
        f'<div style="{BOX}"><p><strong>Predict.</strong> {escaped(question)}</p>'
        f'<div style="margin:0 1.5em">{lines}</div>'
        f"{'' if asks else f'<p>{escaped(shown)}</p>'}</div>"
    )
    text = "\n".join([question, *(f"  {choice}" for choice in choices), state])
    display(_Output(text, markup, key))
    if asks:
        display(_buttons(prediction))


def reveal(key: str, observed: str, because: str | Mapping[str, str] = "") -> None:
    """Show the observed option, and whether the prediction was right.

    Args:
        key: name of the question in `predict`.
        observed: the right option, its letter or its text; compute it from the result.
        because: the reason in a sentence, or a reason for each outcome by its option or letter;
            measured numbers belong in `report.sentence`.
    """
    if key not in _PREDICTIONS:
        known = ", ".join(map(repr, _PREDICTIONS)) or "none so far"
        raise RetrievalInputError(
            f"no prediction {key!r} (asked: {known}); run the cell with course.predict first"
        )
    prediction = _PREDICTIONS[key]
    observed = prediction.letter(observed, "observed")
    if isinstance(because, Mapping):
        reasons = {prediction.letter(name, "because"): why for name, why in because.items()}
        because = reasons.get(observed, "")
    prediction.observed = observed
    prediction.keep()
    lines = [f"Observed: {prediction.option(observed)}"]
    if prediction.answer is None:
        lines.append(
            'You made no prediction: set yours="a", or another letter, in course.predict, and run'
            " both again."
        )
        shown = []
    elif prediction.answer == observed:
        lines.append("You predicted it.")
        shown = ["You predicted it."]
    else:
        shown = [f"You predicted {prediction.option(prediction.answer)}."]
        lines += shown
    if because:
        lines.append(wrapped(f"Why: {because}"))
    parts = [f"<strong>Measured:</strong> {escaped(prediction.option(observed))}"]
    parts += map(escaped, [*shown, *([f"Why: {because}"] if because else [])])
    body = "".join(f"<p>{part}</p>" for part in parts)
    if prediction.answer is None:
        body = f"<details><summary>Show what was measured</summary>{body}</details>"
    display(_Output("\n".join(lines), f'<div style="{BOX}">{body}</div>', key))


def tally() -> None:
    """Count the predictions of a notebook: made, and right."""
    if not _PREDICTIONS:
        raise RetrievalInputError("no prediction was asked; run the cells with course.predict")
    asked = list(_PREDICTIONS.values())
    made = [prediction for prediction in asked if prediction.answer is not None]
    right = [prediction for prediction in made if prediction.answer == prediction.observed]
    lines = [f"Predictions: {len(made)} of {len(asked)} made, {len(right)} right."]
    if not made:
        lines.append("In a working copy (make lab) each question has buttons.")
    for prediction in made:
        verdict = "right" if prediction in right else "not yet measured"
        if prediction.closed and prediction not in right:
            verdict = f"you said {prediction.answer}, measured {prediction.observed}"
        lines.append(f"  {prediction.question} {verdict}")
    first, *rest = lines
    items = "".join(f"<div>{escaped(line)}</div>" for line in rest)
    markup = f'<div style="{BOX}"><p><strong>{escaped(first)}</strong></p>{items}</div>'
    display(_Output("\n".join(lines), markup, "tally"))


def _restore(prediction: _Prediction) -> None:
    """Take the answer that the working copy keeps for a question, if it still fits."""
    path = progress_file()
    record = read_progress(path)["predictions"].get(prediction.key, {}) if path else {}
    letter = {name: record.get(name) for name in ("answer", "observed")}
    letter = {name: value for name, value in letter.items() if value in list(prediction.letters)}
    prediction.answer, prediction.observed = letter.get("answer"), letter.get("observed")
    prediction.reason = str(record.get("because") or "")


def _buttons(prediction: _Prediction):
    """Make a button for each option, and a line for the reason."""
    import ipywidgets  # only here: most runs have no working copy

    buttons = [
        ipywidgets.Button(
            description=letter,
            tooltip=prediction.option(letter),
            layout=ipywidgets.Layout(width="4em"),
        )
        for letter in prediction.letters
    ]
    reason = ipywidgets.Text(
        value=prediction.reason,
        placeholder="because ... (optional)",
        continuous_update=False,
        layout=ipywidgets.Layout(width="30em"),
    )
    state = ipywidgets.HTML()

    def update() -> None:
        for button in buttons:
            button.button_style = "info" if button.description == prediction.answer else ""
            button.disabled = prediction.closed
        reason.disabled = prediction.closed
        said = "Choose a letter before you read on."
        if prediction.answer is not None:
            said = f"Your prediction: {prediction.option(prediction.answer)} (kept in {PROGRESS})"
        state.value = escaped(said)

    def choose(button) -> None:
        if not prediction.closed:
            prediction.answer = button.description
            prediction.keep()
        update()

    def explain(change) -> None:
        prediction.reason = change["new"]
        prediction.keep()

    for button in buttons:
        button.on_click(choose)
    reason.observe(explain, "value")
    update()
    return ipywidgets.VBox([ipywidgets.HBox([*buttons, reason]), state])
