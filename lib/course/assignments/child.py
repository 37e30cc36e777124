"""The process that runs one submission: load its code, then answer calls with values as JSON.

Run by path, `python -I -B child.py`; it imports nothing of the course. It knows the arguments of a
call, never the right answer, so whatever the student's code does here, it can only answer.
"""

import ast
import base64
import importlib.util
import json
import os
import re
from pathlib import Path

DEEPEST = 20
MOST_BYTES = 2**23
DEFINITIONS = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.Assign
KINDS = "biuf"
MAGIC = re.compile(r"^[ \t]*[%!?].*$", re.MULTILINE)  # for the shell and for IPython


def encode(value, depth: int = 0):
    """Turn a value into JSON: arrays as dtype, shape and bytes. TypeError for other objects."""
    import numpy as np

    if depth > DEEPEST:
        raise TypeError("the result is nested too deeply")
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    elif hasattr(value, "to_numpy"):
        value = value.to_numpy()
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, float, str):
        return value
    if type(value) is int:
        if abs(value) >= 2**63:
            raise TypeError("a whole number is too large")
        return value
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in KINDS:
            raise TypeError(f"an array of {value.dtype}")
        if value.nbytes > MOST_BYTES:
            raise TypeError(f"an array of {value.nbytes:,} bytes; {MOST_BYTES:,} are allowed")
        value = np.asarray(value).astype(value.dtype.newbyteorder("<"))
        data = base64.b64encode(value.tobytes()).decode("ascii")
        return {"array": [value.dtype.str, list(value.shape), data]}
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [encode(each, depth + 1) for each in value]}
    if isinstance(value, dict):
        pairs = [[encode(key, depth + 1), encode(each, depth + 1)] for key, each in value.items()]
        return {"dict": pairs}
    raise TypeError(f"a {type(value).__name__}; return numbers, arrays, lists or texts")


def decode(value):
    """Read what `encode` wrote; ValueError for anything else. It builds plain values alone."""
    import numpy as np

    if value is None or isinstance(value, bool | int | float | str):
        return value
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError("not a value of the grader")
    [(kind, content)] = value.items()
    if kind == "array":
        name, shape, data = content
        dtype = np.dtype(name)
        if dtype.kind not in KINDS:
            raise ValueError("not an array of numbers")
        raw = base64.b64decode(data, validate=True)
        return np.frombuffer(raw, dtype).reshape([int(n) for n in shape]).copy()
    if kind in ("list", "tuple"):
        return (tuple if kind == "tuple" else list)(decode(each) for each in content)
    if kind == "dict":
        return {decode(key): decode(each) for key, each in content}
    raise ValueError("not a value of the grader")


def load_code(cells: list[str], everything: bool) -> tuple[dict, list[str]]:
    """Run the code of a notebook, statement by statement; a statement that raises is skipped.

    Args:
        cells: the sources of the code cells.
        everything: whether all statements run, or definitions, imports and assignments alone.

    Returns:
        The names that the code defines, and what was skipped.
    """
    names: dict = {"__name__": "__main__"}
    problems = []
    for number, source in enumerate(cells, start=1):
        try:
            tree = parsed(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            problems.append(f"code cell {number} does not parse: {describe(error)}")
            continue
        for node in tree.body:
            if not everything and not isinstance(node, DEFINITIONS):
                continue
            try:
                module = ast.Module([node], [])
                exec(compile(module, f"<cell {number}>", "exec"), names)
            except BaseException as error:
                problems.append(f"code cell {number}, line {node.lineno}: {describe(error)}")
    return names, problems


def parsed(source: str) -> ast.Module:
    """Parse a cell; where it does not parse, without the lines that start with %, ! or ?."""
    try:
        return ast.parse(source)
    except SyntaxError:
        return ast.parse(MAGIC.sub("", source))


def describe(error: BaseException) -> str:
    """Describe an error by its type and its message, which may itself raise."""
    try:
        message = " ".join(str(error).split())[:300]
    except BaseException:
        message = ""
    return f"{type(error).__name__}: {message}".rstrip(": ")


def answer(names: dict, request: dict) -> dict:
    """Call one function of the student."""
    function = names.get(request["call"])
    if not callable(function):
        return {"missing": True}
    try:
        return {"value": encode(function(*[decode(each) for each in request["arguments"]]))}
    except BaseException as error:  # exit() too
        return {"error": describe(error)}


def main() -> None:
    """Read the settings and the code, confine this process, then answer until the input ends."""
    source = os.fdopen(os.dup(0), "rb")
    target = os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    settings = json.loads(source.readline())
    import numpy  # noqa: F401  before the limits: it reads files of the system

    place = Path(__file__).with_name("confinement.py")
    spec = importlib.util.spec_from_file_location("confinement", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.confine(**settings["limits"])

    def send(message: dict, number: str) -> None:
        data = memoryview(json.dumps({"id": number} | message).encode() + b"\n")
        while data:
            data = data[target.write(data) :]

    send({"confined": True}, settings["id"])
    request = json.loads(source.readline())
    names, problems = load_code(request["cells"], request["everything"])
    functions = [name for name in request["wanted"] if callable(names.get(name))]
    send({"problems": problems[:20], "functions": functions}, request["id"])
    for line in source:
        request = json.loads(line)
        send(answer(names, request), request["id"])


if __name__ == "__main__":
    main()
    os._exit(0)
