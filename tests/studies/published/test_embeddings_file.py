"""The reader's own embeddings, sound and vision among them, and how a result is worded."""

import zipfile
from dataclasses import replace

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.audio_video import AudioVideoClips
from lib.datasets.completeness import Count
from lib.datasets.media.files import AudioFiles, ClipFiles
from lib.studies.published import compare_results, evaluate_rows, text_tables
from lib.studies.published.embeddings_file import read_embeddings
from tests.studies.published.corpora import corpus, rows

TOYS = corpus()
MEDIA, TEXTS = rows()
ARRAYS = {"image": MEDIA, "image_ids": TOYS.item_ids, "text": TEXTS, "text_ids": TOYS.text_ids}


def written(folder, **changes):
    path = folder / "rows.npz"
    np.savez(
        path, **{name: np.asarray(of) for name, of in (ARRAYS | changes).items() if of is not None}
    )
    return path


def test_ids_decide_the_order(tmp_path):
    order = np.random.default_rng(0).permutation(len(TEXTS))
    shuffled = {
        "text": TEXTS[order],
        "text_ids": np.array(TOYS.text_ids)[order],
        "bank_text": TEXTS[:3] + 1,
    }
    given = read_embeddings(written(tmp_path, **shuffled), TOYS)
    assert (given.media == MEDIA).all() and (given.text == TEXTS).all() and not given.notes
    assert given.banks["text"].shape == (3, 8) and given.corpus is TOYS
    named_media = {"image": None, "image_ids": None, "media": MEDIA, "media_ids": TOYS.item_ids}
    assert (read_embeddings(written(tmp_path, **named_media), TOYS).media == MEDIA).all()


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"text": None},
            "has no array 'text'.*the file has image, image_ids, text_ids",
        ),
        ({"image_ids": None}, "has no array 'image_ids'"),
        ({"text": TEXTS[:-1]}, "text: 107 rows have 108 ids"),
        ({"image_ids": ["i0"] * 20}, "id 'i0' occurs twice, in rows 0 and 1"),
        (
            {"image": MEDIA[:-1], "image_ids": TOYS.item_ids[:-1]},
            "1 of 20 ids of the corpus have no row.*'i19'",
        ),
        (
            {"image_ids": [f"{id_}.jpg" for id_ in TOYS.item_ids]},
            "20 of 20 ids.*the file has ids such as 'i0.jpg'.*--allow-partial",
        ),
        ({"text": TEXTS[1:], "text_ids": TOYS.text_ids[1:]}, "Give a row for each text"),
        ({"image": MEDIA[0]}, "rows, dimension"),
        ({"image": None, "image_ids": None}, "has no array 'image'"),
        ({"text": TEXTS[:, :5]}, "text has rows of dimension 5, .*image of 8"),
        ({"bank_text": TEXTS[:3, :5]}, "bank_text has rows of dimension 5"),
        ({"bank_text": TEXTS[:3] * 0}, "bank_text: 3 of 3 rows have no direction.* row 0, which"),
        ({"image": MEDIA.astype("f8") * 1e300}, "row 0 .*too large"),
    ],
)
def test_rows_that_do_not_fit_are_named(tmp_path, changes, message):
    with pytest.raises(RetrievalInputError, match=message):
        read_embeddings(written(tmp_path, **changes), TOYS)


@pytest.mark.parametrize("value, problem", [(0, "only zeros"), (np.nan, "not finite")])
def test_a_row_without_a_direction_is_named_by_its_id_and_its_place_in_the_file(
    tmp_path, value, problem
):
    turned, ids = MEDIA[::-1].copy(), TOYS.item_ids[::-1]
    turned[3] *= value
    message = rf"image: 1 of 20 rows.*row 3 \(id '{ids[3]}'\), which holds .*{problem}"
    with pytest.raises(RetrievalInputError, match=message):
        read_embeddings(written(tmp_path, image=turned, image_ids=ids), TOYS)
    ids = [*ids[:3], "another", *ids[4:]]  # of no item of the corpus: it is not used
    given = read_embeddings(
        written(tmp_path, image=turned, image_ids=ids), TOYS, allow_partial=True
    )
    assert len(given.media) == 19 and np.isfinite(given.media).all()


def test_two_arrays_for_one_side_are_noted(tmp_path):
    given = read_embeddings(written(tmp_path, media=MEDIA, media_ids=TOYS.item_ids), TOYS)
    assert given.notes == ("the array 'media' was not used: the file has 'image' too",)


def test_files_that_are_none(tmp_path):
    with pytest.raises(MissingFileError, match=r"np\.savez"):
        read_embeddings(tmp_path / "none.npz", TOYS)
    path = tmp_path / "text.npz"
    path.write_text("not an archive")
    with pytest.raises(DamagedFileError, match="no .npz file of plain arrays"):
        read_embeddings(path, TOYS)
    np.savez(path, **ARRAYS | {"text": np.array([{"code": 1}], dtype=object)})
    with pytest.raises(DamagedFileError, match="no .npz file of plain arrays"):
        read_embeddings(path, TOYS)  # objects would have to be unpickled
    np.save(tmp_path / "rows.npy", MEDIA)
    with pytest.raises(DamagedFileError, match="rows.npy is no .npz file"):
        read_embeddings(tmp_path / "rows.npy", TOYS)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.array(TOYS.item_ids).astype(bytes), r"dtype \|S3 .*first is .*b'i0'.*astype\(str\)"),
        (np.arange(20.0), r"dtype float64 .*first is .*0.0.*astype\(int\)"),
        (np.array(TOYS.item_ids)[:, None], r"shape \(20, 1\)"),
    ],
)
def test_ids_of_another_kind_are_shown_as_what_they_are(tmp_path, ids, message):
    with pytest.raises(RetrievalInputError, match=f"rows.npz, image_ids: .*{message}"):
        read_embeddings(written(tmp_path, image_ids=ids), TOYS)


def test_only_what_is_needed_is_inflated(tmp_path):
    """A member that is no array stands for one that would fill the memory."""
    path = written(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("unused.npy", b"\x93NUMPY and nothing that can be read")
    assert (read_embeddings(path, TOYS).media == MEDIA).all()


def test_rows_of_other_ids_are_counted_and_not_used(tmp_path):
    more = {"image": MEDIA[[0, *range(20), 3]], "image_ids": ["w", *TOYS.item_ids, "x"]}
    given = read_embeddings(written(tmp_path, **more), TOYS)
    assert (given.media == MEDIA).all()
    assert given.notes == ("2 of 22 image rows are not of this protocol: they were not used",)


def test_items_without_a_row_are_left_out_where_that_is_allowed(tmp_path):
    fewer = {"image": MEDIA[2:], "image_ids": TOYS.item_ids[2:]}
    given = read_embeddings(written(tmp_path, **fewer), TOYS, allow_partial=True)
    kept = TOYS.without_items([0, 1])
    assert given.corpus.item_ids == kept.item_ids and given.corpus.texts == kept.texts
    assert (given.media == MEDIA[2:]).all() and len(given.text) == len(kept.texts)
    assert given.notes[0] == "2 image items have no row: they were left out"
    assert "rows are not of this protocol" in given.notes[1]  # those of their texts
    found = evaluate_rows(given.media, given.text, given.corpus)
    assert any("not comparable" in line for line in text_tables.result_notes(found))
    foreign = {"image_ids": [f"z{at}" for at in range(20)]}
    with pytest.raises(RetrievalInputError, match="no id of the corpus has a row.*'i0'.*'z0'"):
        read_embeddings(written(tmp_path, **foreign), TOYS, allow_partial=True)


def test_audio_video_clips(tmp_path):
    names = [f"videos/c{i}.mp4" for i in range(12)]
    pairs = AudioVideoClips(
        name="audioset", split="retrieval",
        sounds=AudioFiles(tmp_path, names), clips=ClipFiles(tmp_path, names),
        item_ids=tuple(f"c{i}" for i in range(12)), labels=(("a",),) * 12, relevance="same clip",
        counts=(Count("clips", 12, 1725),),
    )  # fmt: skip
    video = np.random.default_rng(0).normal(size=(12, 4))
    path = tmp_path / "av.npz"
    np.savez(
        path,
        video=video,
        video_ids=pairs.item_ids,
        audio=video[::-1],
        audio_ids=pairs.item_ids[::-1],
    )
    given = read_embeddings(path, pairs)
    media, sounds = given.media, given.text
    found = evaluate_rows(media, sounds, pairs)
    assert [part.direction for part in found.directions] == ["video_to_audio", "audio_to_video"]
    assert all(part["R@1"].value == 1 for part in found.directions)
    assert found.protocol.title == "audioset retrieval: 12 videos x 12 sounds, protocol: same clip"
    with pytest.raises(
        RetrievalInputError, match="folds need captioned media; audioset is evaluated whole"
    ):
        evaluate_rows(media, sounds, pairs, folds=2)
    assert (
        "found 12 of 1,725 clips: not comparable with published numbers"
        in text_tables.result_notes(found)
    )


def test_recalled_numbers_say_so_wherever_they_are_shown():
    found = evaluate_rows(
        MEDIA, TEXTS, corpus(name="msrvtt", modality="video", split="1k-A"),
        identity={"model": "ViT-B-32", "tag": "openai"},
    )  # fmt: skip
    shown = [
        row
        for row in text_tables.format_result(found)
        if row["metric"] == "R@1" and row["published"]
    ]
    assert {row["published"] for row in shown} == {
        "27.2 (recalled, unchecked)", "31.2 (recalled, unchecked)", "31.5 (as quoted elsewhere)",
    }  # fmt: skip
    assert all("gallery items" in row["protocol there"] for row in shown)


def test_what_is_unknown_is_not_shown_as_a_number():
    found = evaluate_rows(MEDIA, TEXTS, TOYS, ks=(1,), folds=4)
    by_metric = {row["metric"]: row for row in text_tables.format_result(found)}
    assert by_metric["MedR"]["95% interval"] == "" and by_metric["R@1"]["95% interval"]
    part = found.directions[0]
    beyond = replace(part["MeanR"], value=np.inf)
    cut = replace(found, directions=(replace(part, values=part.values | {"MeanR": beyond}),))
    assert {row["metric"]: row for row in text_tables.format_result(cut)}["MeanR"][
        "value"
    ] == "beyond the run"


def test_a_comparison_in_words():
    found = evaluate_rows(MEDIA, TEXTS, TOYS)
    first = text_tables.format_comparison(compare_results(found, found, n_resamples=9))[0]
    assert (first["A - B"], first["95% interval"], first["p"]) == ("+0.0", "+0.0 to +0.0", "1")
    assert first["only A, only B"] == "0, 0" and first["clusters"] == "20"
