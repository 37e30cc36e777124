"""Searching on a GPU through faiss, where its build has GPU code and there is one."""

from functools import cache

import faiss

from lib.core.checks import RetrievalInputError


def check_gpu() -> None:
    """Refuse a faiss without GPU code, or without a visible GPU."""
    if not hasattr(faiss, "StandardGpuResources"):
        raise RetrievalInputError(
            f"use_gpu = True needs a faiss with GPU code; faiss {faiss.__version__} as installed"
            " has none, as in every wheel of faiss-cpu. Install the conda package faiss-gpu in its"
            " place, or leave use_gpu = False"
        )
    if faiss.get_num_gpus() == 0:
        raise RetrievalInputError(
            "use_gpu = True, but faiss sees no GPU: check the driver (nvidia-smi) and"
            " CUDA_VISIBLE_DEVICES, or leave use_gpu = False"
        )


def on_gpu(index: faiss.Index) -> faiss.Index:
    """Copy the index to the first GPU."""
    return faiss.index_cpu_to_gpu(_resources(), 0, index)


@cache
def _resources():
    """Scratch memory of the GPU, shared by all indexes; it must outlive them."""
    return faiss.StandardGpuResources()
