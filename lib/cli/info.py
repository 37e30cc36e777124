"""`crossmodal info` and `crossmodal results`: the installation, and the tables of results."""

import importlib.metadata
import platform
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from lib.cli.output import console
from lib.core.paths import artifacts_dir
from lib.core.reading import DamagedFileError, MissingFileError, verify
from lib.core.writing import CHECKSUM_SUFFIX

SEARCH = ("faiss-cpu", "scann", "h5py")
PACKAGES = ("torch", "open_clip_torch", "timm", *SEARCH)
PACKAGES += ("numpy", "pillow", "qtawesome", "umap-learn")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not found under this name"  # conda names some packages differently


def info() -> None:
    """Print versions, threads, BLAS kernels, artifacts and their checksums."""
    import threadpoolctl
    import torch

    versions = Table("package", "version", title="versions")
    versions.add_row("python", platform.python_version())
    for package in PACKAGES:
        versions.add_row(package, _version(package))
    console.print(versions)

    pools = Table("library", "kernel", "threads", "version", title="threads and kernels")
    kernel, threads = torch.backends.cpu.get_cpu_capability(), str(torch.get_num_threads())
    pools.add_row("torch intra-op", kernel, threads, "")
    for pool in threadpoolctl.threadpool_info():
        library = f"{pool['internal_api']} ({Path(pool['filepath']).parent.name})"
        kernel, version = pool.get("architecture") or "", pool.get("version") or ""
        pools.add_row(library, kernel, str(pool["num_threads"]), version)
    console.print(pools)

    files = Table("artifact", "MB", "sha256", "state", title="artifacts")
    for sidecar in sorted(artifacts_dir().rglob("*" + CHECKSUM_SUFFIX)):
        path = sidecar.with_name(sidecar.name.removesuffix(CHECKSUM_SUFFIX))
        try:
            verify(path, rebuild="Restore it with git.")
            state, size = "ok", f"{path.stat().st_size / 1e6:.2f}"
        except (MissingFileError, DamagedFileError) as error:
            state, size = type(error).__name__, ""
        digest = sidecar.read_bytes()[:12].decode("ascii", "replace") if sidecar.is_file() else ""
        files.add_row(escape(str(path.relative_to(artifacts_dir()))), size, escape(digest), state)
    nothing = f"no artifacts in {artifacts_dir()}; crossmodal train --all"
    console.print(files if files.row_count else nothing)


def results() -> None:
    """Print the tables of the README and of data/RESULTS.md, from the committed embeddings."""
    from lib.studies import readme_results

    rows = readme_results.readme_table()
    print(f"{readme_results.summary_markdown(rows)}\n")
    print(f"{readme_results.readme_markdown(rows)}\n")
    print(readme_results.harder_queries_markdown(readme_results.harder_queries_table()))
