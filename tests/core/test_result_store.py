"""The store of results: what is cached is not computed twice, what is committed is checked."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
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


@pytest.mark.parametrize(
    "key, message",
    [
        ({"k": np.int64(3)}, "the key of a result must be JSON .* by item"),
        ({"k": {1, 2}}, "the key of a result must be JSON"),
        ({1: 2}, "the key of a result has the name 1; names must be texts"),
        (["k"], "must be a dict or a text"),
        (None, "must be a dict or a text, got None"),
    ],
)
def test_keys_that_are_no_json_are_refused_before_the_work(store, key, message):
    with pytest.raises(RetrievalInputError, match=message):
        store.cached(key, lambda: pytest.fail("computed"))


@pytest.mark.parametrize("key", ["\U00020000" * 80, "\ud800", "a\0b/../c\n", ""])
def test_any_text_is_a_key(store, key):
    calls = []
    for _ in range(2):
        store.cached(key, counted(calls, 1))
    assert calls == [1]


@pytest.mark.parametrize(
    "result, message",
    [
        (None, "must be {name: array}.* got None"),
        ({"key": np.zeros(1)}, "none of them 'key'"),
        ({"file": np.zeros(1)}, "be named neither 'file'"),
        ({"a": np.array([object()])}, "the array 'a' has dtype object"),
        ({"a": [[1], [1, 2]]}, "'a' is not an array"),
    ],
)
def test_results_that_could_not_be_read_back_are_refused(store, result, message):
    with pytest.raises(RetrievalInputError, match=message):
        store.cached("key", lambda: result)


def test_json_that_cannot_be_is_named(store):
    with pytest.raises(RetrievalInputError, match="a result must be JSON"):
        store.cached_json("key", lambda: np.int64(1))
    store.cached("arrays", counted([], 1))
    with pytest.raises(RetrievalInputError, match="holds arrays, not JSON"):
        store.cached_json("arrays", lambda: 1)


def test_committed_files_of_another_kind_are_named(store):
    store.save_arrays("a.npz", a=np.zeros(2))
    store.save_table("none.csv", [])
    for read, file in ((store.table, "a.npz"), (store.table, "none.csv"), (store.json, "a.npz")):
        with pytest.raises(DamagedFileError, match=f"{file} is no .*crossmodal bench study"):
            read(file)


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


def test_cached_files_can_be_in_a_folder_of_the_user(tmp_path):
    store = ResultStore("study", "crossmodal bench study", cache=tmp_path / "own")
    assert store.cache_path("a key").parent == tmp_path / "own"
    assert store.cached_json("a key", lambda: 7) == 7 and len(list(store.cache.glob("*.npz"))) == 1


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
