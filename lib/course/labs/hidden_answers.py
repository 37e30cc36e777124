"""Refuse answers that read judgements they were not given, as far as a look at the code can tell.

The look costs nothing and catches the honest mistake, a loaded task that is used inside the answer,
and the plain attempt. It is no wall: a grader runs answers in a process that lacks these files.
"""

import types
from collections.abc import Callable, Iterator
from typing import Any

from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.course.cases import Wrong

HOLD_ANSWERS = ("lib.datasets", "lib.studies", "lib.course", "lib.models.artifact_files")
LOOK_BEHIND = {
    "__closure__", "__self__", "__globals__", "__code__", "_getframe", "f_back", "f_locals",
    "cell_contents", "__dict__", "vars", "getattr", "_logits", "gc", "inspect", "importlib",
    "__import__", "eval", "exec", "open",
}  # fmt: skip
HINT = "Use the arguments of your function alone: at search time nobody knows the answers."


def refuse_hidden_answers(answer: Any, may_use: tuple[str, ...] = ()) -> None:
    """Raise `Wrong` if the code of a function names judgements, data sets or a way to find them."""
    if not isinstance(answer, Callable):
        return
    seen: set[int] = set()
    todo = [answer]
    while todo:
        function = todo.pop()
        function = getattr(function, "func", function)  # functools.partial
        function = getattr(function, "__func__", function)
        if not isinstance(function, types.FunctionType) or id(function) in seen:
            continue
        seen.add(id(function))
        names = set(_names_of(function.__code__))
        for name in sorted(names):
            if name in LOOK_BEHIND or (
                name.startswith(HOLD_ANSWERS) and not name.startswith(may_use or ("\0",))
            ):
                raise Wrong(f"your function uses `{name}`, a way to what it was not given", HINT)
        used = {name: function.__globals__[name] for name in names if name in function.__globals__}
        used |= _enclosed(function)
        used |= {f"argument {i}": value for i, value in enumerate(function.__defaults__ or ())}
        for name, value in used.items():
            module = (
                value.__name__
                if isinstance(value, types.ModuleType)
                else getattr(value, "__module__", None) or ""
            )
            allowed = bool(may_use) and str(module).startswith(may_use)
            if isinstance(value, Qrels | RetrievalTask) or (
                str(module).startswith(HOLD_ANSWERS) and not allowed
            ):
                raise Wrong(f"your function uses `{name}`, which holds or loads the answers", HINT)
            todo.append(value)


def _enclosed(function: types.FunctionType) -> dict[str, Any]:
    names, cells = function.__code__.co_freevars, function.__closure__ or ()
    return {name: cell.cell_contents for name, cell in zip(names, cells) if _is_set(cell)}


def _is_set(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _names_of(code: types.CodeType) -> Iterator[str]:
    """Yield the global names, attributes and imports of a function and of those inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_of(constant)
