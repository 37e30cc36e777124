"""Find published weights on this machine, in a package or in the hub's cache, by their SHA-256."""

import importlib.util
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.paths import data_dir
from lib.core.reading import DamagedFileError, MissingFileError, reading, verify
from lib.core.writing import sha256_of

WEIGHTS = "model.safetensors"
VOCABULARY = "tokenizer.json"
ADVICE = "Restore it with git"


@dataclass(frozen=True)
class PublishedTower:
    """A published text tower: where its files are, and the bytes that they must have.

    Attributes:
        name: repository on the Hugging Face hub.
        package, folder: an installed package, by its import name, and the folder of the files in
            it. The package is not imported: none of its code runs.
        install: what to install with pip.
        sha256: SHA-256 of each file that is read.
        config: the published `config.json`.
    """

    name: str
    package: str
    folder: str
    install: str
    licence: str
    reference: str
    sha256: dict[str, str]
    config: dict[str, str | int | float]

    def file(self, name: str) -> Path:
        """Return the path of a file after checking its bytes, once in a process.

        The installed package comes first, then the hub's cache; no server is asked.
        """
        path = self._in_package(name) or self._in_hub_cache(name)
        if path is None:
            raise MissingFileError(
                f"the text tower {self.name} must be on this machine to encode texts, but neither"
                f" the package {self.package} nor the hub's cache holds its {name}."
                f" Run: pip install {self.install}"
            )
        _check_bytes(path, self.sha256[name], self.install)
        return path

    def _in_package(self, name: str) -> Path | None:
        spec = importlib.util.find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            return None
        path = Path(next(iter(spec.submodule_search_locations))) / self.folder / name
        return path if path.is_file() else None

    def _in_hub_cache(self, name: str) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(self.name, name)
        return Path(path) if isinstance(path, str) else None


def published_tower(name: str, sha256: str | None = None) -> PublishedTower:
    """Read the facts of a text tower from `data/published/text_towers.toml`, which is sealed.

    Args:
        name: repository on the Hugging Face hub.
        sha256: of the weights that a head was trained on; others are refused.
    """
    path = verify(data_dir() / "published" / "text_towers.toml", rebuild=ADVICE)
    with reading(path, "no list of text towers", ADVICE):
        towers = tomllib.loads(path.read_text(encoding="utf-8"))
        entries = {key: PublishedTower(name=key, **facts) for key, facts in towers.items()}
    tower = entries[check_choice(name, entries, "hf_model_name")]
    if sha256 not in (None, tower.sha256[WEIGHTS]):
        raise RetrievalInputError(
            f"sha256 of {name} must be {tower.sha256[WEIGHTS]}, got {sha256}: the head was trained"
            " on other weights. Train it again"
        )
    return tower


@cache
def _check_bytes(path: Path, expected: str, install: str) -> None:
    if (digest := sha256_of(path)) != expected:
        raise DamagedFileError(
            f"{path} must have the SHA-256 {expected}, got {digest}: it is not the published file,"
            f" and is not read. Run: pip install --force-reinstall {install}"
        )
