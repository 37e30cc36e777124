"""Every exercise says the right thing about each typical mistake, and accepts the stored
solutions.
"""

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
STORED = sorted(SOLUTIONS.glob("*.ipynb"))


def test_every_exercise_has_mistakes_and_a_reference_answer():
    assert set(MISTAKES) == set(course.all_exercises()) == set(ANSWERS)
    assert all(len(wrong) >= 2 for wrong in MISTAKES.values())


def test_rejects_each_mistake_with_its_own_hint(capsys):
    offenders = []
    for name, mistakes in MISTAKES.items():
        for function, phrase in mistakes:
            verdict = course.check(name, function)
            said = " ".join(verdict.message.split())
            if verdict or phrase not in said or "Hint:" not in said:
                offenders.append(f"{phrase!r} is not said:\n{verdict.message}")
        capsys.readouterr()
    assert not offenders, "\n".join(offenders)


def test_says_the_same_thing_twice(capsys):
    for name, mistakes in MISTAKES.items():
        said = [course.check(name, mistakes[0][0]).message for _ in range(2)]
        assert capsys.readouterr().out == "".join(f"{message}\n" for message in said)
        assert said[0] == said[1]


def test_a_stub_is_told_the_task():
    for name, exercise in course.all_exercises().items():
        verdict = course.check(name, lambda *arguments: None)
        said = " ".join(verdict.message.split())
        assert not verdict and "not started" in said and exercise.task in said


def test_no_text_for_students_contains_code():
    for name, exercise in course.all_exercises().items():
        text = " ".join([exercise.task, exercise.insight, *exercise.hint_list])
        for code in ("np.", "argsort", "linalg", "keepdims", "[:,", ".mean(", "lambda", "return "):
            assert code not in text, f"{name} gives away {code!r}"


def test_modules_of_exercises_do_not_contain_the_decisive_calls():
    for path in Path(exercises.__file__).parent.glob("nb*.py"):
        for code in ("argsort", "linalg.norm", "argpartition"):
            assert code not in path.read_text(), f"{path.name} contains {code}"


def test_no_case_takes_its_right_answer_for_a_mistake():
    for name, exercise in course.all_exercises().items():
        for case in flat(exercise.checks):
            if isinstance(case, Case):
                for message, wrong in case.mistakes.items():
                    assert " | " in message, f"{name}: {message!r} has no hint"
                    assert callable(wrong) or not is_same(case.right, wrong), f"{name}: {message}"


def flat(checks):
    return [part for check in checks for part in (check if isinstance(check, tuple) else (check,))]


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
