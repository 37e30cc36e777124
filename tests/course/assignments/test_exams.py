"""Numbers in model answers of the exams are computed here; sheets for students hold none."""

import math
import re

import numpy as np
import pytest
from scipy import stats

from lib import metrics
from lib.course.assignments.release import EXAMS, exam_names, exam_sheet

BOLD = re.compile(r"\*\*([\d.,]+)\*\*")
QUESTION = re.compile(r"^## Question (\d+) \((\d+) points\): .*?\(notebooks? ([\d, ]+)\)$", re.M)


def cosines():
    text, images = np.array([3, 4]), np.array([[4, 3], [0, 2], [-3, 4]])
    products = images @ text
    unit = products / np.linalg.norm(images, axis=1) / np.linalg.norm(text)
    return [f"{value:.2f}" for value in unit] + [f"{value}" for value in products]


def one_ranking():
    hits = np.isin(np.arange(1, 11), [1, 3, 6])
    at_hits = np.cumsum(hits)[hits] / (np.flatnonzero(hits) + 1)
    values = hits[:5].mean(), hits[:5].sum() / 4, 1 / (hits.argmax() + 1)
    return [f"{value:.3f}" for value in (*values, at_hits.sum() / 4, at_hits.mean())]


def graded():
    def dcg(grades):
        return sum((2**g - 1) / math.log2(rank + 1) for rank, g in enumerate(grades, 1))

    found = dcg([2, 0, 3])
    return [f"{found / dcg([3, 2, 1]):.3f}", f"{found / dcg([3, 2, 0]):.3f}"]


def sizes_of_intervals():
    half = 1.96 * math.sqrt(0.4 * 0.6 / 400)
    return [f"{100 * half:.1f}", f"{math.ceil(1.96**2 * 0.24 / 0.01**2):,}"]


def infonce():
    losses = [math.log1p(math.exp(-0.2 / t)) for t in (0.1, 1)]
    gradients = [1 / (1 + math.exp(0.2 / t)) / t for t in (0.1, 1)]
    return [f"{value:.3f}" for value in losses + gradients]


def sigmoid():
    start = np.logaddexp(0, 10) + 127 * np.logaddexp(0, -10)
    return [f"{128 * math.log(2):.2f}", f"{start:.2f}"]


def lists():
    count = math.sqrt(10 * 10**6)
    return ["11,000", f"{count:,.0f}", f"{count + 10 * 10**6 / count:,.0f}"]


def graph():
    links = 32 * 4 + 16 * 4 / 15
    return [f"{links:.1f}", f"{links + 1024:,.1f}"]


def hashing():
    one = 1 - 60 / 180
    return [f"{value:.3f}" for value in (one, one**8, 1 - (1 - one**8) ** 10)]


def chance():
    back = 1 - stats.hypergeom(25_000, 5, 10).pmf(0)
    assert back < 10 * 5 / 25_000
    return [f"{100 * value:.3f}" for value in (10 / 5_000, back)]


def machines():
    size = 5.85 * 40
    return [f"{size:.0f}", f"{math.ceil(size / (64 * 0.75))}", f"{100 * (1 - 0.99**100):.0f}"]


def sketches():
    low, high = stats.binomtest(18, 30).proportion_ci(method="wilson")
    return [f"{100 * value:.1f}" for value in (18 / 30, low, high)]


COMPUTED = {
    ("midterm", 1): cosines,
    ("midterm", 2): lambda: [f"{16_000 * 256 * 4:,}", f"{16_000 * 256:,}"],
    ("midterm", 3): one_ranking,
    ("midterm", 4): graded,
    ("midterm", 5): sizes_of_intervals,
    ("midterm", 6): infonce,
    ("midterm", 7): lambda: [f"{max(0, 0.5 - d + 0.2):.1f}" for d in (0.4, 0.6, 0.9)],
    ("midterm", 8): sigmoid,
    ("midterm", 9): lambda: ["10,000", "1", f"{0.9 + 0.5:.1f}", f"{49 * 128:,}", f"{512 * 4:,}"],
    ("midterm", 10): lambda: [f"{92 * 0.75:.0f}", f"{5 + 100 * 0.8:.0f}", f"{int(45 / 0.8)}"],
    ("final", 1): lists,
    ("final", 2): lambda: ["16", f"{128 * 4 // 16}", f"{256 * 128 * 4:,}", "16"],
    ("final", 3): graph,
    ("final", 4): hashing,
    ("final", 6): lambda: [f"{384 * 256 + 256:,}"],
    ("final", 7): chance,
    ("final", 8): lambda: [f"{10 / 0.02:.0f}", f"{0.98**100:.3f}"],
    ("final", 9): machines,
    ("final", 10): sketches,
}


def questions(name):
    """Return {number: (points, notebooks, answer)} of an exam."""
    text = (EXAMS / f"{name}.md").read_text(encoding="utf-8")
    parts = re.split(r"(?m)^(?=## Question )", text)[1:]
    found = {}
    for part in parts:
        number, points, notebooks = QUESTION.match(part).groups()
        answer = part.split("**Answer.**")[1]
        found[int(number)] = int(points), notebooks.split(", "), answer
    return found


@pytest.mark.parametrize("name", ["midterm", "final"])
def test_every_number_of_an_answer_is_computed(name):
    for number, (_, _, answer) in questions(name).items():
        computed = COMPUTED.get((name, number), list)()
        assert BOLD.findall(answer) == computed, f"{name}, question {number}"


@pytest.mark.parametrize("name", ["midterm", "final"])
def test_points_and_notebooks(name):
    found = questions(name)
    assert list(found) == list(range(1, 11))
    head = (EXAMS / f"{name}.md").read_text(encoding="utf-8").split("## Question")[0]
    assert f"{sum(points for points, _, _ in found.values())} points" in head
    covered = sorted({notebook for _, notebooks, _ in found.values() for notebook in notebooks})
    first, last = (0, 12) if name == "midterm" else (13, 22)
    assert covered == [f"{n:02}" for n in range(first, last + 1)]


def test_points_of_the_parts_add_up():
    for name in exam_names():
        text = (EXAMS / f"{name}.md").read_text(encoding="utf-8")
        for part in re.split(r"(?m)^(?=## Question )", text)[1:]:
            asked = re.findall(r"^\d\. .*\((\d)\)$", part.split("**Answer.**")[0], re.M)
            assert sum(map(int, asked)) == int(QUESTION.match(part)[2]), part[:60]


def test_sheets_hold_no_answer():
    assert exam_names() == ["final", "midterm"]
    for name in exam_names():
        sheet = exam_sheet(name)
        assert "Answer" not in sheet and "*Points:*" not in sheet and not BOLD.search(sheet)
        assert sheet.count("## Question") == 10
        for _, _, answer in questions(name).values():
            for sentence in re.split(r"(?<=[.;:]) ", answer):
                assert len(sentence) < 25 or sentence not in sheet


def test_average_precision_of_the_midterm_is_that_of_the_library():
    ranked = np.array([[0, 10, 1, 11, 12, 2, 13, 14]])
    assert metrics.average_precision(ranked, [[0, 1, 2, 3]])[0] == pytest.approx(0.542, abs=5e-4)
