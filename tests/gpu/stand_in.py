"""A device that is not there: tensors that say they are on `stand_in:0` and hold their values on
the CPU.

What a GPU refuses is refused here: an operation on tensors of two devices, and `.numpy()` of a
tensor that was not brought back. So code that forgets to move a tensor fails on any machine. The
kernels, the speed, the memory and the half precision of a GPU are not in it.
"""

from contextlib import contextmanager, nullcontext
from functools import cache
from types import SimpleNamespace

import torch
from torch.autograd.grad_mode import inference_mode
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

NAME = "stand_in"
is_possible = hasattr(
    backend_registration, "_setup_privateuseone_for_python_backend"
)  # torch 2.10 and later
# These read from one device and write to another, or take positions that are on the CPU.
CROSSING = {
    getattr(torch.ops.aten, name)
    for name in ("_to_copy", "copy_", "index", "index_put", "index_put_")
}


class Elsewhere(torch.Tensor):
    """A tensor of the device; `held` has its values."""

    @staticmethod
    def __new__(cls, held):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            held.stride(),
            held.storage_offset(),
            dtype=held.dtype,
            device=f"{NAME}:0",
        )
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    def tolist(self):
        return self.held.tolist()  # as a GPU does, which `.numpy()` is not

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})


def _run(function, args, kwargs):
    """An operation on the values, after a look at where its tensors are."""
    given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    there = [x for x in given if isinstance(x, Elsewhere)]
    crossing = function.overloadpacket in CROSSING
    if there and not crossing and any(x.ndim and not isinstance(x, Elsewhere) for x in given):
        raise RuntimeError(f"{function} got tensors on {NAME}:0 and on the cpu")
    if kwargs.get("device") is not None:
        goes_there = torch.device(kwargs["device"]).type == NAME
        kwargs = {**kwargs, "device": torch.device("cpu")}
    else:
        goes_there = isinstance(args[0], Elsewhere) if crossing else bool(there)
    args, kwargs = tree_map(lambda x: x.held if isinstance(x, Elsewhere) else x, (args, kwargs))
    written = {
        id(x.held): x for x in there
    }  # what an operation writes into stays the tensor it was

    def shown(x):
        if not isinstance(x, torch.Tensor) or not goes_there:
            return x
        return written[id(x)] if id(x) in written else Elsewhere(x)

    return tree_map(shown, function(*args, **kwargs))


class _Mode(TorchDispatchMode):
    """Sees what makes a tensor from none, such as `torch.arange(3, device=...)`."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})


@cache
def _register():
    """Names the device to torch, once in a process; under autocast it computes in the dtypes it is
    given.
    """
    module = SimpleNamespace(
        is_available=lambda: True, is_initialized=lambda: True, _is_in_bad_fork=lambda: False,
        device_count=lambda: 1, current_device=lambda: 0, manual_seed_all=lambda seed: None,
        device=lambda which: nullcontext(), get_rng_state=lambda *which: torch.get_rng_state(),
        get_amp_supported_dtype=lambda: [torch.bfloat16, torch.float16],
        set_rng_state=lambda state, *which: None,
    )  # fmt: skip
    backend_registration._setup_privateuseone_for_python_backend(NAME, module)
    library = torch.library.Library("_", "IMPL")
    library.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    return library  # what it registers goes when it does


@contextmanager
def here(monkeypatch):
    """Inside, `stand_in:0` is a device; inference runs without a gradient only, which wrapped
    tensors can.
    """
    _register()

    def enter(self):
        self._inference_mode_context = torch.no_grad()
        self._inference_mode_context.__enter__()

    monkeypatch.setattr(inference_mode, "__enter__", enter)
    replacing = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch._C._set_only_lift_cpu_tensors(
        True
    )  # torch.tensor(3, device=...) makes it on the CPU, then moves it
    try:
        # Threads of the backward pass are started once in a process, one a device that was there
        # then.
        with _Mode(), torch.autograd.set_multithreading_enabled(False):
            yield torch.device(NAME, 0)
    finally:
        torch._C._set_only_lift_cpu_tensors(False)
        torch.__future__.set_overwrite_module_params_on_conversion(replacing)
