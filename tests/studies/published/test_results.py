"""Results as files: what is read back is what was written, and damage is named by its field."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.studies.published import Protocol, Result, evaluate_rows, protocol_differences, result_rows
from tests.studies.published.corpora import corpus, rows


@pytest.fixture(scope="module")
def result() -> Result:
    identity = {"model": "toy", "tag": "one", "prompt": "{}"}
    found = evaluate_rows(*rows(), corpus(), identity=identity)
    beyond = replace(found.directions[0], first_ranks=found.directions[0].first_ranks.copy())
    beyond.first_ranks[3] = np.inf  # as from a run that did not reach it
    follow = {name: beyond._mean_of(name) for name in beyond.values}
    beyond.values.update(
        {k: replace(beyond[k], value=v) for k, v in follow.items() if v is not None}
    )
    return replace(found, directions=(beyond, found.directions[1]))


@pytest.fixture
def written(result, tmp_path):
    return result.save(tmp_path / "result.json")


def test_what_is_read_is_what_was_written(result, written):
    again = Result.load(written)
    assert again.protocol == result.protocol and again.identity == result.identity
    assert again.corpus_checksum == result.corpus_checksum and again.rsum == result.rsum
    assert again.library_version == result.library_version
    for mine, other in zip(result.directions, again.directions, strict=True):
        np.testing.assert_equal(
            {name: vars(of) for name, of in mine.values.items()},
            {name: vars(of) for name, of in other.values.items()},
        )
        assert (mine.first_ranks == other.first_ranks).all() and (
            mine.map_at_r == other.map_at_r
        ).all()
        assert mine.queries_checksum == other.queries_checksum
        assert (
            np.array_equal(mine.groups, other.groups)
            if mine.groups is not None
            else other.groups is None
        )
    assert "Infinity" not in written.read_text() and "NaN" not in written.read_text()


def test_one_row_per_direction_with_its_protocol(result):
    to_text, to_image = result_rows([result])
    assert (to_text["model"], to_text["direction"]) == ("toy one", "image_to_text")
    assert to_text["R@1"] == result.directions[0]["R@1"].value and to_text["rsum"] == result.rsum
    assert (to_image["n_queries"], to_image["n_gallery"], to_image["captions"]) == (108, 20, "all")
    assert to_text["prompt"] == "" and to_text["complete"]
    assert result_rows({"mine": result})[0]["model"] == "mine"
    assert {row["metric"] for row in result.rows()} >= {"R@1", "MAP@R", "MedR"}


def test_protocols_that_differ_say_where(result):
    mine = result.protocol
    assert protocol_differences(mine, mine) == []
    other = replace(
        mine, captions="first 5", precision="fp16", sizes=(("image", 20), ("text", 100))
    )
    assert protocol_differences(mine, other) == [
        "sizes: image 20 text 108 and image 20 text 100",
        "captions: 'all' and 'first 5'",
        "precision: 'fp32' and 'fp16'",
    ]
    assert mine.title == "toys test: 20 images x 108 texts, captions: all"
    assert replace(mine, gallery="mean of folds", n_folds=5).title.endswith("mean of 5 folds")
    assert mine.is_complete and not replace(mine, counts=(("clips", 883, 975),)).is_complete
    with pytest.raises(RetrievalInputError, match="gallery 'whole' does not go with 5 folds"):
        replace(mine, n_folds=5)
    with pytest.raises(RetrievalInputError, match="judgements must be one of"):
        Protocol("coco", "test", (("image", 1), ("text", 1)), judgements="mine")


def _without(data, *path):
    *path, last = path
    for step in path:
        data = data[step]
    del data[last]


def _with(value, *path):
    def change(data):
        *steps, last = path
        for step in steps:
            data = data[step]
        data[last] = value

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda data: _without(data, "protocol"), "field 'protocol' is missing"),
        (_with(9, "format"), "has format 9, expected 1"),
        (_with("5", "format"), "field 'format' is '5', expected a whole number"),
        (
            lambda data: _without(data, "directions", 1, "first_ranks"),
            r"directions\[1\]: field 'first_ranks'",
        ),
        (
            _with("many", "directions", 0, "n_queries"),
            r"directions\[0\]: field 'n_queries' is 'many'",
        ),
        (
            _with("1", "directions", 0, "first_ranks", 2),
            r"'first_ranks\[2\]' is '1', expected a number",
        ),
        (
            _with(None, "directions", 0, "map_at_r", 0),
            r"'map_at_r\[0\]' is 'None', expected a number",
        ),
        (_with([1.0], "directions", 0, "map_at_r"), "map_at_r has 1 entries for 20 queries"),
        (_with(1.5, "directions", 1, "groups", 0), r"'groups\[0\]' is '1.5', expected a number"),
        (_with("x", "directions", 0, "values", "R@1", "value"), "values.R@1: field 'value' is 'x'"),
        (_with([["image", "20"], ["text", 3]], "protocol", "sizes"), r"'sizes\[0\]'"),
        (_with([["image", 20]], "protocol", "sizes"), "'sizes' has 1 sides, expected two"),
        (_with("dsl", "protocol", "inference"), "inference must be one of"),
        (_with(3, "identity", "model"), "'identity.model' is '3', expected a text"),
        (_with({}, "directions"), "field 'directions' is '{}', expected a list"),
    ],
)
def test_damage_is_named_by_its_field(written, change, message):
    data = json.loads(written.read_text())
    change(data)
    written.write_text(json.dumps(data))
    with pytest.raises(RetrievalInputError, match=message):
        Result.load(written)


def test_files_that_are_no_results(tmp_path):
    with pytest.raises(MissingFileError, match="crossmodal eval"):
        Result.load(tmp_path / "none.json")
    path = tmp_path / "half.json"
    path.write_text('{"format": 1,')
    with pytest.raises(RetrievalInputError, match="is not JSON"):
        Result.load(path)
    path.write_text("[1]")
    with pytest.raises(RetrievalInputError, match="holds list, expected named fields"):
        Result.load(path)


def test_nested_json_is_no_result(tmp_path):
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(RetrievalInputError, match="deep.json is not JSON"):
        Result.load(tmp_path / "deep.json")
