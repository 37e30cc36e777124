"""Run the notebooks: into HTML pages with one report, or in place to store their outputs.

python -m lib.course.notebooks run                 what `make run` does
python -m lib.course.notebooks refresh 00 01       what `make refresh` does
"""

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
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
from lib.core.paths import ROOT
from lib.core.writing import atomic_path
from lib.course.notebooks.figures import pack_figures
from lib.course.notebooks.pages import title_of, write_page, write_report
from lib.course.working_copies import course_notebooks

CELL_TIMEOUT_S = 600
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# Metadata of a stored notebook: nothing that differs between two machines.
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# Of a cell: its tags, and `jupyter.source_hidden` of a folded one.
CELL_METADATA = ("tags", "jupyter")


class NotebookFailed(RuntimeError):
    """A cell of a notebook raised, ran out of time, or ended its kernel."""


class _ThisInterpreter(AsyncKernelManager):
    """A kernel in the interpreter of this process; the kernel specs of JUPYTER_PATH are ignored."""

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="Python 3", language="python")


@dataclass(frozen=True)
class Execution:
    """One execution of one notebook."""

    path: Path
    stored: nbformat.NotebookNode  # with the outputs of the file
    fresh: nbformat.NotebookNode  # with the outputs of this execution, up to a failing cell
    seconds: float  # wall time with the start of the kernel
    error: str | None  # the failing cell and its error


def execute_notebook(path: str | Path, on_cell: Callable[[], None] | None = None) -> Execution:
    """Execute a notebook in a new kernel without changing the file.

    Args:
        path: of the notebook; its folder is the working directory, as in Jupyter.
        on_cell: called after each cell, for progress.
    """
    path = Path(path)
    try:
        stored = read_notebook(path)
    except NotebookFailed as failure:
        return Execution(path, new_notebook(), new_notebook(), 0.0, str(failure))
    fresh = nbformat.from_dict(stored)
    for cell in fresh.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        fresh,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        kernel_manager_class=_ThisInterpreter,
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        coalesce_streams=True,
        store_widget_state=False,
        on_cell_complete=(lambda **_: on_cell()) if on_cell else None,
    )
    start = time.perf_counter()
    error = None
    # The kernel's own messages matter only if it dies; stderr of the cells is in their outputs.
    with tempfile.TemporaryFile("w+") as messages:
        try:
            client.execute(env=_kernel_environment(), stderr=messages)
        except (CellExecutionError, CellTimeoutError) as failure:
            number = next((i for i, cell in enumerate(fresh.cells) if _failed(cell)), "?")
            error = f"cell {number}: {failure}"
        except (DeadKernelError, RuntimeError) as failure:
            messages.seek(0)
            error = f"the kernel died: {failure}\n{messages.read()}"
        except AssertionError:  # nbclient's answer to Ctrl-C, after it has ended its kernel
            raise KeyboardInterrupt from None
    _drop_widgets(fresh)
    pack_figures(fresh)
    return Execution(path, stored, fresh, time.perf_counter() - start, error)


def _drop_widgets(notebook: nbformat.NotebookNode) -> None:
    """Drop the views of widgets, which end with their kernel; what they show beside it stays."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """Read and validate a notebook file."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # a byte order mark is harmless
        if re.search(r"^<{7} ", text, flags=re.MULTILINE):
            raise ValueError("it holds the marks of a merge conflict, <<<<<<<")
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # nbformat raises JSON, key, attribute and validation errors
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:200].rstrip(".")
        raise NotebookFailed(
            f"the file is no notebook: {reason}. Restore it, or mend it."
        ) from None
    return notebook


def execute_in_place(path: str | Path, on_cell: Callable[[], None] | None = None) -> Execution:
    """Execute a notebook and store its outputs in the file, for numbers that change on purpose.

    The file changes only if every cell ran; otherwise `NotebookFailed` is raised. Metadata that
    would differ between machines is dropped.
    """
    execution = execute_notebook(path, on_cell)
    if execution.error:
        raise NotebookFailed(f"{execution.path.name}, {execution.error}")
    notebook = execution.fresh
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        kept = {key: value for key, value in cell.metadata.items() if key in CELL_METADATA}
        cell.metadata = nbformat.from_dict(kept)
    nbformat.validate(notebook)
    with atomic_path(execution.path) as temporary:
        temporary.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    return execution


def run_notebooks(
    notebooks_dir: str | Path,
    build_dir: str | Path,
    *,
    names: tuple[str, ...] = (),
    console: Console | None = None,
) -> list[Execution]:
    """Execute notebooks in order; write a page for each and one report of all their numbers.

    Args:
        notebooks_dir: folder of `NN_topic.ipynb`.
        build_dir: folder for `NN_topic.html` and `report.html`.
        names: beginnings of the names to run; all by default.
        console: for progress.

    Returns:
        One execution per notebook, in order; a failed one has an `error`.
    """
    paths = find_notebooks(notebooks_dir, names)
    console = console or Console()
    build = Path(build_dir)
    build.mkdir(parents=True, exist_ok=True)
    pages = {path.stem: _title_in_file(path) for path in paths}
    executions = []
    try:
        for execution in _with_progress(paths, console, execute_notebook):
            write_page(execution, build / f"{execution.path.stem}.html", pages)
            executions.append(execution)
    finally:  # after Ctrl-C too, with the notebooks that ran
        report = write_report(executions, build / "report.html")
        console.print(f"Report of all quality tables: {report}", soft_wrap=True)
    return executions


def refresh_notebooks(
    notebooks_dir: str | Path, *, names: tuple[str, ...] = (), console: Console | None = None
) -> None:
    """Execute notebooks and their solutions in place; see `execute_in_place`."""
    folder = Path(notebooks_dir)
    paths = find_notebooks(folder, names)
    solutions = [folder / "solutions" / path.relative_to(folder) for path in paths]
    paths += [path for path in solutions if path.exists()]
    for _ in _with_progress(paths, console or Console(), execute_in_place):
        pass


def find_notebooks(notebooks_dir: str | Path, names: tuple[str, ...] = ()) -> list[Path]:
    """List the notebooks of a folder in order: all, or those that begin with one of `names`."""
    paths = course_notebooks(Path(notebooks_dir))
    for name in names:
        if not any(path.name.startswith(name) for path in paths):
            known = ", ".join(path.stem for path in paths) or "none"
            raise RetrievalInputError(f"no notebook begins with {name!r}; there are: {known}")
    return [path for path in paths if not names or path.name.startswith(tuple(names))]


def _with_progress(
    paths: Sequence[Path], console: Console, execute: Callable[..., Execution]
) -> Iterator[Execution]:
    """Execute each notebook with a progress bar of its cells, and print one line when it ends."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        for number, path in enumerate(paths, start=1):
            folder = "solutions/" if "solutions" in path.parts else ""
            label = f"[{number}/{len(paths)}] {folder}{path.stem}"
            try:
                n_cells = len(read_notebook(path).cells)
            except NotebookFailed:
                n_cells = 0  # `execute` reports the reason
            task = progress.add_task(label, total=n_cells)
            execution = execute(path, lambda task=task: progress.advance(task))
            progress.remove_task(task)
            outcome = f"failed, {execution.error}" if execution.error else "ok"
            line = f"{label}: {n_cells} cells, {execution.seconds:.1f} s, {outcome}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            yield execution


def _kernel_environment() -> dict[str, str]:
    """Make the environment of a kernel: `lib` importable, model hubs off, inline figures."""
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    paths = [str(ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    return {"HF_HUB_OFFLINE": "1", **environment, "PYTHONPATH": os.pathsep.join(paths)}


def _title_in_file(path: Path) -> str:
    try:
        return title_of(read_notebook(path), path.stem)
    except NotebookFailed:  # `execute_notebook` reports the reason
        return path.stem


def _failed(cell: nbformat.NotebookNode) -> bool:
    outputs = cell.outputs if cell.cell_type == "code" else []
    return any(output.output_type == "error" for output in outputs)
