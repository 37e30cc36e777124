"""Compare a GPU with the CPU and with peers: losses, MaxSim, encoding and exact search.

No number of it is committed: it was not run on a GPU yet. `crossmodal bench gpu --device cpu` runs
the same code at tiny sizes, to test it.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image

from lib.core.checks import RetrievalInputError, check_choice, check_number
from lib.core.paths import ROOT
from lib.index import VectorSearchIndex
from lib.losses import mined_triplet_loss
from lib.models.encoder import PretrainedEncoder
from lib.models.maxsim import maxsim
from lib.models.open_clip_loader import Towers
from lib.models.text_side import PRECISIONS
from lib.report.timing import measure
from lib.studies.peers import faiss, losses
from lib.studies.peers import maxsim as maxsim_peer
from lib.studies.peers.harness import NOT_INSTALLED

DEVICES = ("cuda", "cpu")
BUDGET_S = 330.0  # of everything; with the start of the command it stays under six minutes
TESTS_S = 150.0  # of the budget, for the tests
LIMIT_S = 3.0  # of the repeats of one measurement; one is always made
LONGEST_S = 10.0  # of one run; what would take longer, by its growth, is left out
CPU_SHARE = 0.5  # of the time; after it the CPU is left out, to leave time for the GPU
LARGE_TILE = 2**28  # bytes of similarities; the default of MaxSim fits the cache of a CPU core
PYTEST_OPTIONS = ("-qrs", "-p", "no:cacheprovider", "-m", "gpu", "tests/gpu")
PYTEST = [sys.executable, "-m", "pytest", *PYTEST_OPTIONS]
Run = Callable[[], object]


@dataclass(frozen=True)
class GpuSizes:
    """Sizes of the work.

    Args:
        batches: pairs of a loss, of 512 coordinates.
        maxsim: queries, documents, tokens of each, coordinates.
        model: open_clip's `model_cfg`; weights are random.
        pictures: encoded at a time.
        search: queries, items, coordinates.
        repeats: timed runs of each; fewer where they would take longer than `LIMIT_S`.
    """

    batches: tuple[int, ...] = (4096, 16384)
    maxsim: tuple[int, int, int, int] = (128, 1024, 32, 128)
    model: dict = field(default_factory=lambda: open_clip.get_model_config("ViT-B-32"))
    pictures: int = 256
    search: tuple[int, int, int] = (1_000, 1_000_000, 256)
    repeats: int = 7


def tiny_sizes() -> GpuSizes:
    """Return sizes that take a second together, for a machine without a GPU."""
    vision = {"image_size": 32, "patch_size": 16, "width": 32, "head_width": 16, "layers": 1}
    text = {"context_length": 16, "vocab_size": 100, "width": 32, "heads": 2, "layers": 1}
    model = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    return GpuSizes((16, 64), (4, 8, 3, 8), model, 8, (4, 500, 16), 2)


def sizes_for(device: str) -> GpuSizes:
    """Return full sizes for a GPU, tiny ones for the CPU; refuse a device that is missing."""
    check_choice(device, DEVICES, "--device")
    if device == "cuda" and not torch.cuda.is_available():
        raise RetrievalInputError(
            f"no CUDA device is here: torch {torch.__version__} sees {torch.cuda.device_count()}"
            " GPUs. Run this where there is one, or give --device cpu: the same code at tiny sizes"
        )
    return GpuSizes() if device == "cuda" else tiny_sizes()


@dataclass(frozen=True)
class GpuCase:
    """One system at one task on one device; `prepare` returns the function that is timed.

    Args:
        work: in any unit; seconds of a system grow with it from a smaller task. 0 if not known.
    """

    task: str
    system: str
    device: str
    prepare: Callable[[], Run]
    is_peer: bool = False
    bytes_needed: float = 0.0
    work: float = 0.0
    library: str | None = None


# ---- measuring


def measure_cases(device: str, sizes: GpuSizes, *, budget_s: float = BUDGET_S) -> Iterator[dict]:
    """Measure every case, those of the CPU first, and yield each row when it is ready.

    Seconds are of the clock, all threads; the device is waited for before and after.

    Args:
        device: "cuda", or "cpu" for the CPU alone.
        sizes: sizes of the work.
        budget_s: seconds after which no measurement begins.

    Returns:
        Rows of task, system, device, seconds (median), fastest_s, slowest_s, of_cpu (ratio to our
        first system on the CPU), of_peer (ratio to the peer on the same device), memory_mb (highest
        allocation of a GPU), repeats; or task, system, device and a note that says why nothing was
        measured.
    """
    check_number(budget_s, "budget_s", 0, 86_400)
    stop, on_cpu = time.monotonic() + budget_s, 0.0
    first_seconds: dict[tuple, float] = {}
    seconds_per_work: dict[tuple, float] = {}
    for case in _cases(device, sizes):
        start, system = time.monotonic(), (case.system, case.device)
        expected = case.work * seconds_per_work.get(system, 0.0)
        cpu_is_over = case.device == "cpu" != device and on_cpu > CPU_SHARE * budget_s
        if start > stop or cpu_is_over:
            row = {"note": "left out: the time is used up"}
        elif expected > LONGEST_S:
            row = {"note": f"left out: it would take about {expected:.0f} s"}
        else:
            row = _measure_case(case, sizes.repeats, stop)
        on_cpu += (time.monotonic() - start) * (case.device == "cpu")
        if "seconds" in row:
            if case.work:
                seconds_per_work[system] = row["seconds"] / case.work
            first_seconds.setdefault((case.task, case.device, case.is_peer), row["seconds"])
            for name, base in (("of_cpu", ("cpu", False)), ("of_peer", (case.device, True))):
                if (case.task, *base) in first_seconds:
                    row[name] = row["seconds"] / first_seconds[case.task, *base]
        yield {"task": case.task, "system": case.system, "device": case.device} | row


def _measure_case(case: GpuCase, repeats: int, stop: float) -> dict:
    """Return median, fastest and slowest of a case, or a note."""
    if case.library is not None and find_spec(case.library) is None:
        return {"note": NOT_INSTALLED}
    if case.device == "cpu" and case.bytes_needed > 0.8 * losses.free_bytes():
        return {"note": f"left out: it needs about {case.bytes_needed / 1e9:.0f} GB"}
    on_gpu = torch.device(case.device).type == "cuda"
    try:
        run = case.prepare()

        def run_and_wait() -> None:
            run()
            if on_gpu:
                torch.cuda.synchronize()

        # The first run pays for kernels, caches and thread pools. It counts where it is long.
        seconds = measure(run_and_wait, repeats=1, warmup=0)
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        if seconds[0] < LONGEST_S:
            seconds = measure(run_and_wait, repeats=1, warmup=0)
        more = min(repeats - 1, int(min(LIMIT_S, stop - time.monotonic()) / seconds[0]))
        seconds += measure(run_and_wait, repeats=more, warmup=0) if more > 0 else []
    except (RuntimeError, MemoryError) as error:  # out of memory, or no such kernel
        return {"note": f"failed: {' '.join(str(error).split())[:120]}"}
    row = {"seconds": float(np.median(seconds)), "fastest_s": min(seconds)}
    row |= {"slowest_s": max(seconds), "repeats": len(seconds)}
    return row | ({"memory_mb": torch.cuda.max_memory_allocated() / 1e6} if on_gpu else {})


# ---- cases


def _cases(device: str, sizes: GpuSizes) -> Iterator[GpuCase]:
    devices = ["cpu"] if device == "cpu" else ["cpu", device]
    for size in sizes.batches:
        yield from _loss_cases(size, devices)
    yield from _maxsim_cases(sizes, devices)
    yield from _encoding_cases(sizes, devices)
    yield from _search_cases(sizes, devices)


def _loss_cases(size: int, devices: list[str]) -> Iterator[GpuCase]:
    arrays = losses.loss_inputs(size, 512)
    jobs = {name: job for name, job in losses.JOBS.items() if job.loss != losses.ONE_WAY}
    jobs["ours, triplet"] = losses.loss_job(
        lambda x: mined_triplet_loss(x["query"], x["key"], 0.2, "hard"),
        loss="triplet, hardest",
        bytes_at=lambda n: 40.0 * n * n,
    )
    peers = losses.PEER.values()
    jobs = {name: job for name, job in jobs.items() if name in peers or name.startswith("ours")}
    for device in devices:
        for name, job in jobs.items():
            yield GpuCase(
                f"{job.loss}, B = {size:,}", name, device, partial(_loss_run, job, arrays, device),
                name in peers, job.bytes_at(size), size**2, job.library,
            )  # fmt: skip


def _loss_run(job: losses.LossJob, arrays: dict, device: str) -> Run:
    leaves = {
        name: leaf.detach().to(device).requires_grad_()
        for name, leaf in job.prepare(arrays).items()
    }

    def run() -> object:
        for leaf in leaves.values():
            leaf.grad = None
        return job.run(leaves)

    return run


def _maxsim_cases(sizes: GpuSizes, devices: list[str]) -> Iterator[GpuCase]:
    n_queries, n_documents, length, dim = sizes.maxsim
    task = f"MaxSim, {n_queries:,} x {n_documents:,}, {length} tokens"
    arrays = maxsim_peer.maxsim_inputs(*sizes.maxsim)
    scores = {
        "ours, tiles of 1 MiB": maxsim,
        "ours, tiles of 256 MiB": partial(maxsim, block_bytes=LARGE_TILE),
    }

    def prepare(score: Callable, device: str) -> Run:
        sides = (torch.from_numpy(arrays[side]).to(device) for side in maxsim_peer.SIDES)
        return partial(score, *sides)

    for device in devices:
        peer, library = maxsim_peer.PEER, "sentence_transformers"
        needed = 4.0 * n_queries * n_documents * length**2
        start = partial(prepare, maxsim_peer.score_peer, device)
        yield GpuCase(task, peer, device, start, True, needed, library=library)
        for name, score in scores.items():
            yield GpuCase(task, name, device, partial(prepare, score, device))


def _encoding_cases(sizes: GpuSizes, devices: list[str]) -> Iterator[GpuCase]:
    """Encode pixels to unit rows; copies to the device and back count, reading does not."""
    torch.manual_seed(0)
    network = open_clip.CLIP(**sizes.model).eval()
    size = sizes.model["vision_cfg"]["image_size"]
    pixels = torch.randn(sizes.pictures, 3, size, size)
    pictures = [Image.new("RGB", (1, 1))] * sizes.pictures  # replaced by the pixels

    def open_clip_run(device: str, precision: str) -> Run:
        network.to(device)
        kind, dtype = torch.device(device).type, PRECISIONS[precision]

        @torch.inference_mode()
        def run() -> object:
            with torch.autocast(kind, dtype=dtype, enabled=dtype is not None):
                return network.encode_image(pixels.to(device), normalize=True).float().cpu()

        return run

    def our_run(device: str, precision: str) -> Run:
        towers = Towers(
            network.to(device), sizes.model["embed_dim"], lambda _: pixels, None, None,
            network.encode_image, network.encode_text, {},
        )  # fmt: skip
        options = {"device": device, "precision": precision, "batch_size": sizes.pictures}
        return partial(PretrainedEncoder(towers, **options).encode_image, pictures)

    for device in devices:
        for precision in PRECISIONS:
            if device != "cpu" or precision != "fp16":
                task = f"encoding {sizes.pictures} pictures, {precision}"
                peer, ours = (partial(run, device, precision) for run in (open_clip_run, our_run))
                yield GpuCase(task, "open_clip", device, peer, True)
                yield GpuCase(task, "ours", device, ours)


def _search_cases(sizes: GpuSizes, devices: list[str]) -> Iterator[GpuCase]:
    n_queries, n_items, dim = sizes.search
    arrays = faiss.search_inputs(n_items, n_queries, dim)
    task = f"exact search, {n_queries:,} x {n_items:,} x {dim}"

    def cpu_run(job) -> Run:
        return partial(job.run, job.prepare(arrays))

    def gpu_run() -> Run:
        try:
            index = VectorSearchIndex(dim, "Flat", metric="inner_product", use_gpu=True)
        except RetrievalInputError as error:  # a faiss without GPU code: the note of the row
            raise RuntimeError(str(error)) from error
        index.add(arrays["base"])
        return partial(index.search, arrays["queries"], faiss.K)

    def torch_run(device: str) -> Run:
        base = torch.from_numpy(arrays["base"]).to(device)

        def run() -> object:
            parts = torch.from_numpy(arrays["queries"]).to(device).split(250)
            return [(part @ base.T).topk(faiss.K, dim=1).indices.cpu() for part in parts]

        return run

    for system in (faiss.FAISS, faiss.OURS):
        start = partial(cpu_run, faiss.JOBS[f"exact search, {system}"])
        yield GpuCase(task, system, "cpu", start, system == faiss.FAISS)
    for device in devices:
        on_gpu = device != "cpu"
        yield GpuCase(task, "torch, product and topk", device, partial(torch_run, device), on_gpu)
        if on_gpu:
            yield GpuCase(task, "ours, use_gpu", device, gpu_run)


# ---- tests and text


def run_gpu_tests(
    log: Callable[[str], None], *, limit_s: float = TESTS_S, folder: Path = ROOT
) -> bool:
    """Run the tests marked gpu in a new process; return whether they passed or are missing."""
    if not (folder / "tests" / "gpu").is_dir():
        log("the tests are not here: they come with a checkout of the repository")
        return True
    try:
        done = subprocess.run(PYTEST, cwd=folder, capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        log(f"the tests were stopped after {limit_s:.0f} s")
        return False
    for line in (done.stdout + done.stderr).strip().splitlines()[-30:]:
        log(line)
    return done.returncode == 0


def device_line(device: str) -> str:
    """Describe the device in one line."""
    if device == "cpu":
        return "cpu alone, tiny sizes: this tests the code, the times say nothing"
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    tf32 = torch.backends.cuda.matmul.allow_tf32
    return (
        f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB, CUDA {torch.version.cuda}, TF32"
        f" products: {tf32}"
    )


def format_case_line(row: dict) -> str:
    """Format a row as one line."""
    line = f"{row['task']:46s} {row['system']:26s} {row['device']:5s}"
    if "seconds" not in row:
        return f"{line} {row['note']}"
    median, fastest, slowest = (1e3 * row[name] for name in ("seconds", "fastest_s", "slowest_s"))
    line += f" {median:10.2f} ms [{fastest:.2f}, {slowest:.2f}]"
    for key, name in (("of_cpu", "CPU"), ("of_peer", "peer")):
        line += f", {row[key]:.3g} x {name}" if key in row else ""
    return line + (f", {row['memory_mb']:,.0f} MB" if "memory_mb" in row else "")
