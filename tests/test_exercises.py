"""Every exercise accepts what is right and says the right thing about each typical mistake."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

from lib import course
from tests.course.reference_answers import ANSWERS
from tests.notebook_policy import SOLUTIONS, defined_function, imports_for, read, solution_cells

MODULES = [
    f"tests.course.{path.stem}" for path in sorted((Path(__file__).parent / "course").glob("mistakes_*.py"))
]
MISTAKES = {
    name: wrong for module in MODULES for name, wrong in importlib.import_module(module).MISTAKES.items()
}
STORED = sorted(SOLUTIONS.glob("*.ipynb"))


def test_every_exercise_has_mistakes_and_a_reference_answer():
    assert set(MISTAKES) == set(course.exercises()) == set(ANSWERS)
    assert all(len(wrong) >= 2 for wrong in MISTAKES.values())


@pytest.mark.parametrize("name", ANSWERS)
def test_accepts_the_reference_answer(name):
    verdict = course.check(name, ANSWERS[name])
    assert verdict, verdict.message
    assert verdict.message.startswith(f"OK {name}")


@pytest.mark.parametrize(
    ("name", "function", "phrase"),
    [
        pytest.param(name, function, phrase, id=f"{name}-{phrase.replace(' ', '_')}")
        for name, wrong in MISTAKES.items()
        for function, phrase in wrong
    ],
)
def test_rejects_each_mistake_with_its_own_hint(name, function, phrase):
    verdict = course.check(name, function)
    assert not verdict
    said = " ".join(verdict.message.split())
    assert phrase in said, verdict.message
    assert "Hint:" in said


@pytest.mark.parametrize("name", ANSWERS)
def test_a_stub_is_told_the_task(name):
    exercise = course.exercises()[name]
    verdict = course.check(name, lambda *arguments: None)
    assert not verdict
    said = " ".join(verdict.message.split())
    assert "not started" in said and exercise.statement in said


@pytest.mark.parametrize("name", ANSWERS)
def test_says_the_same_thing_twice(name, capsys):
    function = MISTAKES[name][0][0]
    course.check(name, function)
    first = capsys.readouterr().out
    course.check(name, function)
    assert capsys.readouterr().out == first


@pytest.mark.parametrize("name", ANSWERS)
def test_nothing_that_is_said_contains_code(name):
    exercise = course.exercises()[name]
    module = inspect.getmodule(exercise.stages[0])
    said = " ".join([exercise.statement, exercise.insight, *exercise.hints])
    for code in ("np.", "argsort", "linalg", "keepdims", "[:,", ".mean(", "lambda", "return "):
        assert code not in said, f"{name} gives away {code!r}"
    # What a check prints is a literal in its module, and the decisive calls are not even there.
    source = inspect.getsource(module)
    for call in ("argsort", "linalg.norm", "argpartition"):
        assert call not in source, f"{module.__name__} holds the answer's {call}"


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_accepts_the_stored_solutions(path):
    notebook = read(path)
    cells = solution_cells(notebook)
    assert cells, f"{path.name} has no cell tagged solution:<exercise>"
    namespace: dict = {}
    exec(imports_for(notebook, [source for _, source in cells]), namespace)
    for name, source in cells:
        exec(compile(source, f"{path.name}, {name}", "exec"), namespace)
        verdict = course.check(name, defined_function(source, namespace))
        assert verdict, f"{path.name}: {verdict.message}"
