"""Whatever a reader's function does, `check` ends in a verdict; right answers pass however they are
held. Each exercise meets a tenth of the wrong answers, in turn; `make slow` tries them all.
"""

import sys
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch

from lib import course
from tests.course import reference_answers as right_answers
from tests.course.reference_answers import ANSWERS


def held(result, hold):
    """A result whose numbers are held in another way; text and objects stay."""
    if isinstance(result, dict):
        return {name: held(value, hold) for name, value in result.items()}
    try:
        array = np.asarray(result)
    except ValueError:
        return result
    return hold(array) if array.size and array.dtype.kind in "biuf" else result


def as_table(array):
    wrap = {0: lambda value: value, 1: pd.Series, 2: pd.DataFrame}
    return wrap.get(array.ndim, lambda value: value)(array)


def with_gradient(array):
    return torch.tensor(array, requires_grad=array.dtype.kind == "f")


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def small_ids(array):
    return (
        array.astype(np.int16 if array.min(initial=0) < 0 else np.uint16)
        if array.dtype.kind == "i"
        else array
    )


def nested_tuples(values):
    return tuple(map(nested_tuples, values)) if isinstance(values, list) else values


HARMLESS = {
    "as it is": lambda array: array,
    "tensor": torch.as_tensor,
    "tensor with gradient": with_gradient,
    "float32 tensor": lambda array: torch.tensor(
        array.astype("f4") if array.dtype.kind == "f" else array
    ),
    "list of tensors": lambda array: [torch.tensor(row) for row in array] if array.ndim else array,
    "list": lambda array: array.tolist(),
    "tuples": lambda array: nested_tuples(array.tolist()),
    "list of arrays": lambda array: list(array) if array.ndim else array,
    "one number in an array": lambda array: array.reshape(1) if array.ndim == 0 else array,
    "one number in a list": lambda array: [array] if array.ndim == 0 else array,
    "long floats": lambda array: array.astype(np.longdouble) if array.dtype.kind == "f" else array,
    "small integers": small_ids,
    "columns first": np.asfortranarray,
    "read only": read_only,
    "table": as_table,
    "fraction": lambda a: Fraction(float(a)) if a.ndim == 0 and np.isfinite(a) else a,
    "masked array without a mask": np.ma.array,
    "matrix": lambda array: np.matrix(array) if array.ndim == 2 else array,
}
# What is not right whatever the exercise; half precision and the like may or may not be enough.
DOUBTFUL = {
    "bfloat16": lambda array: torch.tensor(array).to(torch.bfloat16),
    "float16": lambda array: array.astype(np.float16),
    "sparse": lambda array: torch.tensor(array).to_sparse(),
    "objects": lambda array: array.astype(object),
    "one axis more": lambda array: array[None],
    "flat": np.ravel,
    "complex": lambda array: array.astype(complex),
    "complex tensor": lambda array: torch.tensor(array.astype(complex)).conj(),
    "text": lambda array: array.astype(str),
    "generator": lambda array: (row for row in np.atleast_1d(array)),
    "map": lambda array: map(float, array.ravel()),
    "set": lambda array: set(array.ravel().tolist()),
    "masked": lambda array: np.ma.array(array, mask=True),
    "transposed": lambda array: array.T,
    "reversed": lambda array: array[::-1] if array.ndim else array,
    "shorter": lambda array: array[:-1] if array.ndim else array,
    "ragged": lambda array: (
        [row[: 1 + i] for i, row in enumerate(array.tolist())] if array.ndim > 1 else array
    ),
    "negative": lambda array: -array.astype(float),
    "one more": lambda array: array + 1,
    "NaN": lambda array: array * np.nan,
    "infinite": lambda array: array + np.inf,
    "integers": lambda array: array.astype(int),
    "truth": lambda array: array.astype(bool),
    "nothing": lambda array: np.full(array.shape, None),
}


class Hostile:
    """An object that raises whatever it is asked."""

    def refuse(self, *arguments):
        raise RuntimeError("no")

    __repr__ = __eq__ = __len__ = __array__ = __float__ = __bool__ = __iter__ = __hash__ = refuse


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no")


async def later(*arguments):
    return 1


def recurse(*arguments):
    return recurse(*arguments)


def raising(error):
    def function(*arguments):
        raise error

    return function


itself: list = []
itself.append(itself)
RESULTS = [
    np.nan, np.inf, 10**400, -(10**6), 1e300, 1j, True, "x", "", b"x", "\ud800", ..., int, len,
    np, object(), [], (), {}, set(), [[1, 2], [3]], [[[1], [2, 3]], 4], [None], [{}], ["a", 1],
    range(3), iter([]), itself, {"a": itself}, Hostile(), [Hostile()], memoryview(b"ab"),
    Fraction(1, 7), np.zeros((0, 3)), np.zeros((2, 0)), np.zeros((1,) * 20),
    np.array([[1, 2], [3]], dtype=object), np.array("2020-01-01", "M8[D]"), np.zeros(2, "i4,f4"),
    torch.zeros(0, 3), torch.zeros(2, device="meta"), pd.DataFrame({"a": ["x"]}),
    pd.Series([1, None], dtype="Int64"),
]  # fmt: skip
ERRORS = [
    ValueError("\ud800"), KeyError(), SystemExit(3), KeyboardInterrupt(), GeneratorExit(),
    StopIteration(), RecursionError("deep"), MemoryError(), AssertionError(),
    ExceptionGroup("two", [ValueError(), OSError()]), Mute(), UserWarning("w"), BaseException("b"),
    NotImplementedError(), ValueError("long " * 10_000),
]  # fmt: skip


def changing(right):
    """Returns what is right, and empties what it was given."""

    def function(*arguments):
        result = right(*arguments)
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                argument[...] = 7
            elif isinstance(argument, list | dict | set):
                argument.clear()
        return result

    return function


def printing(right):
    def function(*arguments):
        print("word " * 1_000)
        print("word " * 1_000, file=sys.stderr)
        return right(*arguments)

    return function


def right_once(right):
    calls = []

    def function(*arguments):
        calls.append(0)
        return right(*arguments) if len(calls) == 1 else "and then text"

    return function


def answers_to(right):
    """`(name, function, whether it must pass, or None where it may)` of all that is tried."""
    for must_pass, ways in ((True, HARMLESS), (None, DOUBTFUL)):
        for name, hold in ways.items():
            yield name, lambda *given, hold=hold: held(right(*given), hold), must_pass
    for at, result in enumerate(RESULTS):
        yield f"result {at}", lambda *given, result=result: result, False
    for error in ERRORS:
        yield f"raises {type(error).__name__}", raising(error), False
    yield "prints", printing(right), True
    yield (
        "changes its input",
        changing(right),
        None,
    )  # exercises of numbers alone have nothing to change
    yield "right once", right_once(right), False
    yield "no argument", lambda: 1, False
    yield "a coroutine", later, False
    yield "recursion without end", recurse, False
    yield "not a function", 3, False
    yield "a class", Hostile, False


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("share", [10, pytest.param(1, marks=pytest.mark.slow)])
def test_check_ends_in_a_verdict_whatever_the_answer_does(share, capsys):
    offenders = []
    for turn, (exercise, right) in enumerate(ANSWERS.items()):
        for at, (name, function, must_pass) in enumerate(answers_to(right)):
            if not must_pass and (at + turn) % share:
                continue
            try:
                with np.errstate(all="ignore"):
                    verdict = course.check(exercise, function)
            except BaseException as error:
                offenders.append(
                    f"{exercise}, {name}: {type(error).__name__} leaves check: {error}"[:200]
                )
                continue
            if must_pass is not None and bool(verdict) != must_pass:
                offenders.append(f"{exercise}, {name}: {verdict.message}"[:400])
            if exercise not in verdict.message or len(verdict.message) > 2_500:
                offenders.append(f"{exercise}, {name}: said in {len(verdict.message)} characters")
        capsys.readouterr()
    assert not offenders, f"{len(offenders)} offenders:\n" + "\n".join(offenders)


# Right answers that read or give a mask as zeros and ones.
WITH_INTEGER_MASKS = {
    "triplet.semi_hard": lambda cosines, margin: right_answers.semi_hard(cosines, margin).astype(
        np.uint8
    ),
    "triplet.max_of_hinges": lambda c, same, margin: right_answers.max_of_hinges(
        c, same.astype(int), margin
    ),
    "mnr.mine": lambda cosines, known, k: right_answers.mine_hard_negatives(
        cosines, known.astype(int), k
    ),
    "sigmoid.gradient": lambda logits, z: right_answers.sigmoid_logit_gradient(
        logits, z.astype(int)
    ),
    "sigmoid.loss": lambda logits, z: right_answers.sigmoid_loss(logits, z.astype(int)),
    "late.padded": lambda query, documents, mask: right_answers.maxsim_padded(
        query, documents, mask.astype(int)
    ),
    "cross.negatives": lambda logits, same: right_answers.hard_negative_chances(
        logits, same.astype(int)
    ),
    "traps.mcnemar": lambda a, b: right_answers.mcnemar(a.astype(bool), b.astype(bool)),
    "lsh.signature": lambda rows, normals: right_answers.signature(rows, normals).astype(bool),
}


def test_masks_may_be_zeros_and_ones(capsys):
    offenders = [
        name for name, answer in WITH_INTEGER_MASKS.items() if not course.check(name, answer)
    ]
    assert not offenders, capsys.readouterr().out
