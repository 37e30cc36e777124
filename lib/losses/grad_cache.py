"""A batch larger than memory: the loss sees all embeddings, the encoders one chunk at a time."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import get_device_states, set_device_states

from lib.core.checks import RetrievalInputError, check_count
from lib.losses.inputs import check_tensor

Batch = Tensor | Sequence["Batch"] | Mapping[str, "Batch"]
"""What an encoder is called with: a tensor, or a list, tuple or dict of them, rows along the first axis."""


def _tensors(batch: Batch) -> list[Tensor]:
    if isinstance(batch, Tensor):
        return [batch]
    if not isinstance(batch, Mapping | list | tuple):
        raise RetrievalInputError(
            f"inputs must be tensors, or lists, tuples or dicts of them, got {batch!r}"
        )
    parts = batch.values() if isinstance(batch, Mapping) else batch
    return [tensor for part in parts for tensor in _tensors(part)]


def _rows(batch: Batch, rows: slice) -> Batch:
    if isinstance(batch, Tensor):
        return batch[rows]
    if isinstance(batch, Mapping):
        return {name: _rows(part, rows) for name, part in batch.items()}
    return type(batch)(_rows(part, rows) for part in batch)


def _chunks(batch: Batch, chunk_size: int) -> list[Batch]:
    lengths = {len(tensor) if tensor.ndim else 0 for tensor in _tensors(batch)}
    if len(lengths) != 1 or 0 in lengths:
        shapes = [tuple(tensor.shape) for tensor in _tensors(batch)]
        raise RetrievalInputError(
            f"tensors of one input need the same number of rows, at least 1; got {shapes}"
        )
    return [_rows(batch, slice(i, i + chunk_size)) for i in range(0, lengths.pop(), chunk_size)]


class _RandomState:
    """The random generators as they are now, of the CPU and of the devices the tensors are on."""

    def __init__(self, batch: Batch) -> None:
        self.cpu = torch.get_rng_state()
        self.devices = get_device_states(*_tensors(batch))

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        set_device_states(*self.devices)


def _check(encoders: Sequence[Callable], inputs: Sequence[Batch]) -> None:
    if not (isinstance(encoders, list | tuple) and isinstance(inputs, list | tuple)):
        found = f"{type(encoders).__name__} and {type(inputs).__name__}"
        raise RetrievalInputError(
            f"encoders and inputs must be lists or tuples, one input each, got {found}"
        )
    if len(encoders) != len(inputs) or not encoders:
        raise RetrievalInputError(
            f"{len(encoders)} encoders need as many inputs, got {len(inputs)}"
        )
    for encoder in encoders:
        if not callable(encoder):
            raise RetrievalInputError(f"encoders must be functions or modules, got {encoder!r}")
        module = getattr(encoder, "__self__", encoder)  # a bound method, such as model.encode_text
        for name, part in module.named_modules() if isinstance(module, nn.Module) else ():
            if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training:
                raise RetrievalInputError(
                    f"batch norm {name!r} is in training mode: it would normalise by chunk, and"
                    " count each twice. Put it in eval mode, or use a norm within rows"
                )


def grad_cache_step(
    encoders: Sequence[Callable[[Batch], Tensor]],
    inputs: Sequence[Batch],
    loss_fn: Callable[..., Tensor],
    *,
    chunk_size: int,
) -> Tensor:
    """Adds to `.grad` what `loss_fn(*embeddings).backward()` would, with one chunk of activations
    in memory.

    With z = f(x) the embeddings of the whole batch, chunk C at a time:

        1. z without a graph          2. g = dL/dz, once, over all z          3. sum_C d<f(x_C),
          g_C>/dtheta

    Args:
        encoders: called with a chunk of their input each; return (rows, d). The same one may come
            twice.
        inputs: one per encoder: a tensor with rows along its first axis, or a list, tuple or dict
            of them, on the encoder's device. They may differ in rows.
        loss_fn: called once with the embeddings, one (B, d) per encoder; returns a 0-d loss. What
            is learnt inside it, such as a temperature, gets its gradient here.
        chunk_size: rows whose activations are held at a time; need not divide B.

    Returns:
        0-d loss, detached. Gradients are added to `.grad`; clearing them and the optimizer's step
        are yours.

    Raises:
        RetrievalInputError: another number of inputs than of encoders, tensors of one input that
            differ in rows, a chunk size below 1, an encoder that does not return a row per row, a
            loss that is not 0-d, batch norm in training mode.

    Relations: the gradient is exact, at the price of one more forward pass. Step 3 draws the random
    numbers of step 1 again, so dropout agrees, and ends with the generators where a single pass
    leaves them. Averaging the losses of small batches (gradient accumulation) is another thing: it
    has fewer negatives. Accumulation with cached features that evaluates the loss for every one of
    K chunks gives the temperature K times its gradient. Across processes: a loss of `distributed`
    here, then `average_gradients`.

    Reference: Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited
    Setup".
    """
    _check(encoders, inputs)
    if not callable(loss_fn):
        raise RetrievalInputError(f"loss_fn must be a function of the embeddings, got {loss_fn!r}")
    chunk_size = check_count(chunk_size, "chunk_size")
    chunks = [_chunks(batch, chunk_size) for batch in inputs]
    embeddings, states = _embed_without_graph(encoders, chunks)
    with torch.enable_grad():
        loss = loss_fn(*embeddings)
        if not isinstance(loss, Tensor) or loss.ndim != 0:
            found = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise RetrievalInputError(f"loss_fn must return a 0-d tensor, got {found}")
        loss.backward()
    after = _RandomState(inputs)  # the loss may have drawn numbers too
    for encoder, parts, before, emb in zip(encoders, chunks, states, embeddings):
        if emb.grad is not None:
            _backward_by_chunk(encoder, parts, before, emb.grad.split(chunk_size))
    after.restore()
    return loss.detach()


@torch.no_grad()
def _embed_without_graph(
    encoders: Sequence[Callable], chunks: list[list[Batch]]
) -> tuple[list[Tensor], list[list[_RandomState]]]:
    """Step 1: leaves to take the gradient at, and the generators as they were before each chunk."""
    embeddings, states = [], []
    for encoder, parts in zip(encoders, chunks):
        before, embedded = [], []
        for part in parts:
            before.append(_RandomState(part))
            embedded.append(encoder(part))
            rows = len(_tensors(part)[0])
            check_tensor(embedded[-1], "what an encoder returns")
            if embedded[-1].ndim != 2 or len(embedded[-1]) != rows:
                found = tuple(embedded[-1].shape)
                raise RetrievalInputError(
                    f"an encoder must return (rows, d), got {found} for {rows} rows"
                )
        embeddings.append(torch.cat(embedded).requires_grad_())  # (B, d)
        states.append(before)
    # Older versions of torch keep weights that autocast rounded here, without their gradient, for
    # step 3.
    torch.clear_autocast_cache()
    return embeddings, states


@torch.enable_grad()
def _backward_by_chunk(
    encoder: Callable, parts: list[Batch], before: list[_RandomState], gradients: Sequence[Tensor]
) -> None:
    """Step 3: each chunk again, as it was, and its share of the gradient through it."""
    for part, state, gradient in zip(parts, before, gradients):
        state.restore()
        emb = encoder(part)
        if not emb.requires_grad:  # a frozen encoder
            return
        emb.backward(gradient)
