import numpy as np

from lib.datasets import scenes
from lib.datasets.miniatures.laion import write_tar
from lib.datasets.miniatures.writing import jpeg_bytes
from lib.datasets.registry import CORPORA
from tests.cli.conftest import one_line


def test_encode_writes_embeddings_and_goes_on(run, tmp_path):
    CORPORA["laion"].write_miniature(tmp_path / "mini")
    arguments = ("encode", "--shards", "mini/shards", "--model", "scenes", "--out", "out")
    code, out, _ = run(*arguments)
    assert code == 0 and "50 pairs in 2 shards, 2 encoded now; 0 samples left out" in out
    images, texts = (
        np.load(tmp_path / "out" / f"{side}_emb_00001.npy") for side in ("img", "text")
    )
    nearest = (texts.astype(np.float32) @ images.astype(np.float32).T).argmax(axis=1)
    assert (nearest == np.arange(47)).mean() > 0.9  # trained on such scenes, not on these
    code, out, _ = run(*arguments)
    assert code == 0 and "50 pairs in 2 shards, 0 encoded now" in out and "finished before" in out
    code, _, err = run(*arguments, "--prompt", "a picture of {}")
    assert code == 2 and "is of another encoder: its prompt is '{}'" in one_line(err)


def test_encode_needs_shards(run):
    code, _, err = run("encode", "--shards", "nowhere", "--model", "scenes", "--out", "out")
    assert code == 2 and "no shards" in one_line(err)


def test_encode_of_nothing_readable_is_an_error(run, tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "00000.tar").write_bytes(b"garbage" * 1_000)
    code, _, err = run("encode", "--shards", "shards", "--model", "scenes", "--out", "out")
    assert code == 2 and "nothing was encoded" in one_line(err)


def test_pictures_without_captions_are_encoded_on_request(run, tmp_path):
    pixels = scenes.render(scenes.sample("test", 3))
    members = [(f"{at:09}.jpg", jpeg_bytes(one)) for at, one in enumerate(pixels)]
    (tmp_path / "shards").mkdir()
    write_tar(tmp_path / "shards" / "00000.tar", members)
    arguments = ("encode", "--shards", "shards", "--model", "scenes", "--out", "out")
    code, _, err = run(*arguments)
    assert code == 2 and "3 samples have no caption: --images-only encodes" in one_line(err)
    code, out, _ = run(*arguments, "--images-only")
    assert code == 0 and "3 images in 1 shards" in out
    rows = np.load(tmp_path / "out" / "img_emb_00000.npy").astype(np.float32)
    assert rows.shape[0] == 3 and np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-2)
