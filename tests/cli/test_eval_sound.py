"""`crossmodal eval` on sound: a CLAP checkpoint end to end, own rows beside papers, refusals."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from lib.datasets.registry import CORPORA
from lib.studies.published import Result
from tests.cli.conftest import one_line
from tests.models.toy import write_clap


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_clap(tmp_path_factory.mktemp("clap") / "tiny")


@pytest.fixture(scope="module")
def clotho(tmp_path_factory):
    pytest.importorskip("av")
    root = tmp_path_factory.mktemp("clotho") / "mini"
    CORPORA["clotho"].write_miniature(root)
    return root


@pytest.fixture(scope="module")
def audiocaps(tmp_path_factory):
    root = tmp_path_factory.mktemp("audiocaps") / "mini"
    CORPORA["audiocaps"].write_miniature(root, media=False)
    return root


def test_a_clap_checkpoint_is_evaluated_from_files_to_result(run, clotho, checkpoint):
    options = ["--split", "development", "--cache", "cache", "--out", "clap.json"]
    weights = ["--model", "clap", "--pretrained", str(checkpoint)]
    code, out, _ = run("eval", "clotho", "--root", str(clotho), *weights, *options)
    assert code == 0 and "clap hears 10 s: of longer sounds the middle 10 s" in " ".join(
        out.split()
    )
    assert "3 sounds x 15 texts" in out
    result = Result.load("clap.json")
    assert (result.identity["model"], result.identity["tag"]) == ("clap", "tiny")
    assert result.identity["transform"].startswith("48000 Hz, mono, 64 log-mel bands, 10 s")
    assert result.protocol.benchmark == "clotho (miniature)" and result.protocol.is_complete
    assert result.direction("text_to_audio").n_queries == 15
    assert "texts are too long for the model" in out  # the tiny one reads 32 pieces
    other = ["--out", "again.json"]
    code, out, _ = run("eval", "clotho", "--root", str(clotho), *weights, *options[:4], *other)
    first, again = (json.loads(Path(name).read_text()) for name in ("clap.json", "again.json"))
    assert code == 0 and first["directions"] == again["directions"]  # from the cache


def test_own_rows_stand_beside_the_papers_on_audiocaps(run, audiocaps, tmp_path):
    corpus = CORPORA["audiocaps"].load(audiocaps, need_media=False)
    rows = np.eye(len(corpus.item_ids))
    np.savez(
        tmp_path / "rows.npz",
        audio=rows,
        audio_ids=np.array(corpus.item_ids),
        text=rows[corpus.owners],
        text_ids=np.array(corpus.text_ids),
    )
    given = ["--embeddings", "rows.npz", "--model", "AR-CE VGGish+VGGSound"]
    code, out, _ = run("eval", "audiocaps", "--root", str(audiocaps), *given)
    assert code == 0 and "23.1" in out and "55.1" in out and "70.7" in out
    assert "23.9" in out and "querybank" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "scenes"], "scenes encodes no sound.*--model clap --pretrained laion/clap"),
        (["--model", "clap"], "architecture without weights"),
        (
            ["--model", "clap", "--pretrained", "laion/none"],
            "could not be downloaded",
        ),
    ],
)
def test_a_model_without_sound_or_weights_is_one_line(run, clotho, arguments, message):
    code, out, err = run("eval", "clotho", "--root", str(clotho), *arguments)
    assert code == 2
    assert re.search(message, one_line(err))


def test_ids_with_spaces_are_refused_before_the_work(run, clotho, checkpoint, tmp_path):
    weights = ["--model", "clap", "--pretrained", str(checkpoint), "--write-trec", str(tmp_path)]
    code, out, err = run("eval", "clotho", "--root", str(clotho), *weights)
    assert code == 2 and "has a space, which separates the columns" in err and not out


def test_clap_is_refused_where_nothing_is_heard(run, tmp_path):
    CORPORA["msrvtt"].write_miniature(tmp_path / "mini", media=False)
    (tmp_path / "mini" / "videos").mkdir()
    options = ["--allow-partial", "--model", "clap", "--pretrained", "x/y"]
    (tmp_path / "mini" / "videos" / "video7020.mp4").write_bytes(b"x")
    code, _, err = run("eval", "msrvtt", "--root", str(tmp_path / "mini"), *options)
    assert code == 2 and "clap encodes sounds and texts; msrvtt (miniature) has videos" in err
    shards = ["encode", "--shards", str(tmp_path), "--out", "rows", "--model", "clap"]
    (tmp_path / "00000.tar").write_bytes(b"")
    code, _, err = run(*shards)
    assert code == 2 and "clap encodes sounds, not pictures" in one_line(err)
