"""Similar submissions: copies with other names are found, honest ones and released code are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.course.assignments.similarity import (
    SOLUTION_NAME,
    code_runs,
    pairs_of_class,
    similar_pairs,
    text_runs,
)
from lib.course.assignments.sources import read_assignment
from lib.course.assignments.submissions import find_submissions
from tests.course.assignments.class_of_thirty import CLASS, HANDMADE_AP, TEXT, renamed, write_class


def test_runs_by_hand():
    assert code_runs("a = b + c  # note", names=False) == set()  # five tokens
    assert code_runs("f(a, 1, 'x') == g(b)[2]") == {
        ("name", "(", "name", ",", "0", ",", '""', ")", "==", "name", "(", "name"),
        ("(", "name", ",", "0", ",", '""', ")", "==", "name", "(", "name", ")"),
        ("name", ",", "0", ",", '""', ")", "==", "name", "(", "name", ")", "["),
        (",", "0", ",", '""', ")", "==", "name", "(", "name", ")", "[", "0"),
        ("0", ",", '""', ")", "==", "name", "(", "name", ")", "[", "0", "]"),
    }
    assert text_runs("One two, THREE four five") == {("one", "two", "three", "four", "five")}


def test_renaming_changes_names_alone():
    other = "def other(x):\n    return [sorted({y: x for y in range(x)}) for _ in x if x > 3]\n"
    students, codes = ["a", "b", "c"], [HANDMADE_AP, renamed(HANDMADE_AP), other * 3]
    (pair,) = similar_pairs(students, codes, [""] * 3)
    assert (pair.first, pair.second, pair.code, pair.text) == ("a", "b", 1.0, 0.0)
    assert pair.names < 0.2
    assert similar_pairs(students, codes, [""] * 3, released_code=HANDMADE_AP) == []


def test_texts_are_compared_too():
    (pair,) = similar_pairs(["a", "b"], ["", ""], [TEXT, "Indeed. " + TEXT])
    assert pair.text > 0.9 and pair.code == 0


@given(st.text(max_size=300))
def test_any_text_is_read(text):
    assert code_runs(text) is not None and text_runs(text) is not None


def test_the_pair_of_the_class(tmp_path):
    own = {"pam", "quin"}
    write_class(tmp_path, tuple(each for each in CLASS if not each.name.startswith("zz")))
    pairs = pairs_of_class(find_submissions(tmp_path), read_assignment("evaluation"), 0.6)
    like_solution = {pair.second for pair in pairs if pair.first == SOLUTION_NAME}
    assert {"ada", "kim"} <= like_solution and not own & like_solution
    found = {frozenset((pair.first, pair.second)) for pair in pairs if pair.first != SOLUTION_NAME}
    assert frozenset(own) in found
    assert not [pair for pair in found if own & pair and own != pair]
    (first,) = [pair for pair in pairs if {pair.first, pair.second} == own]
    assert first.code == pytest.approx(1) and first.names < 0.5 and first.text > 0.8


def test_the_published_solution_is_recognised(tmp_path):
    write_class(tmp_path, CLASS[:1])
    (pair,) = pairs_of_class(find_submissions(tmp_path), read_assignment("evaluation"), 0.6)
    assert (pair.first, pair.second) == (SOLUTION_NAME, "ada") and pair.code > 0.9
