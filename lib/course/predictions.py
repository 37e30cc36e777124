"""Predictions that a student makes before a result is shown, and the comparison afterwards."""

import string
from collections.abc import Sequence

from lib.core.checks import RetrievalInputError, check_choice
from lib.course.engine import wrapped

_PREDICTIONS: dict[str, tuple[list[str], str | None]] = {}


def predict(key: str, question: str, options: Sequence[str], yours: str | None = None) -> None:
    """Print a question with its options and store the student's prediction for `reveal`.

    Args:
        key: name of the question.
        question: what will be measured.
        options: possible outcomes, two to six.
        yours: the student's letter, "a", "b", ...; None for no prediction yet.
    """
    if not 2 <= len(options) <= 6:
        raise RetrievalInputError(f"a prediction needs 2 to 6 options, got {len(options)}")
    letters = string.ascii_lowercase[: len(options)]
    print(question)
    for letter, option in zip(letters, options, strict=True):
        print(f"  {letter}) {option}")
    if yours is not None:
        yours = _letter(yours, letters, "yours")
        print(f"Your prediction: {yours}) {options[letters.index(yours)]}")
    else:
        print(
            'Your prediction: none yet. Set yours="a", or another letter, and run the cell again.'
        )
    _PREDICTIONS[key] = (list(options), yours)


def reveal(key: str, observed: str, because: str = "") -> None:
    """Print the observed option, and whether the prediction was right.

    Args:
        key: name of the question in `predict`.
        observed: the right option, its letter or its text; compute it from the result.
        because: the reason in a sentence; measured numbers belong in `report.sentence`.
    """
    if key not in _PREDICTIONS:
        known = ", ".join(map(repr, _PREDICTIONS)) or "none so far"
        raise RetrievalInputError(
            f"no prediction {key!r} (asked: {known}); run the cell with course.predict first"
        )
    options, yours = _PREDICTIONS[key]
    letters = string.ascii_lowercase[: len(options)]
    if observed in options:
        observed = letters[options.index(observed)]
    observed = _letter(observed, letters, "observed")
    print(f"Observed: {observed}) {options[letters.index(observed)]}")
    if yours is None:
        print(
            'You made no prediction: set yours="a", or another letter, in course.predict, and run'
            " both again."
        )
    elif yours == observed:
        print("You predicted it.")
    else:
        print(f"You predicted {yours}) {options[letters.index(yours)]}.")
    if because:
        print(wrapped(f"Why: {because}"))


def _letter(text: str, letters: str, name: str) -> str:
    return check_choice(str(text).strip().rstrip(")").lower(), letters, name)
