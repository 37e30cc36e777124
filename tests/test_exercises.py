"""Every exercise names each typical mistake and accepts the stored solutions."""

import importlib
from pathlib import Path

import pytest

from lib import course
from lib.course import exercises
from lib.course.cases import Case, is_same
from tests.course.reference_answers import ANSWERS
from tests.notebook_policy import SOLUTIONS, defined_function, imports_for, read, solution_cells

MODULES = [
    f"tests.course.{path.stem}"
    for path in sorted((Path(__file__).parent / "course").glob("mistakes_*.py"))
]
MISTAKES: dict[str, list] = {}
for module in MODULES:
    for name, wrong in importlib.import_module(module).MISTAKES.items():
        MISTAKES.setdefault(name, []).extend(wrong)
# Notebook 02 trains for seconds; `make notebooks` checks its solutions too.
STORED = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem[:2] == "02" else [])
    for path in sorted(SOLUTIONS.glob("*.ipynb"))
]


def check(name, function):
    """The verdict and its message on one line."""
    verdict = course.check(name, function)
    return verdict, " ".join(verdict.message.split())


def test_every_exercise_has_mistakes_and_a_reference_answer():
    assert set(MISTAKES) == set(course.all_exercises()) == set(ANSWERS)
    assert [name for name, mistakes in MISTAKES.items() if len(mistakes) < 2] == []


def test_rejects_each_mistake_with_its_own_hint(capsys):
    offenders = []
    for name, mistakes in MISTAKES.items():
        for function, phrase in mistakes:
            verdict, message = check(name, function)
            if verdict or phrase not in message or "Hint:" not in message:
                offenders.append(f"{phrase!r} is not in:\n{verdict.message}")
        capsys.readouterr()
    assert not offenders, "\n".join(offenders)


def test_prints_the_same_message_twice(capsys):
    offenders = []
    for name, mistakes in MISTAKES.items():
        messages = [course.check(name, mistakes[0][0]).message for _ in range(2)]
        if capsys.readouterr().out != 2 * f"{messages[0]}\n":
            offenders.append(name)
    assert offenders == []


def test_the_task_is_printed_for_a_stub():
    offenders = []
    for name, exercise in course.all_exercises().items():
        verdict, message = check(name, lambda *arguments: None)
        if verdict or "not started" not in message or exercise.task not in message:
            offenders.append(name)
    assert offenders == []


def test_no_text_for_students_contains_code():
    codes = ("np.", "argsort", "linalg", "keepdims", "[:,", ".mean(", "lambda", "return ")
    offenders = []
    for name, exercise in course.all_exercises().items():
        text = " ".join([exercise.task, exercise.insight, *exercise.hint_list])
        offenders += [f"{name} gives away {code!r}" for code in codes if code in text]
    assert offenders == []


def test_modules_of_exercises_do_not_contain_the_decisive_calls():
    offenders = [
        f"{path.name} contains {code}"
        for path in sorted(Path(exercises.__file__).parent.glob("nb*.py"))
        for code in ("argsort", "linalg.norm", "argpartition")
        if code in path.read_text()
    ]
    assert offenders == []


def test_each_message_of_a_case_has_a_hint_and_no_mistake_is_the_right_answer():
    offenders = [
        f"{name}: {message}"
        for name, exercise in course.all_exercises().items()
        for check in exercise.checks
        for case in (check if isinstance(check, tuple) else (check,))
        if isinstance(case, Case)
        for message, wrong in case.mistakes.items()
        if message.count(" | ") != 1 or (not callable(wrong) and is_same(case.right, wrong))
    ]
    assert offenders == []


@pytest.mark.parametrize("path", STORED)
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
