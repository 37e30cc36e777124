"""What a GPU does for losses, MaxSim, encoding and exact search, beside this machine's CPU and
beside peers.

No number of it is committed: it has not been run on a GPU yet. `crossmodal bench gpu --device cpu`
runs the same code at sizes that say nothing, so that it is known to run.
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
from lib.index import VectorSearchIndex
from lib.losses import mined_triplet_loss
from lib.models.encoder import PRECISIONS, PretrainedEncoder
from lib.models.maxsim import maxsim
from lib.models.open_clip_loader import Towers
from lib.report.timing import measure
from lib.studies.peers import faiss, losses
from lib.studies.peers import maxsim as maxsim_peer
from lib.studies.peers.harness import NOT_INSTALLED

DEVICES = ("cuda", "cpu")
BUDGET_S = 330.0  # of everything; with the start of the command it stays under six minutes
TESTS_S = 150.0  # that the tests may take of it
LARGE_TILE = (
    2**28
)  # bytes of similarities for MaxSim; the default is made for the cache of a CPU core
LIMIT_S = 3.0  # of the repeats of one measurement; one is always made
LONGEST_S = 10.0  # of one run: what would take longer by its growth is left out
CPU_SHARE = (
    0.5  # of the time; after it the CPU is left out, so that a slow one leaves the GPU its turn
)
PYTEST = [
    sys.executable,
    "-m",
    "pytest",
    "-q",
    "-m",
    "gpu",
    "-rs",
    "-p",
    "no:cacheprovider",
    "tests/gpu",
]
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Sizes:
    """How much is computed.

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


def tiny() -> Sizes:
    """Sizes of a second in all, for a machine without a GPU."""
    vision = {"image_size": 32, "patch_size": 16, "width": 32, "head_width": 16, "layers": 1}
    text = {"context_length": 16, "vocab_size": 100, "width": 32, "heads": 2, "layers": 1}
    model = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    return Sizes((16, 64), (4, 8, 3, 8), model, 8, (4, 500, 16), 2)


@dataclass(frozen=True)
class Case:
    """One system at one task on one device; `prepare` gives the function that is timed."""

    task: str
    system: str
    device: str
    prepare: Callable[[], Callable[[], object]]
    is_peer: bool = False
    bytes_needed: float = 0.0
    work: float = (
        0.0  # in any unit, by which the seconds of a system grow from a smaller task; 0 unknown
    )
    library: str | None = None


def rows(device: str, sizes: Sizes, *, budget_s: float = BUDGET_S) -> Iterator[dict]:
    """Measures every case, those of the CPU first, and gives each row when it is there.

    Seconds are of the clock, all threads, with the device waited for before and after.

    Args:
        device: "cuda", or "cpu" for the CPU alone.
        sizes: how much is computed.
        budget_s: after it nothing more is begun.

    Returns:
        Rows of task, system, device, seconds (median), fastest_s, slowest_s, of_cpu (over the
        seconds of our first system on the CPU), of_peer (over those of the peer on the same
        device), memory_mb (highest allocation of a GPU), repeats; or task, system, device and a
        note that says why nothing was measured.
    """
    check_number(budget_s, "budget_s", 0, 86_400)
    stop, on_cpu = time.monotonic() + budget_s, 0.0
    measured: dict[tuple, float] = {}
    before: dict[tuple, float] = {}  # seconds of a system for one unit of work
    for case in _cases(device, sizes):
        row = {"task": case.task, "system": case.system, "device": case.device}
        start, key = time.monotonic(), (case.system, case.device)
        expected = case.work * before.get(key, 0.0)
        if start > stop or (case.device == "cpu" != device and on_cpu > CPU_SHARE * budget_s):
            found = {"note": "left out: the time is used up"}
        elif expected > LONGEST_S:
            found = {"note": f"left out: it would take about {expected:.0f} s"}
        else:
            found = _measured(case, sizes.repeats, stop)
        on_cpu += (time.monotonic() - start) * (case.device == "cpu")
        if "seconds" in found:
            seconds = found["seconds"]
            if case.work:
                before[key] = seconds / case.work
            measured.setdefault((case.task, case.device, case.is_peer), seconds)
            for name, base in (("of_cpu", ("cpu", False)), ("of_peer", (case.device, True))):
                if (case.task, *base) in measured:
                    found[name] = seconds / measured[case.task, *base]
        yield row | found


def _measured(case: Case, repeats: int, stop: float) -> dict:
    """Median, fastest and slowest of a case, or why there are none."""
    if case.library is not None and find_spec(case.library) is None:
        return {"note": NOT_INSTALLED}
    if case.device == "cpu" and case.bytes_needed > 0.8 * losses.free_bytes():
        return {"note": f"left out: it needs about {case.bytes_needed / 1e9:.0f} GB"}
    on_gpu = torch.device(case.device).type == "cuda"
    wait = torch.cuda.synchronize if on_gpu else lambda: None
    try:
        run = case.prepare()

        def whole() -> None:
            run()
            wait()

        seconds = measure(whole, repeats=1, warmup=0)  # pays for kernels, caches and thread pools
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        if seconds[0] < LONGEST_S:  # else its share in it is small
            seconds = measure(whole, repeats=1, warmup=0)
        more = min(repeats - 1, int(min(LIMIT_S, stop - time.monotonic()) / seconds[0]))
        seconds += measure(whole, repeats=more, warmup=0) if more > 0 else []
    except (
        RuntimeError,
        MemoryError,
    ) as error:  # out of memory, or no such kernel: the next case goes on
        return {"note": f"failed: {' '.join(str(error).split())[:120]}"}
    found = {
        "seconds": float(np.median(seconds)),
        "fastest_s": min(seconds),
        "slowest_s": max(seconds),
    }
    memory = {"memory_mb": torch.cuda.max_memory_allocated() / 1e6} if on_gpu else {}
    return found | memory | {"repeats": len(seconds)}


def _cases(device: str, sizes: Sizes) -> Iterator[Case]:
    where = ["cpu"] if device == "cpu" else ["cpu", device]
    yield from (case for size in sizes.batches for case in _losses(size, where))
    yield from _maxsim(sizes, where)
    yield from _encoding(sizes, where)
    yield from _search(sizes, where)


def _triplet(x: dict) -> torch.Tensor:
    return mined_triplet_loss(x["query"], x["key"], 0.2, "hard")


def _losses(size: int, where: list[str]) -> Iterator[Case]:
    arrays = losses.loss_inputs(size, 512)
    triplet = losses.loss_job(_triplet, loss="triplet, hardest", bytes_at=lambda n: 40.0 * n * n)
    jobs = {name: job for name, job in losses.JOBS.items() if job.loss != losses.ONE_WAY}
    for device in where:
        for name, job in {**jobs, "ours, triplet": triplet}.items():
            is_peer = name in losses.PEER.values()
            if not is_peer and not name.startswith("ours"):
                continue
            yield Case(
                f"{job.loss}, B = {size:,}", name, device, partial(_loss, job, arrays, device), is_peer,
                job.bytes_at(size), size**2, job.library,
            )  # fmt: skip


def _loss(job, arrays: dict, device: str) -> Callable[[], object]:
    leaves = {
        name: leaf.detach().to(device).requires_grad_()
        for name, leaf in job.prepare(arrays).items()
    }

    def run() -> object:
        for leaf in leaves.values():
            leaf.grad = None
        return job.run(leaves)

    return run


def _maxsim(sizes: Sizes, where: list[str]) -> Iterator[Case]:
    n_queries, n_documents, length, dim = sizes.maxsim
    task = f"MaxSim, {n_queries:,} x {n_documents:,}, {length} tokens"
    rng = np.random.default_rng(0)
    sides = [
        rng.standard_normal((n, length, dim), dtype=np.float32) for n in (n_queries, n_documents)
    ]
    systems = {
        maxsim_peer.PEER: maxsim_peer.score_peer,
        "ours, tiles of 1 MiB": maxsim,
        "ours, tiles of 256 MiB": partial(maxsim, block_bytes=LARGE_TILE),
    }
    for device in where:
        for name, score in systems.items():
            is_peer = name == maxsim_peer.PEER

            def prepare(score=score, device=device) -> Callable[[], object]:
                return partial(score, *(torch.from_numpy(side).to(device) for side in sides))

            needed = 4.0 * n_queries * n_documents * length**2 if is_peer else 0.0
            library = "sentence_transformers" if is_peer else None
            yield Case(task, name, device, prepare, is_peer, needed, library=library)


def _encoding(sizes: Sizes, where: list[str]) -> Iterator[Case]:
    """Pixels to unit rows: the copy to the device and back is in it, reading pictures is not."""
    torch.manual_seed(0)
    network = open_clip.CLIP(**sizes.model).eval()
    size = sizes.model["vision_cfg"]["image_size"]
    pixels = torch.randn(sizes.pictures, 3, size, size)
    pictures = [Image.new("RGB", (1, 1))] * sizes.pictures  # what is read of them are the pixels
    task = f"encoding {sizes.pictures} pictures"
    for device in where:
        for precision, dtype in PRECISIONS.items():
            if device == "cpu" and precision == "fp16":
                continue

            def plain(dtype=dtype, device=device) -> Callable[[], object]:
                network.to(device)

                @torch.inference_mode()
                def run() -> object:
                    with torch.autocast(
                        torch.device(device).type, dtype=dtype, enabled=dtype is not None
                    ):
                        return network.encode_image(pixels.to(device), normalize=True).float().cpu()

                return run

            def ours(device=device, precision=precision) -> Callable[[], object]:
                towers = Towers(
                    network.to(device), sizes.model["embed_dim"], lambda _: pixels, None, None,
                    network.encode_image, network.encode_text, {},
                )  # fmt: skip
                encoder = PretrainedEncoder(
                    towers, device=device, precision=precision, batch_size=sizes.pictures
                )
                return partial(encoder.encode_image, pictures)

            yield Case(f"{task}, {precision}", "open_clip", device, plain, True)
            yield Case(f"{task}, {precision}", "ours", device, ours)


def _search(sizes: Sizes, where: list[str]) -> Iterator[Case]:
    n_queries, n_items, dim = sizes.search
    arrays = faiss.search_inputs(n_items, n_queries, dim)
    task = f"exact search, {n_queries:,} x {n_items:,} x {dim}"
    for system in (faiss.FAISS, faiss.OURS):
        job = faiss.JOBS[f"exact search, {system}"]

        def prepare(job=job) -> Callable[[], object]:
            return partial(job.run, job.prepare(arrays))

        yield Case(task, system, "cpu", prepare, system == faiss.FAISS)

    def on_gpu() -> Callable[[], object]:
        index = VectorSearchIndex(dim, "Flat", metric="inner_product", use_gpu=True)
        index.add(arrays["base"])
        return partial(index.search, arrays["queries"], faiss.K)

    for device in where:
        yield Case(
            task, "torch, product and topk", device, partial(_topk, arrays, device), device != "cpu"
        )
        if device != "cpu":
            yield Case(task, "ours, use_gpu", device, _refusing(on_gpu))


def _refusing(prepare: Callable) -> Callable:
    """What this faiss refuses becomes the note of the row."""

    def prepared() -> Callable[[], object]:
        try:
            return prepare()
        except RetrievalInputError as error:
            raise RuntimeError(str(error)) from error

    return prepared


def _topk(arrays: dict, device: str) -> Callable[[], object]:
    base = torch.from_numpy(arrays["base"]).to(device)

    def run() -> object:
        parts = torch.from_numpy(arrays["queries"]).to(device).split(250)
        return [(part @ base.T).topk(faiss.K, dim=1).indices.cpu() for part in parts]

    return run


def sizes_for(device: str) -> Sizes:
    """Full sizes for a GPU that is here, tiny ones for the CPU; a device that is not here is
    refused.
    """
    check_choice(device, DEVICES, "--device")
    if device == "cuda" and not torch.cuda.is_available():
        raise RetrievalInputError(
            f"no CUDA device is here: torch {torch.__version__} sees {torch.cuda.device_count()}"
            " GPUs. Run this where there is one, or give --device cpu: the same code at sizes that"
            " say nothing"
        )
    return Sizes() if device == "cuda" else tiny()


def device_line(device: str) -> str:
    """What is measured, in one line."""
    if device == "cpu":
        return "cpu alone, tiny sizes: that the code runs, not how fast anything is"
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    tf32 = torch.backends.cuda.matmul.allow_tf32
    return (
        f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB, CUDA {torch.version.cuda}, TF32"
        f" products: {tf32}"
    )


def run_tests(log: Callable[[str], None], *, limit_s: float = TESTS_S, folder: Path = ROOT) -> bool:
    """Runs the tests marked gpu in a process of their own; whether they passed. True where there
    are none.
    """
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


def as_line(row: dict) -> str:
    """A row for reading, alone on its line."""
    head = f"{row['task']:46s} {row['system']:26s} {row['device']:5s}"
    if "seconds" not in row:
        return f"{head} {row['note']}"
    texts = [
        f"{1e3 * row['seconds']:10.2f} ms [{1e3 * row['fastest_s']:.2f},"
        f" {1e3 * row['slowest_s']:.2f}]"
    ]
    texts += [
        f"{row[key]:.3g} x {name}"
        for key, name in (("of_cpu", "CPU"), ("of_peer", "peer"))
        if key in row
    ]
    texts += [f"{row['memory_mb']:,.0f} MB"] if "memory_mb" in row else []
    return ", ".join([f"{head} {texts[0]}", *texts[1:]])
