"""`crossmodal plan`: plan the machines of an index of billions of vectors."""

from typing import Annotated

from typer import Option

from lib.cli.output import print_rows, say


def plan(
    vectors: Annotated[str, Option(help="Number of vectors, such as 5.85e9.")] = "5.85e9",
    dim: Annotated[int, Option(help="Dimension of a vector.")] = 512,
    recall: Annotated[float, Option(help="Recall, compared with published figures.")] = 0.95,
    qps: Annotated[float, Option(help="Queries per second.")] = 1000.0,
    ram: Annotated[float, Option(help="Memory of a machine for the index, GB.")] = 192.0,
    cores: Annotated[int, Option(help="Cores of a machine.")] = 16,
    bandwidth: Annotated[float, Option(help="Memory bandwidth of a machine, GB/s.")] = 100.0,
    ssd: Annotated[float, Option(help="Disk of a machine for the index, TB.")] = 8.0,
    replicas: Annotated[int, Option(help="Copies of the index, each on its own machines.")] = 1,
    nprobe: Annotated[int, Option(help="Visited cells of an inverted file per query.")] = 64,
    checks: Annotated[
        bool, Option("--checks", help="Compare byte formulas with published sizes.")
    ] = False,
) -> None:
    """Plan an index of billions of vectors: bytes, work and machines for every family."""
    from lib.index.capacity.machines import Machine, plan_machines, published_sizes
    from lib.studies.ann import capacity_table

    if checks:
        rows = capacity_table.format_size_checks(published_sizes())
        print_rows(rows, "byte formulas and published sizes")
        return
    n = capacity_table.whole_number(vectors, "vectors")
    machine = Machine(ram_gb=ram, cores=cores, bandwidth_gb_s=bandwidth, ssd_tb=ssd)
    plans = plan_machines(
        n, dim, recall=recall, qps=qps, machine=machine, replicas=replicas, nprobe=nprobe
    )
    machines = f"machines of {ram:g} GB and {cores} cores"
    title = f"{n:,} vectors x {dim}, {qps:,g} queries a second, {machines}"
    print_rows(capacity_table.format_machine_plans(plans), title)
    for line in capacity_table.notes(plans):
        say(line)
