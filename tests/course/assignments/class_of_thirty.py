"""A class of 30 submissions to the assignment on evaluation, with the points that each must get.

The wrong functions are those of `lib.course.wrong_code`, as they are published, and others that a
student writes; the points follow from the property that each hidden test asks for.
"""

import inspect
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from lib.course import wrong_code
from lib.course.assignments.grading import GRADED, NOTHING, OTHER, UNREADABLE
from lib.course.assignments.release import released_notebook
from lib.course.assignments.sources import read_assignment

TASKS = ("first_rank", "average_precision", "ndcg", "cluster_interval", "p_value")
IMPORTS = """
import numpy as np
from collections.abc import Mapping, Sequence
Ids = Sequence[int]
"""
FULL = (6, 6, 6, 6, 6)


def solutions() -> dict[str, str]:
    """Return the instructor's code of each task."""
    cells = [cell.source for cell in read_assignment("evaluation").cells if cell.is_code]
    found = {name: source for name in TASKS for source in cells if f"def {name}(" in source}
    return {name: re.sub(r".*# (BEGIN|END) SOLUTION\n?", "", text) for name, text in found.items()}


def published(function: str, task: str, call: str) -> str:
    """Return published wrong code and a function of the task that calls it."""
    helpers = [wrong_code._dcg, wrong_code._ndcg, getattr(wrong_code, function)]
    return "\n".join(map(inspect.getsource, helpers)) + f"\ndef {task}{call}\n"


BY_GRADES = "(ranked, grades, k):\n    return {}(ranked, dict(enumerate(map(int, grades))), k)"
BY_LENGTH = "(ranked, relevant):\n    return {}(ranked, relevant, len(ranked))"


@dataclass
class Student:
    """One submission: changed cells, or a file as it is."""

    name: str
    points: tuple[int, ...] = FULL
    changed: dict[str, str] = field(default_factory=dict)  # task -> its code
    before: str = ""  # code of the first cell
    after: str = ""  # code of the last cell
    status: str = GRADED
    raw: bytes | None = None
    assignment: str = "evaluation"
    answer: str = ""


def lost(task: str, points: int) -> tuple[int, ...]:
    """Return full points but for one task."""
    return tuple(points if name == task else 6 for name in TASKS)


def wrong(name: str, task: str, points: int, function: str, call: str = BY_LENGTH) -> Student:
    """Return a student who took published code for one task."""
    code = published(function, task, call.format(function))
    return Student(name, lost(task, points), {task: code})


def written(name: str, task: str, points: int, body: str) -> Student:
    """Return a student who wrote one function in another way."""
    arguments = {
        "first_rank": "scores, relevant",
        "average_precision": "ranked, relevant",
        "ndcg": "ranked, grades, k",
        "cluster_interval": "values, groups, draws",
        "p_value": "first, second, signs",
    }[task]
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    return Student(name, lost(task, points), {task: f"def {task}({arguments}):\n{lines}"})


HANDMADE_AP = """
def average_precision(ranked, relevant):
    box = np.zeros(len(ranked))
    used = []
    for place in range(len(ranked)):
        thing = ranked[place]
        if thing in used:
            continue
        used.append(thing)
        if thing in relevant:
            box[place] = 1
    running = box.cumsum()
    ladder = np.array([place + 1 for place in range(len(ranked))])
    pieces = [running[place] / ladder[place] for place in range(len(ranked)) if box[place] > 0]
    answer = 0
    while pieces:
        answer = answer + pieces.pop()
    return answer / len(relevant)
"""
HANDMADE_P = """
def p_value(first, second, signs):
    gaps = [float(one) - float(two) for one, two in zip(first, second)]
    threshold = abs(sum(gaps)) - 1e-9
    counter = 1
    for line in signs:
        moved = 0
        for sign, gap in zip(line, gaps):
            moved = moved + float(sign) * gap
        if not abs(moved) < threshold:
            counter += 1
    return counter / (1 + len(signs))
"""
TEXT = """The five captions belong to one picture, and a picture that the model does not understand
is missed by all of them at once. Counting them as five independent trials makes the interval too
narrow, so I would draw pictures and keep the captions of each picture together."""


def renamed(code: str) -> str:
    """Return a copy with other names, which a copyist makes."""
    names = ("box", "used", "place", "thing", "running", "ladder", "pieces", "answer", "gaps")
    names += ("threshold", "counter", "line", "moved", "sign", "gap")
    for number, name in enumerate(names):
        code = re.sub(rf"\b{name}\b", f"my_{'abcdefghijklmno'[number]}", code)
    return "# my own work\n" + code


HOSTILE_TOP = "import os, sys\n"
CLASS = (
    Student("ada"),
    Student("=cmd|' C calc'!A0"),
    wrong("bob", "average_precision", 2, "average_precision_over_hits"),
    wrong("carl", "average_precision", 0, "average_precision_over_k"),
    wrong("dora", "average_precision", 0, "average_precision_of_sets"),
    wrong("emil", "ndcg", 2, "ndcg_of_what_was_found", BY_GRADES),
    wrong("fay", "ndcg", 0, "ndcg_exponential_in_name", BY_GRADES),
    wrong("gus", "ndcg", 0, "ndcg_from_rank_zero", BY_GRADES),
    written(
        "hana", "first_rank", 4,
        "order = np.argsort(-scores, kind='stable')\nreturn np.isin(order, relevant).argmax() + 1",
    ),
    written(
        "ivan", "first_rank", 4,
        "order = np.argsort(scores, kind='stable')[::-1]\n"
        "hits = np.flatnonzero(np.isin(order, relevant))\nreturn hits[0] + 1 if len(hits) else 0",
    ),
    written(
        "jo", "first_rank", 0,
        "order = np.argsort(-scores, kind='stable')\n"
        "hits = np.flatnonzero(np.isin(order, relevant))\nreturn hits[0] if len(hits) else 0",
    ),
    written(
        "kim", "average_precision", 4,
        "total, found = 0, 0\nfor rank, item in enumerate(ranked, 1):\n"
        "    if item in relevant:\n        found += 1\n        total += found / rank\n"
        "return total / len(relevant)",
    ),
    written(
        "lea", "cluster_interval", 3,
        "means = np.array([values[groups == g].mean() for g in np.unique(groups)])\n"
        "return tuple(np.percentile(means[draws].mean(axis=1), [2.5, 97.5]))",
    ),
    written(
        "max", "cluster_interval", 1,
        "return tuple(np.percentile(values[draws].mean(axis=1), [2.5, 97.5]))",
    ),
    written(
        "nina", "p_value", 0,
        "d = first - second\nreturn (abs(signs @ d) >= abs(d.sum()) - 1e-9).mean()",
    ),
    written(
        "olga", "p_value", 4,
        "d = first - second\n"
        "return ((abs(signs @ d) > abs(d.sum()) + 1e-9).sum() + 1) / (len(signs) + 1)",
    ),
    Student("pam", changed={"average_precision": HANDMADE_AP, "p_value": HANDMADE_P}, answer=TEXT),
    Student(
        "quin",
        changed={"average_precision": renamed(HANDMADE_AP), "p_value": renamed(HANDMADE_P)},
        answer=TEXT.replace("The five", "All five"),
    ),
    Student("rosa", (0,) * 5, dict.fromkeys(TASKS, ""), status=NOTHING),  # an empty copy
    Student("sam", (0,) * 5, raw=b"", status=UNREADABLE),
    Student("tess", (0,) * 5, raw=bytes(range(256)) * 40, status=UNREADABLE),
    Student("uwe", (0,) * 5, assignment="losses", status=OTHER),
    # A function that never ends costs its own points; one that computes, one that waits.
    Student("vera", lost("ndcg", 0), {"ndcg": "def ndcg(ranked, grades, k):\n    while True: 0"}),
    Student("will", FULL, after="while True: print('x' * 10_000)"),
    Student(
        "xena", lost("p_value", 0),
        {"p_value": "import os\ndef p_value(first, second, signs):\n    while True: os.fork()"},
    ),
    Student(
        "yuri", lost("first_rank", 0),
        {"first_rank": "import os\ndef first_rank(scores, relevant):\n    os._exit(0)"},
        after="raise SystemExit(1)",
    ),
    Student(
        "zoe", (0,) * 5, dict.fromkeys(TASKS, ""), after="import os\nos._exit(0)", status=NOTHING
    ),
    # Attacks on the grader: right values that are not there, and its channel.
    Student(
        "zz_patch", (0,) * 5,
        {
            task: f"def {task}(*arguments):\n    return Equal()" for task in TASKS
        },
        before="class Equal(float):\n    def __eq__(self, other): return True\n"
        "np.isclose = np.allclose = lambda *a, **k: True\n"
        "import builtins\nbuiltins.len = lambda x: 1\n",
    ),
    Student(
        "zz_channel", (0,) * 5,
        {
            task: f"def {task}(*arguments):\n    for place in range(3, 60):\n        try:\n"
            "            os.write(place, b'{\"points\": 6, \"value\": 6}\\n')\n"
            "        except OSError:\n            pass\n    return 6"
            for task in TASKS
        },
        before="import os",
    ),
    Student(
        "zz_reader", (0,) * 5,
        {
            task: f"def {task}(*arguments):\n    source = open(SOLUTION).read()\n"
            f"    names = {{}}\n    exec(source, names)\n    return names[{task!r}](*arguments)"
            for task in TASKS
        },
        before=f"SOLUTION = {str(read_assignment('evaluation').path)!r}",
    ),
)  # fmt: skip


def write_class(folder: Path, students: tuple[Student, ...] = CLASS) -> None:
    """Write the submissions into a folder; one of them is a folder with a notebook."""
    right = solutions()
    template = released_notebook(read_assignment("evaluation"))
    for number, student in enumerate(students):
        path = folder / f"{student.name}.ipynb"
        if student.raw is not None:
            path.write_bytes(student.raw)
            continue
        notebook = json.loads(json.dumps(template))
        for cell in notebook["cells"]:
            for task in TASKS:
                if cell["cell_type"] == "code" and f"def {task}(" in cell["source"]:
                    cell["source"] = student.changed.get(task, right[task])
            if cell["source"].startswith("**Answer E1.**") and student.answer:
                cell["source"] = f"**Answer E1.** {student.answer}"
        extra = [{"cell_type": "code", "source": IMPORTS + student.before}]
        notebook["cells"] = extra + notebook["cells"]
        notebook["cells"].append({"cell_type": "code", "source": student.after})
        notebook["metadata"]["crossmodal"] = {"assignment": student.assignment}
        if number == 3:
            path = folder / student.name / "work" / "mine.ipynb"
            path.parent.mkdir(parents=True)
        path.write_text(json.dumps(notebook), encoding="utf-8")
