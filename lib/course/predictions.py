"""Predictions made before a result is seen, and what is said about them afterwards."""

import string
from collections.abc import Sequence

from lib.core.checks import RetrievalInputError, check_choice
from lib.course.engine import wrapped

_PREDICTIONS: dict[str, tuple[list[str], str | None]] = {}


def predict(key: str, question: str, options: Sequence[str], yours: str | None = None) -> None:
    """Asks for a prediction before the result is seen, and keeps it for `reveal`.

    Args:
        key: names the question.
        question: what will be measured.
        options: possible outcomes, two to six.
        yours: the reader's letter, "a", "b", ...; None for no prediction yet.

    Raises:
        RetrievalInputError: fewer than two options, more than six, or a letter that is none of
            them.
    """
    if not 2 <= len(options) <= 6:
        raise RetrievalInputError(f"a prediction needs 2 to 6 options, got {len(options)}")
    letters = string.ascii_lowercase[: len(options)]
    print(question)
    for letter, option in zip(letters, options, strict=True):
        print(f"  {letter}) {option}")
    if yours is not None:
        yours = check_choice(str(yours).strip().rstrip(")").lower(), letters, "yours")
        print(f"Your prediction: {yours}) {options[letters.index(yours)]}")
    else:
        print(
            'Your prediction: none yet. Set yours="a", or another letter, and run the cell again.'
        )
    _PREDICTIONS[key] = (list(options), yours)


def reveal(key: str, observed: str, because: str = "") -> None:
    """Prints what was observed, and whether the prediction was right.

    Args:
        key: the question's name in `predict`.
        observed: the right option: its letter, or its text. Compute it from the result, so that it
            cannot contradict the measurement.
        because: why, in a sentence; keep measured numbers in `report.sentence`, where they are
            checked.

    Raises:
        RetrievalInputError: the question was not asked, or `observed` is none of its options.
    """
    if key not in _PREDICTIONS:
        asked = ", ".join(map(repr, _PREDICTIONS)) or "none so far"
        raise RetrievalInputError(
            f"no prediction {key!r} (asked: {asked}); run the cell with course.predict first"
        )
    options, yours = _PREDICTIONS[key]
    letters = string.ascii_lowercase[: len(options)]
    if observed in options:
        observed = letters[options.index(observed)]
    observed = check_choice(str(observed).strip().rstrip(")").lower(), letters, "observed")
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
