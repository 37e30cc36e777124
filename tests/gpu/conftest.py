"""Where the tests of this folder run: on a stand-in everywhere, and on CUDA where there is one (`-m
gpu`).
"""

import pytest
import torch

from tests.gpu import stand_in

NEEDS_CUDA = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


@pytest.fixture(params=["stand-in", pytest.param("cuda", marks=NEEDS_CUDA)])
def device(request, monkeypatch):
    """A device that is not the CPU; products in full float32, so that they can be compared with the
    CPU's.
    """
    if request.param == "cuda":
        monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
        yield torch.device("cuda", 0)
    elif not stand_in.is_possible:
        pytest.skip("this torch has no devices written in Python")
    else:
        with stand_in.here(monkeypatch) as found:
            yield found
