"""Every lab accepts its worked example and tells typical wrong answers what is wrong."""

import pytest
import torch
from torch.nn import functional

from lib.course.labs import lab_2_losses
from lib.course.labs.engine import all_labs, grade
from lib.index import VectorSearchIndex
from tests.notebook_policy import LABS, SOLUTIONS, code, read, tags

WORKED = sorted((SOLUTIONS / "labs").glob("*.ipynb"))


def submitted(path):
    """The lab and the answer that a worked example submits."""
    namespace: dict = {}
    for _, cell in code(read(path)):
        if not set(tags(cell)) & {"hide-input", "nbval-ignore-output"}:
            exec(compile(cell.source, path.name, "exec"), namespace)
        if "course.submit(" in cell.source:
            lab, name = cell.source.split("course.submit(")[1].split(",")[:2]
            return lab.strip("\"'"), namespace[name.strip()]
    raise AssertionError(f"{path.name} submits nothing")


def test_each_lab_has_a_notebook_and_a_worked_example():
    assert [path.stem for path in WORKED] == [path.stem for path in sorted(LABS.glob("*.ipynb"))]
    assert len(all_labs()) == len(WORKED)


@pytest.mark.parametrize("path", WORKED, ids=lambda path: path.stem)
def test_accepts_the_worked_example(path):
    result = grade(*submitted(path))
    assert result.points >= 0.7 * result.of, result.marks


@pytest.mark.parametrize("lab", all_labs().values(), ids=lambda lab: lab.name)
def test_rubrics(lab):
    machine = sum(c.points for c in lab.criteria if c.value)
    assert machine == 14 and sum(c.points for c in lab.criteria) == 20
    assert len(lab.criteria) <= 8 and all(c.advice or not c.value for c in lab.criteria)


def infonce(texts, images, same):
    return functional.cross_entropy(texts @ images.T / 0.07, same / same.sum(1, keepdim=True))


def loss(change):
    return lambda texts, images, same: change(infonce(texts, images, same), texts)


WRONG_LOSSES = {
    "nothing": (lambda t, i, s: None, "it returns None"),
    "a number": (loss(lambda value, t: value.item()), "no tensor"),
    "not reduced": (loss(lambda value, t: value + t.sum(1)), "shape (6,)"),
    "infinite": (loss(lambda value, t: value / 0), "it returns inf"),
    "one side": (lambda t, i, s: infonce(t, i.detach(), s), "reaches the images"),
    "raises": (lambda t, i, s: t @ i, "it raised RuntimeError"),
    "three arguments": (lambda t, i: t.sum(), "it raised TypeError"),
    "no function": (torch.tensor(1.0), "must be a function"),
    "a root at 0": (lambda t, i, s: ((t - t) ** 2).sum().sqrt() + (t * i).sum(), "is not finite"),
}


@pytest.mark.parametrize("name", WRONG_LOSSES)
def test_wrong_losses(name):
    answer, phrase = WRONG_LOSSES[name]
    result = grade("losses", answer, "validation")
    assert phrase in result.problem, result


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(lab_2_losses, "PAIRS", 128 * 12)
    monkeypatch.setattr(lab_2_losses, "SEEDS", (0,))
    lab_2_losses._baseline.cache_clear()
    yield
    lab_2_losses._baseline.cache_clear()


def test_losses_that_train_wrongly(short):
    upside_down = grade("losses", lambda t, i, s: -infonce(t, i, s), "validation")
    assert "hardly any name finds its icon" in upside_down.measured.symptoms[0]
    pulls = grade("losses", lambda t, i, s: (1 - (t * i).sum(1)).mean(), "validation")
    assert "all vectors point the same way" in pulls.measured.symptoms[0]
    calls = []

    def breaks(texts, images, same):
        calls.append(1)
        value = functional.mse_loss(texts, images)
        return value * float("nan") if len(calls) > 4 else value

    assert "in training the loss became nan" in grade("losses", breaks, "validation").problem


def index(family, keep=slice(None), **search):
    def build(base, texts):
        made = VectorSearchIndex(base.shape[1], family)
        made.add(base[keep])
        made.set_search(**search)
        return made

    return build


WRONG_INDEXES = {
    "nothing": (lambda base, texts: None, "it returns None"),
    "vectors": (lambda base, texts: base[:2], "it returns an array"),
    "half": (index("IVF", slice(None, None, 2)), "the index holds 7,879 vectors"),
    "unknown option": (index("IVF", ef_search=3), "it raised RetrievalInputError"),
}


@pytest.mark.parametrize("name", WRONG_INDEXES)
def test_wrong_indexes(name):
    answer, phrase = WRONG_INDEXES[name]
    assert phrase in grade("indexes", answer, "validation").problem


def test_indexes_beyond_the_limits_count_in_proportion():
    flat = grade("indexes", index("Flat"))
    assert flat.measured.values["recall of texts"] == 100 and flat.points == 0
    assert "1040 bytes a vector, 176 are allowed" in flat.measured.symptoms[0]
    assert "compares 15,757" in flat.measured.symptoms[1]
    lists = grade("indexes", index("IVF", nprobe=10))
    assert [mark[1] for mark in lists.marks] == [0, 2, 0, 0]
    bits = grade("indexes", index("LSH"))
    assert "Limits that are kept earn points from 50% on" in bits.measured.symptoms[-1]
