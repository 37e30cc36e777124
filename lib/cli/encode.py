"""`crossmodal encode` and `crossmodal bench shards`: pictures by the shard."""

from pathlib import Path
from typing import Annotated

import typer

from lib.cli.bench import bench
from lib.cli.output import console, counted, print_rows, progress_bar, say
from lib.core.checks import RetrievalInputError


def encode(
    shards: Annotated[
        Path, typer.Option(help="Folder with 00000.tar, ... as img2dataset writes them.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for embeddings; goes on where it stopped.")],
    model: Annotated[str, typer.Option(help="An architecture of open_clip, scenes, or icons.")],
    pretrained: Annotated[
        str | None, typer.Option(help="A tag of open_clip, or a checkpoint.")
    ] = None,
    precision: Annotated[str, typer.Option(help="fp32, bf16, or fp16 on a GPU.")] = "fp32",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    prompt: Annotated[str, typer.Option(help='Around every caption: "a photo of {}".')] = "",
    batch_size: Annotated[int, typer.Option(help="Pictures held and encoded together.")] = 64,
) -> None:
    """Embeds pictures and captions of shards; says what could not be read, repeats no finished
    shard.
    """
    from lib.datasets.laion.shards import shard_paths
    from lib.models.encoder import load_encoder
    from lib.search.shard_encoding import encode_shards

    paths = shard_paths(shards)
    settings = {
        "precision": precision,
        "device": device,
        "prompt": prompt,
        "batch_size": batch_size,
    }
    encoder = load_encoder(model, pretrained, **settings)
    with progress_bar() as bar:
        row, shards_done = bar.add_task("samples", total=None), counted(bar, "shards")
        report = encode_shards(
            encoder,
            paths,
            out,
            batch_size=batch_size,
            progress=lambda n: bar.advance(row, n),
            shards_done=shards_done,
            log=say,
        )
    say(report.describe())
    if not report.rows:
        raise RetrievalInputError(
            f"nothing was encoded: {shards} holds no readable picture with a caption; {out}"
            " says why"
        )
    if encoder.truncated:
        say(f"{encoder.truncated:,} captions are longer than the model reads: their ends were cut")


@bench.command("shards")
def bench_shards(
    shards: Annotated[int, typer.Option(help="How many; the one in the middle is cut.")] = 10,
    pictures: Annotated[int, typer.Option(help="In each.")] = 1_000,
) -> None:
    """Shards streamed through the scenes model: pictures a second and peak memory."""
    from lib.studies.peers import shard_throughput
    from lib.studies.peers.harness import format_costs

    with console.status("") as status:
        rows = shard_throughput.shard_throughput_table(shards, pictures, progress=status.update)
    print_rows(
        format_costs(rows, shard_throughput.SHOWN),
        "shards of 64 x 64 JPEGs, model scenes, one thread, processor time",
    )
