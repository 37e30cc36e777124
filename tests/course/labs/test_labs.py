"""Every lab accepts its worked example and tells typical wrong answers what is wrong."""

import json
from functools import cache

import numpy as np
import pytest
import torch
from torch.nn import functional

from lib.course.labs import (
    lab_1_joint_space,
    lab_2_losses,
    lab_6_own_collection,
    lab_8_sketches,
    lab_9_hums,
)
from lib.course.labs.engine import all_labs, grade
from lib.datasets.sketches import emoji_strokes
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


# These take many seconds; when the notebooks run, a folded cell of theirs asserts the same.
SLOW = {"lab_2_losses", "lab_4_indexes", "lab_6_own_collection"}


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.slow] if path.stem in SLOW else [], id=path.stem)
        for path in WORKED
    ],
)
def test_accepts_the_worked_example(path):
    result = grade(*submitted(path))
    assert result.points >= 0.7 * result.of, result.marks
    assert json.loads(json.dumps(result.as_dict()))["points"] == result.points


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
    "neither side": (lambda t, i, s: t.sum() * 0, "no gradient reaches the texts"),
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
    assert json.loads(json.dumps(result.as_dict()))["problem"] == result.problem


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(lab_2_losses, "PAIRS", 128 * 12)
    monkeypatch.setattr(lab_2_losses, "SEEDS", (0,))
    lab_2_losses._baseline.cache_clear()
    yield
    lab_2_losses._baseline.cache_clear()


@pytest.mark.slow
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


def dark(size=32):
    return np.pad(np.zeros((size, size), np.uint8), 40, constant_values=255)


DRAWN = lab_1_joint_space.example_drawings("validation")
ICON = lab_1_joint_space.gallery("validation")
WRONG_DRAWINGS = {
    "a list": ([dark()], "must be a dict"),
    "few": ({"cross": dark()}, "1 concepts are drawn, at least 5"),
    "unknown": (DRAWN | {"unicorn": dark()}, "no icon here shows the concept 'unicorn'"),
    "of the other split": (DRAWN | {"sun": dark()}, "no icon here shows the concept 'sun'"),
    "blank": (DRAWN | {"ring": np.full((9, 9), 255, np.uint8)}, "is blank"),
    "floats": (DRAWN | {"ring": np.zeros((9, 9))}, "of float64"),
    "a number": (DRAWN | {"ring": 5}, "'ring' is 5"),
    "no file": (DRAWN | {"ring": "nowhere.png"}, "nowhere.png"),
    "twice": (DRAWN | {"grid": DRAWN["cross"]}, "are the same picture"),
    "copied": (
        DRAWN | {"grid": 255 - ICON[0][ICON[2].index("grid")]},
        "'grid' is an icon of the gallery",
    ),
}


@pytest.mark.parametrize("name", WRONG_DRAWINGS)
def test_wrong_drawings(name):
    answer, phrase = WRONG_DRAWINGS[name]
    assert phrase in grade("joint_space", answer, "validation").problem


def test_drawings_may_be_files(tmp_path):
    for concept, page in DRAWN.items():
        page.save(tmp_path / f"{concept}.png")
    files = {concept: str(tmp_path / f"{concept}.png") for concept in DRAWN}
    found = [grade("joint_space", each, "validation").measured.values for each in (files, DRAWN)]
    assert found[0] == found[1]


recorded = cache(lambda: lab_8_sketches.recorded_drawings("validation"))


def copied_line():
    return emoji_strokes()[lab_8_sketches.places_to_draw("validation")["cat"]]


# Functions of the recorded drawings, because these take seconds to read.
WRONG_SKETCHES = {
    "a list": (lambda drawn: [[[0, 0], [1, 1]]], "must be a dict"),
    "few": (lambda drawn: dict(list(drawn.items())[:4]), "4 things are drawn, at least 5"),
    "unknown": (lambda drawn: drawn | {"spam": drawn["cat"]}, "that can be drawn here is called"),
    "of the test": (lambda drawn: drawn | {"duck": drawn["cat"]}, "is called 'duck'"),
    "its name": (lambda drawn: drawn | {"cat": (drawn["cat"][0], "a cat")}, "a part of its name"),
    "no strokes": (lambda drawn: drawn | {"cat": []}, "at least one stroke, got none"),
    "a number": (lambda drawn: drawn | {"cat": 5}, "the drawing of 'cat' cannot be read"),
    "NaN": (lambda drawn: drawn | {"cat": [[(0, float("nan"))]]}, "must be a finite number"),
    "twice": (lambda drawn: drawn | {"cat": drawn["fish"]}, "are the same"),
    "copied": (lambda drawn: drawn | {"cat": copied_line()}, "'cat' is the line of the artist"),
}


@pytest.mark.parametrize("name", WRONG_SKETCHES)
def test_wrong_sketches(name):
    answer_of, phrase = WRONG_SKETCHES[name]
    assert phrase in grade("sketches", answer_of(recorded()), "validation").problem


def test_sketches_may_be_lists_of_points_and_words_are_counted():
    as_lists = {name: [line.tolist() for line in d.strokes] for name, (d, _) in recorded().items()}
    found = [grade("sketches", each, "validation").measured for each in (as_lists, recorded())]
    assert found[0].values["R@10"] == found[1].values["R@10"]
    assert [each.costs["words"] for each in found] == [0, len(recorded())]
    assert found[0].values["R@10 with words"] == found[0].values["R@10"]


def test_things_by_lot_repeat_and_belong_to_the_split():
    drawn = lab_8_sketches.things_by_lot("test", 12, 3)
    assert drawn == lab_8_sketches.things_by_lot("test", 12, 3) != sorted(drawn)
    assert set(drawn) <= set(lab_8_sketches.places_to_draw("test"))
    assert not set(drawn) & set(lab_8_sketches.places_to_draw("validation"))


def evaluation(name, old="", new=""):
    """The functions of lab 3, as given or of the worked example, with one change."""
    folder, space, sources = LABS if name == "given" else WORKED[0].parent, {"np": np}, []
    for _, cell in code(read(folder / "lab_3_evaluation.ipynb")):
        if cell.source.lstrip().startswith("def "):
            sources.append(cell.source)
    assert old in "".join(sources)
    exec("\n\n".join(sources).replace(old, new) if old else "\n\n".join(sources), space)
    return space


# The five errors, one at a time, put back into the worked example.
ERRORS = {
    1: ("sides.append(rows / lengths)", "sides.append(rows)"),
    2: ("image_ids == wanted", "np.arange(len(row)) == wanted"),
    3: (">= best", "> best"),
    4: ("ranks <= 5", "ranks < 5"),
    5: ("np.unique(groups):", "(groups := np.arange(len(values))):"),
}


@pytest.mark.parametrize("at", ERRORS)
def test_each_error_of_the_evaluation_has_its_own_points_and_symptom(at):
    result = grade("evaluation", evaluation("worked", *ERRORS[at])["evaluate"])
    lost = [mark[0] for mark in result.marks if mark[1] < mark[2]]
    assert lost == [f"error {at}", "everything at once"]
    assert len(result.measured.symptoms) == 2


def test_the_given_evaluation_earns_nothing():
    result = grade("evaluation", evaluation("given")["evaluate"])
    assert result.points == 0 and len(result.measured.symptoms) == 6
    assert "the same gallery in another order" in result.measured.symptoms[1]
    assert "text i alone" not in " ".join(result.measured.symptoms)


WRONG_EVALUATIONS = {
    "nothing": (lambda *a: None, "it returns None"),
    "a number": (lambda *a: 0.5, "Return a dict"),
    "keys": (lambda *a: {"R@5": 1.0}, "Return a dict"),
    "percent": (lambda *a: dict.fromkeys(("R@5", "MRR", "standard error"), 50.0), "R@5 is 50"),
    "nan": (lambda *a: dict.fromkeys(("R@5", "MRR", "standard error"), np.nan), ""),
    "two arguments": (lambda texts, images: {}, "it raised TypeError"),
}


@pytest.mark.parametrize("name", WRONG_EVALUATIONS)
def test_wrong_evaluations(name):
    answer, phrase = WRONG_EVALUATIONS[name]
    result = grade("evaluation", answer)
    assert result.measured is None and phrase in result.problem + result.hint


def fixed(depth, order=None):
    def two_stages(cosines, ask):
        rows = np.tile(np.arange(50), (len(cosines), 1))
        for query in range(len(cosines)):
            logits = ask(query, np.arange(depth))
            rows[query, :depth] = np.argsort(-logits, kind="stable")
        return rows if order is None else order(rows)

    return two_stages


WRONG_STAGES = {
    "nothing": (lambda c, read: None, "it returns None"),
    "too much": (fixed(4), "the budget of 750 pairs was used up"),
    "tops alone": (fixed(3, lambda rows: rows[:, :1]), "shape (250, 1)"),
    "repeats": (fixed(3, np.zeros_like), "each place from 0 to 49 once"),
    "another query": (lambda c, read: read(900, [0]), "read was asked for query 900"),
    "another place": (lambda c, read: read(0, [50]), "read was asked for places"),
    "behind the reader": (lambda c, read: read.__self__, "uses `__self__`"),
    "the reader's own": (lambda c, read: np.argsort(-read._logits), "`_logits`"),
}


@pytest.mark.parametrize("name", WRONG_STAGES)
def test_wrong_stages(name):
    answer, phrase = WRONG_STAGES[name]
    assert phrase in grade("two_stages", answer, "validation").problem


def test_stages_that_run_and_do_not_pay():
    nothing = grade("two_stages", lambda c, read: np.argsort(-c, axis=1, kind="stable"))
    assert nothing.points == 0 and "no pair was read" in nothing.measured.symptoms[0]
    worst = grade("two_stages", fixed(3, lambda rows: rows[:, ::-1]))
    assert "the place on top was never read" in worst.measured.symptoms[0] and worst.points == 0
    same = grade("two_stages", fixed(3))
    assert [mark[1] for mark in same.marks] == [3, 0, 0, 1.5]


JUDGED = {f"query {i}": [True, False] for i in range(10)}


def pages(change=lambda ids: ids, judged=JUDGED, **options):
    """An answer of lab 6: pages of the library, and a change of their ids."""

    def search(collection, text, where, k):
        found = collection.search(text, k=k, where=where, **options)
        return change([hit.id for hit in found.hits])

    return {"search": search, "judged": judged}


WRONG_PAGES = {
    "a function": (pages()["search"], "must be a dict with search and judged"),
    "a result": ({"search": [1, 2], "judged": {}}, "Give the function"),
    "nothing": (pages(lambda ids: None), "returns None"),
    "hits": (pages(lambda ids: [f"{i}.png" for i in ids]), "a flat list of ids"),
    "twice": (pages(lambda ids: ids[:1] * 2), "at most 10 different ones"),
    "unknown": (pages(lambda ids: [10**6]), "ids, at most 10 different ones"),
    "raises": (pages(lambda ids: ids[99]), "raised IndexError"),
    "no judgements": (pages(judged=[True]), "judged is [True]"),
    "no words": (pages(judged={"": [True]}), "a query of judged is ''"),
    "ranks": (pages(judged={"sun": [3, 1]}), "is not 1 to 5 booleans"),
    "reads the answers": (
        {"search": lambda c, t, w, k: lab_6_own_collection.generated_folder(), "judged": {}},
        "holds or loads the answers",
    ),
}


@pytest.mark.parametrize("name", WRONG_PAGES)
def test_wrong_pages(name):
    answer, phrase = WRONG_PAGES[name]
    result = grade("own_collection", answer, "test")
    assert phrase in f"{result.problem} {result.hint}", result


def test_pages_with_copies_and_short_pages_lose_points():
    folded, plain = (grade("own_collection", pages(fold=fold)) for fold in (True, False))
    assert [mark[1] for mark in plain.marks] == [0, 0, 3, 1.5]
    assert "show a picture and its copy" in plain.measured.symptoms[-1]
    assert folded.measured.values["right hits"] > plain.measured.values["right hits"] + 5
    short = grade("own_collection", pages(lambda ids: ids[:9], fold=False))
    assert short.marks[2][1] == 0 and "has 9 hits; 10 could be shown" in short.measured.symptoms[0]
    assert folded.measured.values["your P@5"] == 50


SILENCE = (np.zeros(16_000), 16_000)
stand_ins = cache(lambda: lab_9_hums.stand_in_hums("validation"))
WRONG_HUMS = {
    "a list": (lambda hums: ["a.wav"], "must be a dict"),
    "few": (lambda hums: dict(list(hums.items())[:1]), "1 tunes are hummed, at least 2"),
    "unknown": (lambda hums: hums | {"Garryowen": SILENCE}, "is called 'Garryowen'"),
    "silence": (lambda hums: hums | {"Bobby Shafto": SILENCE}, "of 'Bobby Shafto' cannot be heard"),
    "no file": (lambda hums: hums | {"Bobby Shafto": "none.wav"}, "cannot be heard"),
    "a number": (lambda hums: hums | {"Bobby Shafto": 5}, "cannot be heard"),
    "twice": (lambda hums: dict.fromkeys(hums, hums["Bobby Shafto"]), "are one recording"),
}


@pytest.mark.parametrize("name", WRONG_HUMS)
def test_wrong_hums(name):
    answer_of, phrase = WRONG_HUMS[name]
    assert phrase in grade("hums", answer_of(stand_ins()), "validation").problem


def test_tunes_to_hum_belong_to_their_split():
    corpus = lab_9_hums.load_corpus()
    for split in ("validation", "test"):
        places = list(lab_9_hums.tunes_to_hum(split).values())
        assert set(corpus.splits[places]) == {split} and len(places) >= lab_9_hums.FEWEST[split]


@pytest.mark.slow
def test_the_stand_in_hums_find_their_tunes():
    measured = grade("hums", stand_ins(), "validation").measured
    assert measured.values["R@10"] >= 60 and measured.values["hummed"] == 3
    assert measured.values["R@10, families once"] >= measured.values["R@10"]
