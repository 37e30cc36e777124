"""Small batches and helpers for the tests of the losses."""

import torch
import torch.nn.functional as F


def pairs(n_queries=4, n_keys=None, dim=3, seed=0, dtype=torch.float64):
    """Random unit queries and keys."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (n_queries, n_keys or n_queries)
    return tuple(
        F.normalize(torch.randn(n, dim, generator=generator, dtype=dtype), dim=1) for n in sizes
    )


def gradients(loss, *inputs):
    """Compute a loss and its gradient with respect to each input."""
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    value = loss(*inputs)
    return value.detach(), *torch.autograd.grad(value, inputs)


def mask(*rows):
    """Make a boolean tensor from rows of 0 and 1."""
    return torch.tensor(rows, dtype=torch.bool)


def mined_by_hand(row, i, margin, mining, same=None):
    """List the mined wrong keys of query i, one comparison at a time."""
    wrong = [j for j in range(len(row)) if j != i and not (same is not None and same[i][j])]
    if mining == "semi_hard":
        wrong = [j for j in wrong if row[i] - margin < row[j] < row[i]]
    if mining == "hard" and wrong:
        wrong = [max(wrong, key=lambda j: row[j])]
    return wrong
