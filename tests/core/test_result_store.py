"""The store of results: what is cached is not computed twice, what is committed is checked."""

import numpy as np
import pytest

from lib.core.reading import DamagedFileError, MissingFileError
from lib.core.result_store import ResultStore


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSMODAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path / "data"))
    return ResultStore("study", "crossmodal bench study")


def counted(calls, value):
    def make():
        calls.append(value)
        return {"value": np.array([value])}

    return make


def test_a_key_is_computed_once(store):
    calls, key = [], {"loss": "InfoNCE", "seed": 3}
    for _ in range(2):
        assert store.cached(key, counted(calls, 5))["value"] == [5]
    assert calls == [5] and store.cache_path(key).name.startswith("InfoNCE_3-")


def test_keys_with_one_label_are_two_results(store):
    calls = []
    store.cached({"a": "x", "b": 1}, counted(calls, 1))
    store.cached({"a": "x", "c": 1}, counted(calls, 2))
    store.cached("x 1", counted(calls, 3))
    assert calls == [1, 2, 3]


def test_a_file_name_holds_the_words_of_a_key_without_nested_values(store):
    path = store.cache_path({"corpus": "icons", "k": 5, "versions": {"numpy": "2.0"}})
    assert path.name.startswith("icons_5-")


def test_a_damaged_result_is_computed_again(store):
    calls, lines = [], []
    store.cached("key", counted(calls, 1))
    store.cache_path("key").write_bytes(b"half a file")
    (arrays,) = store.run([("key", counted(calls, 2))], log=lines.append)
    assert arrays["value"] == [2] and lines[1:] == ["1/1: key"]


def test_json_is_computed_once(store):
    assert store.cached_json("key", lambda: {"seconds": [0.1]}) == {"seconds": [0.1]}
    assert store.cached_json("key", lambda: pytest.fail("computed again")) == {"seconds": [0.1]}


def test_a_stopped_run_continues(store):
    calls, lines, steps = [], [], []

    def stop():
        raise KeyboardInterrupt

    jobs = [({"n": n}, counted(calls, n)) for n in range(3)]
    with pytest.raises(KeyboardInterrupt):
        list(store.run([*jobs[:2], ({"n": 2}, stop)], log=lines.append))
    assert lines == ["1/3: 0", "2/3: 1"]
    results = list(store.run(jobs, log=lines.append, progress=lambda *at: steps.append(at)))
    assert calls == [0, 1, 2] and [r["value"][0] for r in results] == [0, 1, 2]
    assert lines[2].startswith("2 of 3 results are kept in ") and lines[3:] == ["3/3: 2"]
    assert steps == [(2, 3), (3, 3)]


def test_committed_files_can_be_in_a_folder_of_the_user(tmp_path):
    store = ResultStore("study", "crossmodal bench study", tmp_path / "out")
    store.save_table("table.csv", [{"k": 1}])
    assert (tmp_path / "out" / "table.csv").read_text() == "k\n1\n"


def test_committed_files_are_read_back_and_checked(store):
    store.save_table("table.csv", [{"k": 1, "recall": 1 / 3}])
    store.save_arrays("runs.npz", ranks=np.arange(3), other=np.zeros(2))
    store.save_json("about.json", {"seeds": [0, 1]})
    assert store.table("table.csv")["recall"].tolist() == [0.333333]
    assert list(store.arrays("runs.npz", ["ranks"])) == ["ranks"]
    assert store.json("about.json") == {"seeds": [0, 1]}
    (store.folder / "table.csv").write_text("k\n2\n")
    with pytest.raises(DamagedFileError, match="table.csv.*git.*crossmodal bench study"):
        store.table("table.csv")
    with pytest.raises(MissingFileError, match="none.csv is missing"):
        store.table("none.csv")
