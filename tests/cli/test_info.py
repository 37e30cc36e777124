"""`crossmodal info`: versions, threads and artifacts."""

import numpy as np

from lib.cli import info
from lib.core.writing import save_arrays


def test_info_prints_versions_threads_and_artifacts(run, monkeypatch, tmp_path):
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    save_arrays(tmp_path / "artifacts" / "toy" / "whole.npz", x=np.zeros(3))
    damaged = tmp_path / "artifacts" / "toy" / "damaged.npz"
    save_arrays(damaged, x=np.zeros(3))
    damaged.write_bytes(b"other bytes")
    digest = save_arrays(tmp_path / "artifacts" / "toy" / "lost.npz", x=np.zeros(3))
    (tmp_path / "artifacts" / "toy" / "lost.npz").unlink()
    code, out, _ = run("info")
    assert code == 0
    for text in ("python", "torch", "faiss-cpu", "qtawesome", "torch intra-op", digest[:12], "ok"):
        assert text in out
    assert "DamagedFileError" in out and "MissingFileError" in out


def test_info_without_artifacts_says_how_to_make_them(run, monkeypatch, tmp_path):
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    code, out, _ = run("info")
    assert code == 0 and "crossmodal train --all" in out


def test_info_survives_a_package_with_another_name(run, monkeypatch):
    monkeypatch.setattr(info, "PACKAGES", ("numpy", "no-such-package"))
    code, out, _ = run("info")
    assert code == 0 and "not found under this name" in out
