"""Words beside published numbers: for whom they are, where they appear, and bad files."""

from dataclasses import replace

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.course.wrong_code import r1_sorted_equals_diagonal
from lib.studies.published import evaluate_rows, paper_numbers, remarks, text_tables
from tests.studies.published.corpora import corpus, rows

TABLE = paper_numbers.published_numbers()
RULES = remarks.read_remarks()


def said_of(judgements="original", **columns) -> set[tuple[str, ...]]:
    found = [row for row in TABLE if all(getattr(row, name) == v for name, v in columns.items())]
    assert found, columns
    return {tuple(remarks.remarks_of(row, judgements)) for row in found}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.remark[:30])
def test_every_rule_has_a_number(rule):
    assert any(rule.applies(row, rule.judgements or "original") for row in TABLE)


def test_clip4clip_counts_a_film_several_times():
    clips = {"model": "CLIP4Clip meanP ViT-B/32", "dataset": "msrvtt"}
    ((said,),) = said_of(**clips, direction="video_to_text")
    assert "counts several times there" in said and "58.9, 82.3, 89.3 here" in said
    assert said_of(**clips, direction="text_to_video") == {()}  # each film has its own sentence
    assert said_of(model="CLIP4Clip meanP ViT-B/32", dataset="activitynet") == {()}
    # Two films with one sentence give two ranks each, 1 and 2: 3 of 5 ranks are 1.
    scores = np.array([[0.9, 0.9, 0.1], [0.8, 0.8, 0.2], [0.1, 0.2, 0.7]])
    assert r1_sorted_equals_diagonal(scores) == 3 / 5


def test_a_row_that_may_be_copied_is_marked_and_is_as_the_remark_says():
    def values_of(model):
        rows = [row for row in TABLE if row.model == model and row.dataset == "activitynet"]
        return {row.direction: row.value for row in rows}

    one, other, larger = map(
        values_of, ("InternVideo2-CLIP 1B", "InternVideo2-s2 1B", "InternVideo2-CLIP 6B")
    )
    assert one == other and all(one[way] > larger[way] for way in one)
    ((said,),) = said_of(model="InternVideo2-CLIP 1B", dataset="activitynet")
    assert "perhaps a row was copied" in said


@pytest.mark.parametrize(
    "direction, metric, n",
    [
        ("image_to_text", "MAP@R", 1),
        ("image_to_text", "R-precision", 1),
        ("image_to_text", "R@1", 0),
        ("text_to_image", "MAP@R", 0),
    ],
)
def test_eccv_divides_otherwise_unless_it_is_asked_to_divide_alike(direction, metric, n):
    row = {"source": "naver-ai/eccv-caption README", "direction": direction, "metric": metric}
    for judgements, expected in (("eccv", n), ("eccv-published", 0)):
        (said,) = {
            tuple(remarks.remarks_of(number, judgements))
            for number in TABLE
            if number.judgements == "eccv"
            and all(getattr(number, name) == value for name, value in row.items())
        }
        assert len(said) == expected


def test_others():
    vse = {"model": "VSE++ ResNet-152", "dataset": "coco"}
    assert {len(said) for said in said_of(**vse, metric="MedR")} == {1}
    assert said_of(**vse, metric="R@1") == {()}
    open_clip = "mlfoundations/open_clip docs/openclip_retrieval_results.csv"
    ((said,),) = said_of(source=open_clip, dataset="flickr30k")
    assert "DataComp" in said
    chance = "near chance, and the source does not say why"
    assert said_of(model="coca_ViT-B-32", dataset="coco") == {(), (chance,)}


def test_the_words_stand_in_the_table_and_the_numbers_in_the_file(tmp_path):
    clips = corpus(name="msrvtt", modality="video", split="1k-A", captions="own video")
    identity = {"model": "CLIP4Clip meanP ViT-B/32"}
    result = evaluate_rows(*rows(), clips, identity=identity)
    table = text_tables.format_result(result)
    there = {row["direction"]: row["protocol there"] for row in table if row["published"]}
    assert "counts several times there" in there["video to text"]
    assert "counts" not in there["text to video"]
    beside = paper_numbers.beside_rows(result)
    path = result.save(tmp_path / "result.json", published=beside)
    assert "counts several times there" in path.read_text(encoding="utf-8")
    assert "NaN" not in path.read_text(encoding="utf-8")
    assert type(result).load(path).name == result.name
    alike = replace(result, identity={"model": "nobody's"})
    assert '"published": []' in alike.save(tmp_path / "none.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "line, message",
    [
        ("a,b", "line 2 has 2 cells, expected 8"),
        (",,,,,,,words", "line 2: a rule needs a condition and a remark"),
        (",VSE++,,,,,,", "line 2: a rule needs a condition and a remark"),
        (",VSE++,,,,,other,words", "line 2: judgements must be one of"),
    ],
)
def test_a_wrong_rule_is_named(tmp_path, line, message):
    path = tmp_path / "remarks.csv"
    path.write_text(",".join(remarks.COLUMNS) + "\n" + line + "\n")
    with pytest.raises(RetrievalInputError, match=message):
        remarks.read_remarks(path)


def test_a_file_that_is_not_the_rules(tmp_path):
    with pytest.raises(MissingFileError, match="Restore it with git"):
        remarks.read_remarks(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("source,words\n")
    with pytest.raises(RetrievalInputError, match="the header is source,words, expected source,"):
        remarks.read_remarks(tmp_path / "other.csv")
