from lib.course import prerequisites as before
from lib.course.instructor import INSTRUCTOR


def test_named_notebooks_by_hand():
    text = "Notebooks 00 to 03 and 10. Matrix products, 25 of them. Notebook 15 helps."
    assert before.named_notebooks(text) == {"00", "01", "02", "03", "10"}
    assert before.named_notebooks("Notebook 13 (k-means). Notebooks 18 and 20 help.") == {"13"}
    assert before.named_notebooks("Python.") == frozenset()


def test_nearest_drops_what_follows():
    needs = {"a": set(), "b": {"a"}, "c": {"a", "b"}, "d": {"a", "c"}, "e": {"a", "b"}}
    kept = before.nearest({name: frozenset(mine) for name, mine in needs.items()})
    assert kept == {"a": [], "b": ["a"], "c": ["b"], "d": ["c"], "e": ["b"]}


def test_each_box_is_below_what_it_needs():
    svg = before.graph_svg(
        {"00": frozenset(), "01": frozenset({"00"}), "02": frozenset({"00", "01"})},
        {"00": "First <one>", "01": "Second", "02": "A third with a very long title indeed"},
    )
    assert svg.count("marker-end") == 2 and "First &lt;one&gt;" in svg


def test_the_committed_graph_is_that_of_the_notebooks():
    stored = (INSTRUCTOR / "dependencies.svg").read_text(encoding="utf-8")
    assert stored == before.graph_svg(before.prerequisites(), before.titles())
    assert before.prerequisites()["00"] == frozenset()
