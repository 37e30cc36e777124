"""Execution of notebooks with progress, in a kernel that finds `lib` and no network."""

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat.v4 import new_notebook
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lib.core.checks import RetrievalInputError
from lib.core.writing import atomic_path
from lib.course.notebooks.pages import write_page, write_report

ROOT = Path(__file__).resolve().parents[3]
CELL_TIMEOUT_S = 600
# What a stored notebook keeps of its metadata: nothing that differs between two machines.
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class _OwnKernel(AsyncKernelManager):
    """A kernel in the interpreter of this process, whatever kernel specifications JUPYTER_PATH
    holds.
    """

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="Python 3", language="python")


class NotebookFailed(RuntimeError):
    """A cell of a notebook raised, ran out of time, or took its kernel down."""


@dataclass(frozen=True)
class Run:
    """One execution of one notebook.

    Args:
        path: of the notebook.
        stored: the notebook as it was, with the outputs it had.
        fresh: the notebook with the outputs of this execution, up to the failing cell if one
            failed.
        seconds: wall time, kernel start included.
        error: which cell failed and how; None if all went well.
    """

    path: Path
    stored: nbformat.NotebookNode
    fresh: nbformat.NotebookNode
    seconds: float
    error: str | None


def execute(path: str | Path, on_cell: Callable[[], None] | None = None) -> Run:
    """Executes a notebook from top to bottom in a new kernel and leaves the file alone.

    Args:
        path: of the notebook; its folder is the working directory, as it is in Jupyter.
        on_cell: called after each cell, for progress.

    Returns:
        The run; look at its `error`.
    """
    path = Path(path)
    try:
        stored = read(path)
    except NotebookFailed as failure:
        return Run(path, new_notebook(), new_notebook(), 0.0, str(failure))
    fresh = nbformat.from_dict(stored)
    for cell in fresh.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        fresh,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        kernel_manager_class=_OwnKernel,
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        coalesce_streams=True,
        on_cell_complete=(lambda **_: on_cell()) if on_cell else None,
    )
    start = time.perf_counter()
    error = None
    # The kernel's own chatter is of interest only if it dies; what cells print to stderr is in
    # their outputs.
    with tempfile.TemporaryFile("w+") as chatter:
        try:
            client.execute(env=_kernel_environment(), stderr=chatter)
        except (CellExecutionError, CellTimeoutError) as failure:
            number = next((i for i, cell in enumerate(fresh.cells) if _failed(cell)), "?")
            error = f"cell {number}: {failure}"
        except (DeadKernelError, RuntimeError) as failure:
            chatter.seek(0)
            error = f"the kernel died: {failure}\n{chatter.read()}"
        except AssertionError:  # on Ctrl-C nbclient takes its kernel down, and then misses it
            raise KeyboardInterrupt from None
    return Run(path, stored, fresh, time.perf_counter() - start, error)


def read(path: Path) -> nbformat.NotebookNode:
    """Reads a notebook, or says why the file is none."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # a byte order mark is harmless
        if re.search(r"^<{7} ", text, flags=re.MULTILINE):
            raise ValueError("it holds the marks of a merge conflict, <<<<<<<")
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except (
        Exception
    ) as error:  # nbformat raises what it meets: JSON, key, attribute and validation errors
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:200].rstrip(".")
        raise NotebookFailed(
            f"the file is no notebook: {reason}. Restore it, or mend it."
        ) from None
    return notebook


def execute_in_place(path: str | Path) -> Run:
    """Executes a notebook and stores its outputs in the file: for a number that changed on purpose.

    Metadata that would differ between machines is dropped. The file is replaced only when every
    cell ran.

    Raises:
        NotebookFailed: a cell failed; the file is as it was.
    """
    run = execute(path)
    if run.error:
        raise NotebookFailed(f"{run.path.name}, {run.error}")
    notebook = run.fresh
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
    nbformat.validate(notebook)
    with atomic_path(run.path) as temporary:
        temporary.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    return run


def run_all(
    notebooks_dir: str | Path,
    build_dir: str | Path,
    *,
    names: tuple[str, ...] = (),
    console: Console | None = None,
) -> list[Run]:
    """Executes the notebooks in order and writes a page for each and one report of all their
    numbers.

    A notebook that fails does not keep the others from running; its page shows how far it came.

    Args:
        notebooks_dir: folder of `NN_topic.ipynb`.
        build_dir: receives `NN_topic.html` and `report.html`.
        names: beginnings of the names to run; all by default.
        console: where progress is shown.

    Returns:
        One run per notebook, in order.

    Raises:
        RetrievalInputError: a name that no notebook begins with.
    """
    paths = find(notebooks_dir, names)
    console = console or Console()
    build = Path(build_dir)
    build.mkdir(parents=True, exist_ok=True)
    pages = {path.stem for path in paths}
    runs = []
    try:
        for run in _with_progress(paths, console, execute):
            write_page(run, build / f"{run.path.stem}.html", pages)
            runs.append(run)
    finally:  # after Ctrl-C too: of the notebooks that ran
        report = write_report(runs, build / "report.html")
        console.print(f"Report of all quality tables: {report}", soft_wrap=True)
    return runs


def refresh(
    notebooks_dir: str | Path, *, names: tuple[str, ...] = (), console: Console | None = None
) -> None:
    """Executes notebooks and their solutions in place; see `execute_in_place`."""
    folder = Path(notebooks_dir)
    paths = find(folder, names)
    paths += [twin for path in paths if (twin := folder / "solutions" / path.name).exists()]
    for _ in _with_progress(
        paths, console or Console(), lambda path, on_cell: execute_in_place(path)
    ):
        pass


def find(notebooks_dir: str | Path, names: tuple[str, ...] = ()) -> list[Path]:
    """Notebooks of a folder in order, or those whose names begin with one of `names`."""
    paths = sorted(Path(notebooks_dir).glob("*.ipynb"))
    for name in names:
        if not any(path.name.startswith(name) for path in paths):
            known = ", ".join(path.stem for path in paths) or "none"
            raise RetrievalInputError(f"no notebook begins with {name!r}; there are: {known}")
    return [path for path in paths if not names or path.name.startswith(tuple(names))]


def _with_progress(paths, console, action):
    """Yields the run of each notebook, with a bar of cells while it runs and a line when it is
    done.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        for number, path in enumerate(paths, start=1):
            name = path.stem if path.parent.name != "solutions" else f"solutions/{path.stem}"
            try:
                n_cells = len(read(path).cells)
            except NotebookFailed:
                n_cells = 0  # the action says what is wrong with it
            task = progress.add_task(f"[{number}/{len(paths)}] {name}", total=n_cells)
            run = action(path, lambda task=task: progress.advance(task))
            progress.remove_task(task)
            outcome = f"failed, {run.error}" if run.error else "ok"
            line = (
                f"[{number}/{len(paths)}] {name}: {n_cells} cells, {run.seconds:.1f} s, {outcome}"
            )
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            yield run


def _kernel_environment() -> dict[str, str]:
    """The environment of this process, with `lib` importable, model hubs off, and figures shown
    inline.
    """
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    kept = {
        name: value for name, value in os.environ.items() if name != "MPLBACKEND"
    }  # the notebooks choose
    return {"HF_HUB_OFFLINE": "1", **kept, "PYTHONPATH": os.pathsep.join(paths)}


def _failed(cell) -> bool:
    return cell.cell_type == "code" and any(
        output.output_type == "error" for output in cell.outputs
    )
