"""`pip install .` without `-e`: the wheel holds data and scripts, and works elsewhere."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lib.course.explorables import PIECES

ROOT = Path(__file__).resolve().parent.parent
USE = """
from lib.models.encoder import load_encoder
from lib.core.paths import cache_dir, data_dir
print(load_encoder("scenes").dim, data_dir(), cache_dir())
"""


@pytest.mark.slow
def test_the_wheel_holds_the_data_and_works_elsewhere(tmp_path):
    source, site, elsewhere = (tmp_path / name for name in ("source", "site", "elsewhere"))
    elsewhere.mkdir()
    source.mkdir()
    for name in ("lib", "data"):
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("cache", "__pycache__")
        )
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", tmp_path, source]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = {name.removeprefix("lib/") for name in zipfile.ZipFile(wheel).namelist()}
    wanted = {
        path.relative_to(source).as_posix()
        for path in (source / "data").rglob("*")
        if path.is_file()
    }
    assert wanted and wanted <= held
    scripts = {f"course/explorables/{name}.js" for name in ("parts", *PIECES)}
    scripts |= {f"course/hum_page/{name}.js" for name in ("pitch", "search", "page")}
    assert scripts | {"course/explorables/parts.css"} <= held
    assert not [name for name in held if "cache/" in name or name.startswith("tests")]

    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--target", site, wheel], check=True
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith("CROSSMODAL_")}
    clean |= {
        "PYTHONPATH": str(site),
        "XDG_CACHE_HOME": str(tmp_path / "kept"),
        "HOME": str(tmp_path),
    }

    def run(code):
        command = [sys.executable, "-c", code]
        return subprocess.run(
            command, cwd=elsewhere, env=clean, capture_output=True, text=True, check=True
        ).stdout

    dim, data, cache = run(USE).split()
    assert int(dim) > 0 and Path(data) == site / "lib" / "data" and site not in Path(cache).parents
    told = run("import sys; sys.argv = ['crossmodal', 'info']; from lib.cli import main; main()")
    assert "Error" not in told and told.count(" ok") > 10
