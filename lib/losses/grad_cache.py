"""Gradient caching: the loss sees a large batch, the encoders one chunk of it at a time."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import get_device_states, set_device_states

from lib.core.checks import RetrievalInputError, check_count
from lib.losses.inputs import check_tensor

EncoderInput = Tensor | Sequence["EncoderInput"] | Mapping[str, "EncoderInput"]
"""Input of an encoder: a tensor, or a list, tuple or dict of them, rows along the first axis."""


def grad_cache_step(
    encoders: Sequence[Callable[[EncoderInput], Tensor]],
    inputs: Sequence[EncoderInput],
    loss_fn: Callable[..., Tensor],
    *,
    chunk_size: int,
    scaler: torch.amp.GradScaler | None = None,
) -> Tensor:
    """Add the gradient of `loss_fn(*embeddings)` to `.grad`, with the activations of one chunk.

    With z = f(x) the embeddings of the whole batch:

        1. compute z without a graph, chunk by chunk
        2. compute g = dL/dz, once, over all z
        3. for each chunk C compute f(x_C) again, with a graph, and add d<f(x_C), g_C>/dtheta

    The gradient is exact, for one more forward pass. Step 3 draws the random numbers of step 1
    again, so dropout agrees. To average the losses of small batches is not the same: they have
    fewer negatives.

    Across processes use a loss of `lib.losses.distributed`. Encoders in DistributedDataParallel
    (anything with `no_sync`) exchange gradients in their last chunk only. For parameters outside of
    it, such as a temperature, call `average_gradients`.

    Args:
        encoders: called with a chunk of their input each; return (rows, d). The same one may come
            twice.
        inputs: one per encoder, on its device: a tensor with rows along its first axis, or a list,
            tuple or dict of them. Encoders may have different numbers of rows.
        loss_fn: called once with the embeddings, one (B, d) per encoder; returns a 0-d loss.
            Parameters inside it, such as a temperature, get their gradient here.
        chunk_size: rows in a chunk; need not divide B.
        scaler: multiplies the loss before the backward pass, for float16. Call its `step` and
            `update` afterwards, as always.

    Returns:
        0-d loss, detached and not scaled. Call the optimizer's step and clear gradients yourself.

    Reference: Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited
    Setup".
    """
    _check(encoders, inputs)
    if not callable(loss_fn):
        raise RetrievalInputError(f"loss_fn must be a function of the embeddings, got {loss_fn!r}")
    if isinstance(scaler, type) or not (scaler is None or hasattr(scaler, "scale")):
        raise RetrievalInputError(f"scaler must be a torch.amp.GradScaler or None, got {scaler!r}")
    chunk_size = check_count(chunk_size, "chunk_size")
    chunks = [_chunks(batch, chunk_size) for batch in inputs]
    embeddings, states = _embed_without_graph(encoders, chunks)
    with torch.enable_grad():
        loss = loss_fn(*embeddings)
        if not isinstance(loss, Tensor) or loss.ndim != 0:
            got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise RetrievalInputError(f"loss_fn must return a 0-d tensor, got {got}")
        if not loss.requires_grad:
            raise RetrievalInputError(
                "loss_fn must return a loss with a gradient: compute it from the embeddings,"
                " without detach, numpy or inference mode"
            )
        (loss if scaler is None else scaler.scale(loss)).backward()
    after = _RandomState(inputs)  # the loss may have drawn numbers too
    with_gradient = [i for i, emb in enumerate(embeddings) if emb.grad is not None]
    for i in with_gradient:
        # An encoder that comes again exchanges its gradients then.
        comes_again = any(
            _module(encoders[j]) is _module(encoders[i]) for j in with_gradient if j > i
        )
        gradients = embeddings[i].grad.split(chunk_size)
        _backward_by_chunk(encoders[i], chunks[i], states[i], gradients, sync=not comes_again)
    after.restore()
    return loss.detach()


@torch.no_grad()
def _embed_without_graph(
    encoders: Sequence[Callable], chunks: list[list[EncoderInput]]
) -> tuple[list[Tensor], list[list["_RandomState"]]]:
    """Compute step 1: leaves for the gradient, and the random state before each chunk."""
    embeddings, states = [], []
    for encoder, parts in zip(encoders, chunks):
        before, embedded = [], []
        for part in parts:
            before.append(_RandomState(part))
            embedded.append(encoder(part))
            rows = len(_tensors(part)[0])
            check_tensor(embedded[-1], "the output of an encoder")
            if embedded[-1].ndim != 2 or len(embedded[-1]) != rows:
                raise RetrievalInputError(
                    f"an encoder must return (rows, d), got {tuple(embedded[-1].shape)} for {rows}"
                    " rows"
                )
            if embedded[-1].shape[1] != embedded[0].shape[1]:
                raise RetrievalInputError(
                    f"an encoder must return one dimension for all chunks, got"
                    f" {embedded[0].shape[1]} and {embedded[-1].shape[1]}; pad to a fixed length"
                )
        embeddings.append(torch.cat(embedded).requires_grad_())  # (B, d)
        states.append(before)
    # Older versions of torch would use the rounded weights of this pass in step 3, without their
    # gradient.
    torch.clear_autocast_cache()
    return embeddings, states


@torch.enable_grad()
def _backward_by_chunk(
    encoder: Callable,
    parts: list[EncoderInput],
    before: list["_RandomState"],
    gradients: Sequence[Tensor],
    *,
    sync: bool,
) -> None:
    """Compute step 3: each chunk again, and its share of the gradient."""
    no_sync = getattr(_module(encoder), "no_sync", nullcontext)
    for number, (part, state, gradient) in enumerate(zip(parts, before, gradients), start=1):
        state.restore()
        with nullcontext() if sync and number == len(parts) else no_sync():
            emb = encoder(part)
            if not emb.requires_grad:  # a frozen encoder
                return
            emb.backward(gradient)


class _RandomState:
    """Random generators of the CPU and of the devices of some tensors, as they are now."""

    def __init__(self, batch: EncoderInput) -> None:
        tensors = _tensors(batch)
        self.cpu = torch.get_rng_state()
        self.devices = get_device_states(*tensors)
        # Named, because torch's default can be changed by any other code of the process.
        self.device_type = next((x.device.type for x in tensors if x.device.type != "cpu"), "cpu")

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.device_type != "cpu":
            set_device_states(*self.devices, device_type=self.device_type)


def _tensors(batch: EncoderInput) -> list[Tensor]:
    if isinstance(batch, Tensor):
        return [batch]
    if not isinstance(batch, Mapping | list | tuple):
        raise RetrievalInputError(
            f"inputs must be tensors, or lists, tuples or dicts of them, got {batch!r}"
        )
    parts = batch.values() if isinstance(batch, Mapping) else batch
    return [tensor for part in parts for tensor in _tensors(part)]


def _rows(batch: EncoderInput, rows: slice) -> EncoderInput:
    if isinstance(batch, Tensor):
        return batch[rows]
    if isinstance(batch, Mapping):
        return {name: _rows(part, rows) for name, part in batch.items()}
    parts = [_rows(part, rows) for part in batch]
    return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)  # named tuple


def _chunks(batch: EncoderInput, chunk_size: int) -> list[EncoderInput]:
    lengths = {len(tensor) if tensor.ndim else 0 for tensor in _tensors(batch)}
    if len(lengths) != 1 or 0 in lengths:
        shapes = [tuple(tensor.shape) for tensor in _tensors(batch)]
        raise RetrievalInputError(
            f"tensors of one input need the same number of rows, at least 1; got {shapes}"
        )
    return [_rows(batch, slice(i, i + chunk_size)) for i in range(0, lengths.pop(), chunk_size)]


def _module(encoder: Callable) -> object:
    """Get the module of a bound method, such as model.encode_text; else the encoder itself."""
    return getattr(encoder, "__self__", encoder)


def _check(encoders: Sequence[Callable], inputs: Sequence[EncoderInput]) -> None:
    if not (isinstance(encoders, list | tuple) and isinstance(inputs, list | tuple)):
        raise RetrievalInputError(
            "encoders and inputs must be lists or tuples, one input each, got"
            f" {type(encoders).__name__} and {type(inputs).__name__}"
        )
    if len(encoders) != len(inputs) or not encoders:
        raise RetrievalInputError(
            f"{len(encoders)} encoders need as many inputs, got {len(inputs)}"
        )
    for encoder in encoders:
        if not callable(encoder):
            raise RetrievalInputError(f"encoders must be functions or modules, got {encoder!r}")
        module = _module(encoder)
        for name, part in module.named_modules() if isinstance(module, nn.Module) else ():
            if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training:
                raise RetrievalInputError(
                    f"batch norm {name!r} is in training mode: it would normalise by chunk, and"
                    " count each twice. Put it in eval mode, or use a norm within rows"
                )
