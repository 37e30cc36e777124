"""The committed table of published numbers, and results beside it."""

import math
import re
from collections import Counter
from dataclasses import replace

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.paths import data_dir
from lib.core.reading import MissingFileError
from lib.studies.published import evaluate_rows, paper_numbers
from lib.studies.published.paper_numbers import beside_rows
from lib.studies.published.results import Measurement
from tests.studies.published.corpora import corpus, rows

TABLE = paper_numbers.published_numbers()
OPEN_CLIP = "mlfoundations/open_clip docs/openclip_retrieval_results.csv"


def values(model, pretrained, direction, **columns):
    columns = {
        "dataset": "coco",
        "split": "test",
        "gallery": "whole",
        "judgements": "original",
        **columns,
    }
    return {
        row.metric: row.value
        for row in TABLE
        if (row.model, row.pretrained, row.direction) == (model, pretrained, direction)
        and all(getattr(row, name) == value for name, value in columns.items())
    }


# ---- the table


def test_numbers_that_were_read_twice():
    clip = {"source": OPEN_CLIP}
    assert values("ViT-B-32", "openai", "text_to_image", **clip) == {
        "R@1": 30.44,
        "R@5": 55.94,
        "R@10": 66.87,
    }
    assert values("ViT-L-14", "openai", "image_to_text", **clip)["R@1"] == 56.34
    eccv = {"R@1": 71.3, "R-precision": 33.8, "MAP@R": 24.0}
    assert values("ViT-L-14", "openai", "image_to_text", judgements="eccv") == eccv
    folds = values("VSE++ ResNet-152", "", "text_to_image", gallery="mean of folds")
    assert folds == {"R@1": 52.0, "R@5": 84.3, "R@10": 92.0}
    vse = (
        values("VSE++ ResNet-152", "", "image_to_text"),
        values("VSE++ ResNet-152", "", "text_to_image"),
    )
    assert [part["R@1"] for part in vse] == [
        41.3,
        30.3,
    ]  # two repositories print them the wrong way round


def test_open_clips_galleries_are_of_25010_captions():
    rows = [row for row in TABLE if "open_clip" in row.source and row.dataset == "coco"]
    assert {(row.n_queries, row.n_gallery) for row in rows} == {(5000, 25_010), (25_010, 5000)}
    assert all(row.captions == "all" and row.prompt == "none" for row in rows)


def test_all_models_of_open_clips_table_are_there():
    rows = [row for row in TABLE if row.source.startswith(OPEN_CLIP)]
    models = Counter((row.model, row.pretrained) for row in rows)
    assert len(models) == 121 and set(models.values()) == {12}
    assert all(row.decimals == 2 for row in rows)
    last = values("coca_ViT-B-32", "mscoco_finetuned_laion2b_s13b_b90k", "text_to_image")
    assert last == {"R@1": 0.33, "R@5": 1.37, "R@10": 2.49}
    assert values("nllb-clip-large-siglip", "v1", "image_to_text")["R@10"] == 87.12


def test_numbers_of_each_source():
    counts = Counter(re.split(r"[(,]", row.source)[0].strip() for row in TABLE)
    expected = {
        OPEN_CLIP: 1452,
        "apple/ml-mobileclip results/*.jsonl": 84,
        "OpenGVLab/unmasked_teacher multi_modality/MODEL_ZOO.md": 120,
        "OpenGVLab/InternVL clip_benchmark/README.md": 52,
        "OpenGVLab/InternVideo InternVideo2/multi_modality/MODEL_ZOO.md": 48,
        "google-research/big_vision configs/proj/image_text/README_siglip2.md": 34,
        "naver-ai/eccv-caption README": 24,
        "Jazzcharles/AuroLA README": 24,
        "salesforce/LAVIS docs/benchmark.rst": 30,
        "baaivision/EVA EVA-CLIP/README.md": 7,
    }
    assert {source: counts[source] for source in expected} == expected
    assert counts.total() == 2658


def test_winoground_has_three_scores_a_model():
    clip = [
        values("ViT-B-32", "openai", direction, dataset="winoground")
        for direction in ("image_to_text", "text_to_image", "both")
    ]
    assert clip == [{"text score": 30.75}, {"image score": 10.5}, {"group score": 8.0}]
    rows = [row for row in TABLE if row.dataset == "winoground"]
    group = {row.model: row.value for row in rows if row.metric == "group score"}
    assert len(rows) == 3 * len(group) == 39
    for row in rows:
        assert row.value >= group[row.model] and row.value * 4 == int(row.value * 4)  # n / 400


def test_the_best_on_coco_read_pairs_again():
    rows = [row for row in TABLE if (row.dataset, row.direction) == ("coco", "text_to_image")]
    rows = [row for row in rows if (row.metric, row.gallery) == ("R@1", "whole")]
    best = sorted((row for row in rows if row.judgements == "original"), key=lambda r: -r.value)
    assert [(row.model, row.value) for row in best[:3]] == [
        ("BLIP-2 ViT-g", 68.3),
        ("VAST", 68.0),
        ("BEiT-3", 67.2),
    ]
    assert {row.kind for row in best[:10]} == {"trained"}


def test_eccvs_verified_1k_and_qb_norm():
    folds = {"gallery": "mean of folds"}
    assert values("ViT-L-14", "openai", "image_to_text", **folds) == {
        "R@1": 74.26,
        "R@5": 92.82,
        "R@10": 96.58,
    }
    assert values("ViT-L-14", "openai", "text_to_image", **folds) == {
        "R@1": 55.44,
        "R@5": 82.32,
        "R@10": 90.15,
    }
    normed = values("ViT-B-32", "openai", "text_to_image", inference="querybank")
    assert normed == {"R@1": 34.8, "R@5": 59.9, "R@10": 70.4, "MedR": 3}


def test_recall_grows_with_k_and_every_number_has_a_source():
    rows: dict[tuple, dict[str, float]] = {}
    for row in TABLE:
        key = (
            row.name,
            row.source,
            row.dataset,
            row.split,
            row.direction,
            row.gallery,
            row.judgements,
        )
        rows.setdefault((*key, row.inference, row.prompt), {})[row.metric] = row.value
    for key, found in rows.items():
        hits = [found[f"R@{k}"] for k in (1, 5, 10) if f"R@{k}" in found]
        assert hits == sorted(hits), key
    assert {row.verified for row in TABLE} == set(paper_numbers.VERIFIED)
    assert {row.remark for row in TABLE if row.verified == "recalled"} == {"recalled, unchecked"}


def test_names_are_those_of_open_clip():
    open_clip = pytest.importorskip("open_clip")
    known = set(open_clip.list_pretrained())
    tagged = {(row.model, row.pretrained) for row in TABLE if row.pretrained}
    others = ("LanguageBind", "clap")  # repositories of the hub
    assert {pair for pair in tagged - known if not pair[0].startswith(others)} == set()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"direction": "t2i"}, "line 2: direction 't2i' is not known"),
        ({"direction": "text_to_text"}, "line 2: direction"),
        ({"metric": "recall@1"}, "line 2: metric 'recall@1'"),
        ({"value": "130"}, r"line 2: R@1 is 130.0, expected 0 to 100"),
        ({"value": "nan"}, "line 2: R@1 is nan"),
        ({"metric": "MedR", "value": "0"}, "MedR is 0.0, expected 1 to inf"),
        ({"value": "5O.1"}, "line 2: value '5O.1' is not a number"),
        ({"year": "21"}, "line 2: year 21 is outside"),
        ({"n_queries": "5k"}, "line 2: n_queries '5k' must be a whole number"),
        ({"source": " "}, "line 2: source is empty"),
        ({"verified": "maybe"}, "line 2: verified must be one of 'yes', 'quoted', 'recalled'"),
        ({"inference": "dsl"}, "line 2: inference must be one of"),
        ({"gallery": "1K"}, "line 2: gallery must be one of"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, change, message):
    with pytest.raises(RetrievalInputError, match=message):
        paper_numbers.published_numbers(_file(tmp_path, [change]))


def test_a_file_that_is_not_the_table(tmp_path):
    with pytest.raises(RetrievalInputError, match="line 3 repeats line 2: ViT-B-32 openai, R@1"):
        paper_numbers.published_numbers(_file(tmp_path, [{}, {"value": "51"}]))
    path = tmp_path / "other.csv"
    path.write_text("model,value\n")
    with pytest.raises(
        RetrievalInputError, match="the header is model,value, expected model,pretrained"
    ):
        paper_numbers.published_numbers(path)
    path.write_text(",".join(paper_numbers.COLUMNS) + "\nViT-B-32,openai\n")
    with pytest.raises(RetrievalInputError, match="line 2 has 2 cells, expected 18"):
        paper_numbers.published_numbers(path)
    with pytest.raises(MissingFileError, match="Restore it with git"):
        paper_numbers.published_numbers(tmp_path / "none.csv")


def _file(folder, changes):
    row = {name: getattr(TABLE[0], name) for name in paper_numbers.COLUMNS}
    lines = [
        ",".join(paper_numbers.COLUMNS),
        *(",".join(str(v) for v in (row | c).values()) for c in changes),
    ]
    path = folder / f"results-{len(list(folder.iterdir()))}.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


# ---- a result beside it


@pytest.fixture(scope="module")
def result():
    found = evaluate_rows(
        *rows(),
        corpus(name="coco"),
        identity={"model": "ViT-B-32-quickgelu", "tag": "openai", "prompt": "{}"},
    )
    as_published = Measurement(0.5, 0.48, 0.52, 0.0)
    for part in found.directions:
        part.values["R@1"] = as_published
    return found


def test_the_published_number_and_whether_it_is_inside(result):
    rows = [row for row in TABLE if "open_clip" in row.source]
    to_text, to_image = (row for row in beside_rows(result, rows) if row["metric"] == "R@1")
    assert (to_text["published"], to_text["inside"]) == (50.12, True)
    assert to_text["own"] == 50 and to_text["difference"] == pytest.approx(-0.12)
    assert (to_image["published"], to_image["inside"]) == (30.44, False)
    assert to_text["protocol"] == [
        "queries: 20 here, 5000 there",
        "gallery items: 108 here, 25010 there",
    ]
    assert to_text["remark"] == "" and to_text["source"].startswith("mlfoundations")


def test_protocols_are_compared_as_far_as_sources_say(result):
    other = replace(
        result, protocol=replace(result.protocol, prompt="a photo of {}", captions="first 5")
    )
    found = {row["source"]: row["protocol"] for row in beside_rows(other) if row["metric"] == "R@1"}
    open_clip = found[OPEN_CLIP]
    assert "captions: first 5 here, all there" in open_clip
    assert "prompt: a photo of {} here, none there" in open_clip
    assert not any(
        "captions" in line for line in found["ioanacroi/qb-norm README"]
    )  # which does not say
    bank = [line for row in beside_rows(result) for line in row["protocol"] if "inference" in line]
    assert set(bank) == {"inference: inductive here, querybank there"} and len(bank) == 4


def test_a_miniature_is_not_the_benchmark(result):
    small = replace(result, protocol=replace(result.protocol, benchmark="coco (miniature)"))
    assert all(row["protocol"][0] == "coco (miniature) here" for row in beside_rows(small))


def test_an_interval_that_is_missing_says_nothing(result):
    part = result.directions[0]
    alone = replace(part, values={**part.values, "R@1": Measurement(0.5, math.nan, math.nan, 0.0)})
    found = beside_rows(replace(result, directions=(alone,)))
    assert {row["inside"] for row in found if row["metric"] == "R@1"} == {None}


def test_a_model_that_nobody_published(result):
    assert beside_rows(replace(result, identity={"model": "mine"})) == []


def test_the_datasheet_counts_what_is_there():
    sheet = (data_dir() / "README.md").read_text(encoding="utf-8").partition("## published")[2]
    n = Counter(row.verified for row in TABLE)
    assert f"{len(TABLE)} numbers" in sheet
    assert f"{n['yes']} numbers" in sheet and f"{n['recalled']})" in sheet
    assert re.search(rf"quotes the paper:\s+{n['quoted']}\)", sheet)
