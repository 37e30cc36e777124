"""Two choices of links on the same vectors, read at equal work."""

from lib.studies.ann import corpora, link_choice


def test_both_graphs_are_read_at_the_same_work():
    rows = link_choice.at_equal_work(
        corpora.two_cones(600, 16, 0.5, n_queries=10), n=200, efs=(10, 40), n_queries=10
    )
    assert [row["queries"] for row in rows] == ["image", "text"]
    for row in rows:
        gain, low, high = row["heuristic - nearest"]
        assert (
            abs(gain - (row["heuristic, recall"] - row["nearest, recall"])) < 1e-9
            and low <= gain <= high
        )
        assert 10 <= row["compared"] <= 200 and 0 < row["nearest, reachable"] <= 100


def test_a_work_between_two_settings():
    work, hits = {("a", 1): 10.0, ("a", 2): 30.0}, {("a", 1): 50.0, ("a", 2): 90.0}
    assert link_choice._between("a", (1, 2), work, hits, 15.0) == 60.0
