import json
import multiprocessing
import os
import tarfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lib.core.checks import RetrievalInputError, unit_rows
from lib.core.reading import MissingFileError
from lib.core.writing import write_checksum
from lib.datasets import scenes
from lib.datasets.laion.shards import Shard, shard_paths
from lib.datasets.miniatures.laion import write_shard, write_tar
from lib.datasets.miniatures.writing import jpeg_bytes
from lib.datasets.registry import CORPORA
from lib.search.shard_encoding import encode_shards


class MeanColour:
    """Encode images as their mean colour, texts as counts of letters; record the inputs."""

    dim = 3

    def __init__(self, name="mean colour"):
        self.identity = {"model": name, "precision": "fp32"}
        self.batches, self.texts = [], []

    def encode_image(self, pictures):
        self.batches.append(len(pictures))
        return unit_rows(
            [1 + np.asarray(picture).mean(axis=(0, 1)) for picture in pictures], "pictures"
        )

    def encode_text(self, texts):
        self.texts += texts
        letters = "aer"  # codespell:ignore
        return unit_rows(
            [[1 + text.count(letter) for letter in letters] for text in texts], "texts"
        )


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laion") / "mini"
    CORPORA["laion"].write_miniature(folder)
    return folder


@pytest.fixture
def shards(tmp_path):
    """Write three shards of four images."""
    drawn = scenes.sample("test", 12)
    pictures, captions = scenes.render(drawn), [five[0] for five in scenes.captions(drawn)]
    parts = [slice(4 * i, 4 * i + 4) for i in range(3)]
    return [
        write_shard(tmp_path / "in", i, pictures[part], captions[part])
        for i, part in enumerate(parts)
    ]


def test_rows_stand_in_step_and_are_what_the_encoder_gives(mini, tmp_path):
    encoder, done, shards = MeanColour(), [], []
    paths = shard_paths(mini / "shards")
    encode_shards(encoder, paths[:1], tmp_path, batch_size=16, progress=done.append)
    report = encode_shards(
        encoder,
        paths,
        tmp_path,
        batch_size=16,
        progress=done.append,
        shards_done=lambda *counts: shards.append(counts),
    )
    assert shards == [(1, 2), (2, 2)]
    assert done == encoder.batches == [3, 16, 16, 15] and report.rows == 50
    assert report.encoded_now == ("00001.tar",) and not report.shards[1].problems
    samples = list(Shard(paths[1]))
    images, texts = (np.load(tmp_path / f"{side}_emb_00001.npy") for side in ("img", "text"))
    rows = pq.read_table(tmp_path / "metadata_00001.parquet").to_pylist()
    assert images.dtype == texts.dtype == np.float16 and images.shape == texts.shape == (47, 3)
    assert rows == [{"key": s.key, "caption": s.caption(), "url": row.url} for s, row in samples]
    expected = MeanColour().encode_image([sample.picture() for sample, _ in samples])
    np.testing.assert_array_equal(images, expected.astype(np.float16))
    expected = MeanColour().encode_text([sample.caption() for sample, _ in samples])
    np.testing.assert_array_equal(texts, expected.astype(np.float16))


def test_damaged_shards_give_what_is_whole_and_say_what_is_not(mini, tmp_path):
    lines = []
    report = encode_shards(MeanColour(), shard_paths(mini / "damaged"), tmp_path, log=lines.append)
    cut, traps = report.shards
    assert (cut.rows, len(cut.left_out)) == (5, 0) and "found 5 of 10 samples" in cut.problems
    assert (traps.rows, len(traps.left_out)) == (2, 4)
    assert [key for key, _ in traps.left_out] == [f"00003000{i}" for i in (1, 2, 3, 8)]
    assert "too large" in traps.left_out[2][1] and traps.problems.count("refused") == 4
    assert report.describe() == (
        "7 pairs in 2 shards, 2 encoded now; 4 samples left out, 2 shards with problems"
    )
    assert "left out 000030002: the caption of sample '000030002' is blank" in lines[1]
    # And once more, from the record alone.
    again = encode_shards(MeanColour(), shard_paths(mini / "damaged"), tmp_path)
    assert [(r.rows, r.left_out, r.problems) for r in again.shards] == [
        (r.rows, r.left_out, r.problems) for r in report.shards
    ]


def test_without_a_table_the_link_comes_from_the_sample(shards, tmp_path):
    shards[0].with_suffix(".parquet").unlink()
    encode_shards(MeanColour(), shards[:1], tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "metadata_00000.parquet").to_pylist()
    assert [row["url"] for row in rows] == [f"https://example.org/0/{i}.jpg" for i in range(4)]


def test_a_finished_shard_is_not_encoded_again(shards, tmp_path):
    encode_shards(MeanColour(), shards[:2], tmp_path / "out")
    encoder = MeanColour()
    report = encode_shards(encoder, shards, tmp_path / "out", batch_size=3)
    assert report.encoded_now == ("00002.tar",) and encoder.batches == [3, 1] and report.rows == 12
    os.utime(shards[0], (1, 1))  # another time, the same bytes: copied, not changed
    assert encode_shards(MeanColour(), shards, tmp_path / "out").encoded_now == ()


def test_what_a_killed_run_left_goes_away_even_where_nothing_is_to_do(shards, tmp_path):
    out = tmp_path / "out"
    encode_shards(MeanColour(), shards, out)
    (out / ".crossmodal-left" / "new").mkdir(parents=True)
    (out / ".crossmodal-left" / "lock").touch()
    assert encode_shards(MeanColour(), shards, out).encoded_now == ()
    assert not list(out.glob(".*"))


def test_a_shard_that_changed_and_files_that_broke_are_encoded_again(shards, tmp_path):
    out, lines = tmp_path / "out", []
    encode_shards(MeanColour(), shards, out)
    shards[0].write_bytes(shards[1].read_bytes())
    (out / "img_emb_00001.npy").write_bytes(b"broken")
    (out / "record_00002.json").write_text("{}")
    report = encode_shards(MeanColour(), shards, out, log=lines.append)
    assert report.encoded_now == ("00000.tar", "00001.tar", "00002.tar")
    reasons = [line for line in lines if "encoding again" in line]
    assert "the shard changed" in reasons[0] and "img_emb_00001.npy is damaged" in reasons[1]
    assert "record_00002.json is damaged" in reasons[2]
    (out / "text_emb_00001.npy").unlink()
    assert encode_shards(MeanColour(), shards, out).encoded_now == ("00001.tar",)


def _until_killed(shards, out, reached):
    """Stop in the middle of the third shard, and wait there to be killed."""

    class Slow(MeanColour):
        def encode_text(self, texts):
            if len(self.batches) == 6:  # two batches a shard: the second of shard 2
                reached.set()
                time.sleep(60)
            return super().encode_text(texts)

    encode_shards(Slow(), shards, out, batch_size=2)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_killed_run_goes_on_without_repeating_what_was_finished(shards, tmp_path):
    out = tmp_path / "out"
    context = multiprocessing.get_context("fork")
    reached = context.Event()
    process = context.Process(target=_until_killed, args=(shards, out, reached))
    process.start()
    assert reached.wait(30)
    process.kill()
    process.join()
    assert process.exitcode == -9
    assert sorted(path.name for path in out.glob("record_*.json")) == [
        "record_00000.json",
        "record_00001.json",
    ]
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    encoder = MeanColour()
    report = encode_shards(encoder, shards, out)
    assert report.encoded_now == ("00002.tar",) and sum(encoder.batches) == 4 and report.rows == 12
    assert all((out / name).stat().st_mtime_ns == time_ for name, time_ in before.items())
    whole = encode_shards(MeanColour(), shards, tmp_path / "at once")
    assert whole.rows == report.rows
    for path in (tmp_path / "at once").glob("*_emb_*.npy"):
        assert path.read_bytes() == (out / path.name).read_bytes()


def test_a_record_is_the_last_file_and_names_the_others(shards, tmp_path):
    out = tmp_path / "out"
    encode_shards(MeanColour(), shards[:1], out)
    record = json.loads((out / "record_00000.json").read_text())
    assert record["shard"] == "00000.tar" and record["bytes"] == shards[0].stat().st_size
    assert record["encoder"] == MeanColour().identity and record["rows"] == 4
    assert set(record["files"]) == {
        "img_emb_00000.npy",
        "text_emb_00000.npy",
        "metadata_00000.parquet",
    }
    (out / "record_00000.json").unlink()  # as after a kill just before it was written
    assert encode_shards(MeanColour(), shards[:1], out).encoded_now == ("00000.tar",)


def test_another_encoder_is_refused_before_any_work(shards, tmp_path):
    encode_shards(MeanColour(), shards[2:], tmp_path / "out")
    other = MeanColour("another")
    with pytest.raises(
        RetrievalInputError, match="its model is 'mean colour', this one's is 'another'"
    ):
        encode_shards(other, shards, tmp_path / "out")
    assert not other.batches


def test_what_the_encoder_refuses_is_found_by_shard_and_key(shards, tmp_path):
    class Fussy(MeanColour):
        def encode_text(self, texts):
            raise RetrievalInputError("texts[1] is too long")

    message = r"00000\.tar, samples 000000000 to 000000002: texts\[1\] is too long"
    with pytest.raises(RetrievalInputError, match=message):
        encode_shards(Fussy(), shards, tmp_path / "out", batch_size=3)

    class Short(MeanColour):
        def encode_image(self, pictures):
            return super().encode_image(pictures)[:-1]

    with pytest.raises(RetrievalInputError, match="gave 3 rows for 4 inputs"):
        encode_shards(Short(), shards, tmp_path / "out")


def test_a_shard_without_usable_samples_has_no_rows(shards, tmp_path):
    report = encode_shards(MeanColour(), shards[:1], tmp_path / "out", max_pixels=10)
    assert report.rows == 0 and len(report.shards[0].left_out) == 4
    assert np.load(tmp_path / "out" / "img_emb_00000.npy").shape == (0, 3)


def test_bad_input(shards, tmp_path):
    with pytest.raises(MissingFileError, match=r"the shard .*gone\.tar is missing"):
        encode_shards(MeanColour(), [tmp_path / "gone.tar"], tmp_path)
    with pytest.raises(RetrievalInputError, match="two shards have one file name"):
        encode_shards(MeanColour(), [shards[0], shards[0]], tmp_path)
    with pytest.raises(RetrievalInputError, match="batch_size must be at least 1"):
        encode_shards(MeanColour(), shards, tmp_path, batch_size=0)


def spoilt_json(tar, notes):
    """Rewrite a shard with other contents in the json of its samples, without a table."""
    with tarfile.open(tar) as archive:
        members = [(one.name, archive.extractfile(one).read()) for one in archive]
    spoilt = iter(notes)
    members = [
        (name, next(spoilt, body) if name.endswith("json") else body) for name, body in members
    ]
    tar.with_suffix(".parquet").unlink()
    return write_tar(tar, members)


def test_a_sample_with_a_bad_url_is_left_out_by_name_and_the_shard_is_encoded(shards, tmp_path):
    bad = [b'{"url": 5}', b'{"url": NaN}', b'{"url": {}}', b'{"url": "\\ud800"}']
    spoilt_json(shards[0], bad)
    spoilt_json(shards[1], [b"\xef\xbb\xbf" + b'{"url": "https://x"}'])
    report = encode_shards(MeanColour(), shards, tmp_path / "out")
    assert [result.rows for result in report.shards] == [0, 4, 4]
    assert [key for key, _ in report.shards[0].left_out] == [f"00000000{i}" for i in range(4)]
    assert all(f"the url of sample '{key}' is " in why for key, why in report.shards[0].left_out)
    assert (
        pq.read_table(tmp_path / "out" / "metadata_00001.parquet")["url"][0].as_py() == "https://x"
    )


def test_a_table_whose_urls_are_no_text_costs_the_table_and_no_sample(shards, tmp_path):
    path = shards[0].with_suffix(".parquet")
    table = pq.read_table(path)
    numbers = pa.array(range(len(table)))
    pq.write_table(table.set_column(table.schema.names.index("url"), "url", numbers), path)
    bad = pa.array([b"\xff\xfe"] * len(table), pa.binary()).view(pa.string())
    other = shards[1].with_suffix(".parquet")
    pq.write_table(table.set_column(table.schema.names.index("caption"), "caption", bad), other)
    report = encode_shards(MeanColour(), shards, tmp_path / "out")
    assert [result.rows for result in report.shards] == [4, 4, 4]
    assert "00000.parquet: the column 'url' is int64, expected text" in report.shards[0].problems
    assert "00001.parquet is no Parquet file of UTF-8 text" in report.shards[1].problems


def test_a_record_of_other_contents_is_made_again(shards, tmp_path):
    encode_shards(MeanColour(), shards[:1], tmp_path / "out")
    record = tmp_path / "out" / "record_00000.json"
    for content in ("[]", "{}", "", '{"files": 3}'):
        record.write_text(content)
        write_checksum(record)
        assert encode_shards(MeanColour(), shards[:1], tmp_path / "out").encoded_now == (
            "00000.tar",
        )


@pytest.fixture
def bare(tmp_path):
    """Write two shards without captions: pictures with notes, and pictures alone."""
    drawn = scenes.render(scenes.sample("test", 5))
    (tmp_path / "bare").mkdir()
    for number, part in enumerate((drawn[:3], drawn[3:])):
        members = []
        for at, pixels in enumerate(part):
            key = f"{number}{at:08}"
            members.append((f"{key}.jpg", jpeg_bytes(pixels)))
            if number == 0:
                notes = {"url": f"https://example.org/{at}.jpg", "width": 64, "status": "success"}
                members.append((f"{key}.json", json.dumps(notes).encode()))
        write_tar(tmp_path / "bare" / f"{number:05}.tar", members)
    return shard_paths(tmp_path / "bare")


def test_images_without_captions_are_encoded_alone_on_request(bare, tmp_path):
    pairs = encode_shards(MeanColour(), bare, tmp_path / "out")
    assert pairs.rows == 0 and pairs.without_caption == 5
    encoder = MeanColour()  # the empty records of the first run do not stand in the way
    report = encode_shards(encoder, bare, tmp_path / "out", images_only=True)
    assert report.describe().startswith("5 images in 2 shards, 2 encoded now; 0 samples left out")
    assert encoder.texts == [] and encoder.batches == [3, 2]
    samples = [sample for sample, _ in Shard(bare[0])]
    images = np.load(tmp_path / "out" / "img_emb_00000.npy")
    expected = MeanColour().encode_image([sample.picture() for sample in samples])
    np.testing.assert_array_equal(images, expected.astype(np.float16))
    rows = pq.read_table(tmp_path / "out" / "metadata_00000.parquet").to_pylist()
    assert rows[1] == {"key": "000000001", "caption": None, "url": "https://example.org/1.jpg"}
    again = encode_shards(MeanColour(), bare, tmp_path / "out", images_only=True)
    assert again.encoded_now == () and again.rows == 5 and "5 images" in again.describe()


def test_images_alone_keep_captions_as_notes_and_do_not_mix_with_pairs(shards, tmp_path):
    encode_shards(MeanColour(), shards[:1], tmp_path / "out", images_only=True)
    assert not (tmp_path / "out" / "text_emb_00000.npy").exists()
    rows = pq.read_table(tmp_path / "out" / "metadata_00000.parquet").to_pylist()
    assert all(row["caption"] for row in rows)
    with pytest.raises(RetrievalInputError, match="is of images alone, this run encodes pairs"):
        encode_shards(MeanColour(), shards[:1], tmp_path / "out")
    encode_shards(MeanColour(), shards[:1], tmp_path / "pairs")
    with pytest.raises(RetrievalInputError, match="is of pairs, this run encodes images alone"):
        encode_shards(MeanColour(), shards[:1], tmp_path / "pairs", images_only=True)
