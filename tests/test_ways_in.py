"""Container, Binder, citation, changelog, links: the files are there and name what exists."""

import json
import os
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "lib/cli/README.md"]
PAGES += ["data/README.md", "data/RESULTS.md"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))


def make_targets(text: str) -> set[str]:
    return set(re.findall(r"\bmake ([a-z-]+)", text))


def test_the_container_installs_with_make_and_opens_a_working_copy():
    dockerfile = (ROOT / ".devcontainer" / "Dockerfile").read_text()
    settings = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    build = settings["build"]
    assert (ROOT / ".devcontainer" / build["dockerfile"]).is_file()
    assert (ROOT / ".devcontainer" / build["context"]).resolve() == ROOT
    assert make_targets(dockerfile + settings["postCreateCommand"]) == {"install"}
    assert {"install"} <= TARGETS
    folder = re.search(r"WORKDIR (\S+)", dockerfile)[1]
    assert (
        settings["workspaceFolder"] == folder and f"target={folder}" in settings["workspaceMount"]
    )
    (opened,) = re.findall(r"work/(\w+\.ipynb)", dockerfile)
    assert (ROOT / "notebooks" / opened).is_file()
    required = PROJECT["requires-python"].removeprefix(">=")
    assert f"FROM python:{required}" in dockerfile


def test_binder_takes_the_environment_and_adds_the_package():
    assert (ROOT / ".binder" / "environment.yml").resolve() == ROOT / "environment.yml"
    script = ROOT / ".binder" / "postBuild"
    assert os.access(script, os.X_OK)
    commands = [shlex.split(line, comments=True) for line in script.read_text().splitlines()]
    assert ["python", "-m", "pip", "install", "--no-deps", "--editable", "."] in commands


def test_the_citation_is_that_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and citation["authors"] and citation["message"]
    assert citation["version"] == PROJECT["version"] and citation["license"] == PROJECT["license"]
    assert citation["title"] == (ROOT / "README.md").read_text().splitlines()[0].removeprefix("# ")


def test_the_changelog_has_this_version():
    headings = re.findall(r"^## (\S+?),? ", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] == PROJECT["version"]


@pytest.mark.parametrize("page", PAGES)
def test_links_and_targets_of_pages_exist(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http", "#")):
            path, _, anchor = target.partition("#")
            assert ((ROOT / page).parent / path).exists(), target
    commands = re.findall(r"```sh\n(.*?)```", text, re.S) + re.findall(r"`(make [^`]*)`", text)
    assert make_targets("\n".join(commands)) <= TARGETS


def test_the_moving_picture_moves():
    with Image.open(ROOT / "data" / "three_searches.gif") as picture:
        assert picture.n_frames > 40 and picture.info["loop"] == 0
        assert picture.width >= 700
