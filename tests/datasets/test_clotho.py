"""Clotho: names of all kinds, five sentences each, splits, layouts, bad input, mAP@10."""

import csv

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.datasets import clotho
from lib.datasets.completeness import MINIATURE
from lib.datasets.registry import CORPORA
from lib.studies.published import evaluate_ranking, evaluate_rows


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clotho") / "mini"
    CORPORA["clotho"].write_miniature(folder)
    return folder


@pytest.fixture
def bare(tmp_path):
    CORPORA["clotho"].write_miniature(tmp_path / "mini", media=False)
    return tmp_path / "mini"


def load(folder, split="evaluation", **options):
    return clotho.load_clotho(folder, split, need_media=False, **options)


def test_published_counts():
    sounds = {split: counts["sounds"] for split, counts in clotho.PUBLISHED.items()}
    assert sounds == {"evaluation": 1_045, "validation": 1_045, "development": 3_839}
    assert clotho.PUBLISHED["evaluation"]["captions"] == 5_225
    hidden = 6_974 - sum(sounds.values())  # sounds of all, on the page of DCASE 2023
    assert hidden == 1_045 and 34_870 == 5 * 6_974


def test_records_and_names_of_all_kinds(root):
    corpus = clotho.load_clotho(root)
    assert corpus.name == "clotho (miniature)" and not corpus.missing
    assert corpus.item_ids[:3] == (
        "Santa Motor (take 2).wav",
        "20130327_street.traffic.02.wav",
        "bell, 'far' away [edit].wav",
    )
    assert corpus.media.names[5] == 'evaluation/a "quiet" room.wav'
    assert corpus.media.names[6] == "evaluation/two  spaces.WAV.wav"
    assert corpus.text_ids[4:6] == (f"{corpus.item_ids[0]}#5", f"{corpus.item_ids[1]}#1")
    assert corpus.texts[5] == "A low hum sounds in short pulses"
    assert corpus.texts[41] == corpus.texts[49] and '"stop, now"' in corpus.texts[41]
    assert corpus.qrels.T.counts.tolist() == [5] * 12
    assert len(load(root, "validation").texts) == 10 and len(load(root, "development").texts) == 15


def test_sounds_are_decoded(root):
    pytest.importorskip("av")
    media = clotho.load_clotho(root).media
    assert media[3].shape == (24_000,) and np.isfinite(media[3]).all()


@pytest.mark.parametrize(
    "folder",
    ["clotho_audio_evaluation", "clotho_audio_files/evaluation", "audio/evaluation", "audio"],
)
def test_layouts_and_formats(bare, folder):
    (bare / "clotho_csv_files").mkdir()
    name = "clotho_captions_evaluation.csv"
    (bare / name).rename(bare / "clotho_csv_files" / name)
    (bare / folder).mkdir(parents=True)
    (bare / folder / "20130327_street.traffic.02.flac").write_bytes(b"x")
    corpus = clotho.load_clotho(bare, allow_partial=True)
    assert corpus.media.names == (f"{folder}/20130327_street.traffic.02.flac",)
    assert corpus.item_ids == ("20130327_street.traffic.02.wav",) and len(corpus.missing) == 11


def test_counts_and_missing_files_are_named(bare):
    with pytest.raises(RetrievalInputError, match=r"found 0 of 12 sounds.*Santa Motor \(take 2\)"):
        clotho.load_clotho(bare)
    (bare / MINIATURE).unlink()
    with pytest.raises(RetrievalInputError, match="found 12 of 1,045 sounds; found 60 of 5,225"):
        load(bare)
    (bare / "clotho_captions_validation.csv").unlink()
    with pytest.raises(MissingFileError, match="clotho_captions_validation.csv"):
        load(bare, "validation")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["a.wav", *"12345"], ["a.wav", *"12345"]], "line 3: file_name 'a.wav' is there twice"),
        ([["", *"12345"]], "line 2: file_name '' is empty"),
        ([["a.wav", *"1234"]], "line 2: expected 6 columns"),
        ([["a.wav", *"1234", " "]], "must be words"),
        ([], "no row behind its header"),
    ],
)
def test_bad_rows_are_named(bare, rows, message):
    with (bare / "clotho_captions_evaluation.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([clotho.HEADER, *rows])
    with pytest.raises(RetrievalInputError, match=message):
        load(bare, allow_partial=True)


def test_names_cannot_lead_out_of_the_root(bare):
    with (bare / "clotho_captions_evaluation.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([clotho.HEADER, ["../../x.wav", *"12345"]])
    with pytest.raises(RetrievalInputError, match="relative path inside"):
        clotho.load_clotho(bare, allow_partial=True)


def dcase_map10(scores, owners):
    """DCASE 2022's evaluation of text to audio, and Mei et al.'s of audio to text, from scratch."""
    text_to_audio, audio_to_text = [], []
    for text, row in enumerate(scores):
        found = [item == owners[text] for item in np.argsort(-row)[:10]]
        text_to_audio.append(1 / (found.index(True) + 1) if any(found) else 0.0)
    for item, column in enumerate(scores.T):
        ranks = [at for at, text in enumerate(np.argsort(-column)[:10], 1) if owners[text] == item]
        audio_to_text.append(sum(n / rank for n, rank in enumerate(ranks, 1)) / 5)
    return np.mean(text_to_audio), np.mean(audio_to_text)


def test_map10_is_that_of_dcase_and_of_mei(root):
    corpus, generator = load(root), np.random.default_rng(5)
    audio = generator.normal(size=(12, 8))
    text = audio[corpus.owners] + 1.5 * generator.normal(size=(60, 8))
    result = evaluate_rows(audio, text, corpus)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (text, audio)]
    expected = dcase_map10(unit[0] @ unit[1].T, corpus.owners)
    found = [result.direction(name).values["MAP@10"].value for name in corpus.directions]
    assert found == pytest.approx(expected, abs=1e-12) and 0.1 < min(found) < max(found) < 0.9


def test_map10_is_left_out_of_a_gallery_of_nine(root):
    corpus = load(root).take_items(range(9))
    rows = np.eye(9), np.eye(9)[corpus.owners]
    assert "MAP@10" not in evaluate_rows(*rows, corpus).directions[0].values


def test_map10_is_left_out_of_small_folds_and_short_runs(root):
    corpus = load(root)
    rows = np.eye(12), np.eye(12)[corpus.owners]
    values = evaluate_rows(*rows, corpus, folds=2).direction("text_to_audio").values
    assert "MAP@10" not in values and "R@5" in values and "R@10" not in values
    run = np.ones((60, 5)), np.tile(np.arange(5), (60, 1))  # a run with five sounds a text
    values = evaluate_ranking(run, "text_to_audio", corpus).directions[0].values
    assert "MAP@10" not in values and "R@5" in values
