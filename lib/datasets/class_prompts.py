"""Names of classes and templates around them, for zero-shot classification.

The lists of ImageNet's names and templates are those of the package open_clip. They are read from
its file by path: importing the package would import torch.
"""

import importlib.util
import json
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType

from lib.core.checks import RetrievalInputError, check_choice, is_unicode
from lib.core.reading import DamagedFileError, MissingFileError, reading
from lib.datasets.text_lines import distinct_keys

SLOT = "{}"  # the place of the name
OTHER_SLOT = "{c}"  # of CLIP_benchmark's files
PHOTO = "a photo of a {}."
# "found": the file of the root, or else the photo or the names of the folders.
TEMPLATES = ("found", "photo", "openai", "simple")
CLASSES = ("found", "folders", "imagenet")
TEMPLATE_FILES = ("templates.txt", "templates.json")
CLASS_FILES = ("classnames.txt", "classnames.json")
OPEN_CLIP_LISTS = "zero_shot_metadata.py"


@lru_cache
def _open_clip_lists() -> ModuleType:
    spec = importlib.util.find_spec("open_clip")
    path = Path(spec.origin).with_name(OPEN_CLIP_LISTS) if spec and spec.origin else None
    if path is None or not path.is_file():
        raise MissingFileError(
            f"the package open_clip with its file {OPEN_CLIP_LISTS} is missing; install"
            " open_clip_torch, or put templates.txt and classnames.txt into the folder"
        )
    lists = importlib.util.spec_from_file_location("open_clip_lists", path)
    module = importlib.util.module_from_spec(lists)
    lists.loader.exec_module(module)
    return module


def imagenet_templates(which: str = "openai") -> tuple[str, ...]:
    """Return open_clip's templates of ImageNet: the 80 of `"openai"`, or the 7 of `"simple"`."""
    names = {"openai": "OPENAI_IMAGENET_TEMPLATES", "simple": "SIMPLE_IMAGENET_TEMPLATES"}
    templates = getattr(_open_clip_lists(), names[check_choice(which, names, "which")])
    return tuple(template(SLOT) for template in templates)


def imagenet_class_names() -> tuple[str, ...]:
    """Return open_clip's names of the 1,000 classes of ImageNet, in the order of WordNet ids."""
    return tuple(_open_clip_lists().IMAGENET_CLASSNAMES)


def load_templates(root: str | Path, which: str = "found") -> tuple[str, ...]:
    """Return templates with `{}` once: of the root's file, or one of the known lists.

    Args:
        root: may hold `templates.txt`, one template a line, or `templates.json`, a list of texts;
            `{c}` is taken for `{}`.
        which: `"found"`, the file or else `"a photo of a {}."`; `"photo"`, that one; `"openai"` or
            `"simple"`, see `imagenet_templates`.
    """
    if check_choice(which, TEMPLATES, "templates") in ("openai", "simple"):
        return imagenet_templates(which)
    path = _only_file(Path(root), TEMPLATE_FILES) if which == "found" else None
    if path is None:
        return (PHOTO,)
    templates = [template.replace(OTHER_SLOT, SLOT) for template in _list_of(path)]
    for number, template in enumerate(templates, start=1):
        if template.count(SLOT) != 1:
            raise RetrievalInputError(
                f"{path}, template {number}: {template!r:.80} must hold {SLOT} once, for the name"
            )
    return tuple(templates)


def load_class_names(
    root: str | Path, folders: Sequence[str], which: str = "found", *, allow_partial: bool = False
) -> tuple[str, ...]:
    """Return the names of classes in the order of their folders.

    Args:
        root: may hold `classnames.txt` or `classnames.json`: a name for each folder in sorted
            order, or folder and name (a line `n01440764 tench`, or with a tab; an object in JSON).
        folders: names of the class folders, sorted.
        which: `"found"`, the file or else the names of the folders; `"folders"`, these, with "_"
            as a space; `"imagenet"`, open_clip's names of the 1,000 classes.
        allow_partial: leave out names of folders that do not exist.
    """
    root = Path(root)
    if check_choice(which, CLASSES, "classes") == "imagenet":
        names = imagenet_class_names()
        if len(folders) != len(names):
            raise RetrievalInputError(
                f"{root}: classes 'imagenet' need {len(names):,} folders, got {len(folders):,};"
                " give folder and name in classnames.txt"
            )
        return names
    path = _only_file(root, CLASS_FILES) if which == "found" else None
    if path is None:
        return tuple(_name_of_folder(folder, root) for folder in folders)
    named = _mapping_of(path, folders)
    if named is None:
        names = _list_of(path)
        if len(names) != len(folders):
            raise RetrievalInputError(
                f"{path} has {len(names):,} names for {len(folders):,} folders; give each folder"
                " its line, in sorted order, or folder and name"
            )
        return tuple(names)
    lacking = [folder for folder in folders if folder not in named]
    unknown = [folder for folder in named if folder not in folders]
    if lacking or (unknown and not allow_partial):
        what = f"no name for the folder {lacking[0]!r}" if lacking else ""
        what = what or f"{len(unknown):,} names of folders that do not exist, first {unknown[0]!r}"
        advice = "" if lacking else "; allow_partial=True (--allow-partial) leaves them out"
        raise RetrievalInputError(f"{path} has {what}{advice}")
    return tuple(named[folder] for folder in folders)


def _name_of_folder(folder: str, root: Path) -> str:
    if folder[:1] == "n" and len(folder) == 9 and folder[1:].isdecimal():
        raise RetrievalInputError(
            f"{root}: {folder!r} is a WordNet id, no name that a model knows; take"
            " --option classes=imagenet, or name the classes in classnames.txt"
        )
    return folder.replace("_", " ")


def _only_file(root: Path, names: Sequence[str]) -> Path | None:
    found = [root / name for name in names if (root / name).is_file()]
    if len(found) > 1:
        raise RetrievalInputError(f"{root} has both {' and '.join(names)}; keep one")
    return found[0] if found else None


def _lines_of(path: Path) -> list[str]:
    with reading(path, "no UTF-8 text", "It must have one entry a line"):
        text = path.read_text(encoding="utf-8-sig")
    return [line.rstrip(" ") for line in text.splitlines() if line.strip()]  # a tab may end it


def _content_of(path: Path) -> object:
    with reading(path, "no JSON", "It must hold a list of texts, or an object"):
        return json.loads(path.read_bytes(), object_pairs_hook=partial(distinct_keys, str(path)))


def _list_of(path: Path) -> list[str]:
    """Read a list of texts, one a line or in JSON."""
    entries = _content_of(path) if path.suffix == ".json" else _lines_of(path)
    if not isinstance(entries, list) or not entries:
        raise DamagedFileError(f"{path} must hold a list of texts, at least one")
    return [_checked(entry, f"{path}, entry {at}") for at, entry in enumerate(entries, start=1)]


def _mapping_of(path: Path, folders: Sequence[str]) -> dict[str, str] | None:
    """Read folder and name of each class; None where the file is a list of names.

    Lines are of folder and name where each has a tab, or begins with the name of a folder.
    """
    if path.suffix == ".json":
        content = _content_of(path)
        if not isinstance(content, dict):
            return None
        return {key: _checked(name, f"{path}, {key!r}") for key, name in content.items()}
    lines = _lines_of(path)
    tabs = [line.partition("\t") for line in lines]
    spaces = [line.partition(" ") for line in lines]
    if lines and all(tab for _, tab, _ in tabs):
        pairs = tabs
    elif set(folders) <= {folder for folder, space, _ in spaces if space}:
        pairs = spaces
    else:
        return None
    named: dict[str, str] = {}
    for number, (folder, _, name) in enumerate(pairs, start=1):
        if folder in named:
            raise RetrievalInputError(f"{path}, line {number}: {folder!r} has a name already")
        named[folder] = _checked(name.strip(), f"{path}, line {number}")
    return named


def _checked(text: object, where: str) -> str:
    if not isinstance(text, str) or not text.strip() or not is_unicode(text):
        raise RetrievalInputError(f"{where}: expected words, got {text!r:.60}")
    return text.strip()
