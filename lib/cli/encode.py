"""`crossmodal encode`: encode images and captions of shards."""

from pathlib import Path
from typing import Annotated

from typer import Option

from lib.cli.options import BatchSize, Device, Precision, Pretrained, Prompt
from lib.cli.output import counted, progress_bar, say
from lib.core.checks import RetrievalInputError


def encode(
    shards: Annotated[Path, Option(help="Folder with 00000.tar, ... as img2dataset writes them.")],
    out: Annotated[Path, Option(help="Folder of the embeddings; a second run continues.")],
    model: Annotated[str, Option(help="An architecture of open_clip, scenes, or icons.")],
    pretrained: Pretrained = None,
    precision: Precision = "fp32",
    device: Device = "cpu",
    prompt: Prompt = "",
    batch_size: BatchSize = 64,
    images_only: Annotated[
        bool, Option("--images-only", help="Encode all images, with or without a caption, alone.")
    ] = False,
) -> None:
    """Encode images and captions of shards; report unreadable samples, skip finished shards."""
    from lib.datasets.laion.shards import shard_paths
    from lib.models.encoder import load_encoder
    from lib.search.shard_encoding import encode_shards

    paths = shard_paths(shards)
    settings = {"precision": precision, "device": device, "prompt": prompt}
    encoder = load_encoder(model, pretrained, batch_size=batch_size, **settings)
    with progress_bar() as bar:
        row, shards_done = bar.add_task("samples", total=None), counted(bar, "shards")
        options = {"progress": lambda n: bar.advance(row, n), "shards_done": shards_done}
        options["images_only"] = images_only
        report = encode_shards(encoder, paths, out, batch_size=batch_size, log=say, **options)
    say(report.describe())
    if not report.rows:
        readable = "image" if images_only else "image with a caption"
        advice = ""
        if report.without_caption:
            advice = f". {report.without_caption:,} samples have no caption: --images-only encodes"
            advice += " their images alone"
        raise RetrievalInputError(
            f"nothing was encoded: {shards} holds no readable {readable}; the reasons are in"
            f" {out}{advice}"
        )
    if report.without_caption:
        say(
            f"{report.without_caption:,} samples have no caption and were left out; --images-only"
            " encodes all images"
        )
    if encoder.truncated:
        say(f"{encoder.truncated:,} captions are too long for the model: their ends were cut")
