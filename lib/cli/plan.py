"""`crossmodal plan`: plan the machines of an index of billions of vectors."""

from typing import Annotated

from typer import Option

from lib.cli.output import print_rows, say
from lib.core.checks import check_count, check_number

SIZES = ("1e8", "5.85e9")  # of a large collection, and of LAION-5B
LEAST, MOST = 1e-18, 1e18


def plan(
    vectors: Annotated[
        list[str] | None,
        Option(help="Number of vectors, such as 5.85e9; repeat for more. 1e8 and 5.85e9 without."),
    ] = None,
    dim: Annotated[int, Option(help="Dimension of a vector.")] = 512,
    recall: Annotated[float, Option(help="Recall, compared with published figures.")] = 0.95,
    qps: Annotated[float, Option(help="Queries per second.")] = 1000.0,
    ram: Annotated[float, Option(help="Memory of a machine for the index, GB.")] = 192.0,
    cores: Annotated[int, Option(help="Cores of a machine.")] = 16,
    bandwidth: Annotated[float, Option(help="Memory bandwidth of a machine, GB/s.")] = 100.0,
    ssd: Annotated[float, Option(help="Disk of a machine for the index, TB.")] = 8.0,
    replicas: Annotated[int, Option(help="Copies of the index, each on its own machines.")] = 1,
    nprobe: Annotated[int, Option(help="Visited cells of an inverted file per query.")] = 64,
    builders: Annotated[int, Option(help="Machines that encode and build.")] = 10,
    encode_rate: Annotated[
        float | None,
        Option(help="Pictures that a machine encodes a second; without it, the measured rate."),
    ] = None,
    price: Annotated[float, Option(help="Price of a machine hour, in any currency.")] = 1.0,
    checks: Annotated[
        bool, Option("--checks", help="Compare byte formulas with published sizes.")
    ] = False,
) -> None:
    """Plan an index of billions of vectors: bytes, machines, hours and cost for every family."""
    from lib.index.capacity.building import plan_building
    from lib.index.capacity.machines import Machine, plan_machines, published_sizes
    from lib.studies.ann import capacity_table

    if checks:
        rows = capacity_table.format_size_checks(published_sizes())
        print_rows(rows, "byte formulas and published sizes")
        return
    sizes = [capacity_table.whole_number(text, "--vectors") for text in vectors or SIZES]
    whole = {"--dim": dim, "--cores": cores, "--replicas": replicas, "--nprobe": nprobe}
    for name, value in {**whole, "--builders": builders}.items():
        check_count(value, name)
    check_number(recall, "--recall", 0, 1, above=True)
    given = {"--qps": qps, "--ram": ram, "--bandwidth": bandwidth, "--ssd": ssd, "--price": price}
    given |= {} if encode_rate is None else {"--encode-rate": encode_rate}
    for name, value in given.items():
        check_number(value, name, LEAST, MOST)
    from lib.studies import encode_rate as measured
    from lib.studies.ann.build_rates import measured_rates, rate_notes

    machine = Machine(ram_gb=ram, cores=cores, bandwidth_gb_s=bandwidth, ssd_tb=ssd)
    rates, core = measured_rates(), measured.measured_rate()
    rate = core["pictures_per_s"] * cores if encode_rate is None else encode_rate
    machines = f"machines of {ram:g} GB and {cores} cores"
    for n in sizes:
        plans = plan_machines(
            n, dim, recall=recall, qps=qps, machine=machine, replicas=replicas, nprobe=nprobe
        )
        title = f"{n:,} vectors x {dim}, {qps:,g} queries a second, {machines}"
        print_rows(capacity_table.format_machine_plans(plans), title)
        builds = [plan_building(one.option, n, dim, rates, machine) for one in plans]
        rows = capacity_table.format_build_plans(plans, builds, builders, price)
        print_rows(
            rows, f"{n:,} vectors x {dim}: to build on {builders:,} {machines}, and to serve"
        )
        say(capacity_table.encoding_sentence(n, rate, builders, price))
    for line in capacity_table.notes(plans):
        say(line)
    if encode_rate is None:
        say(f"Encoding: measured, {measured.rate_note(core)}. For another model: --encode-rate.")
    say(f"Cost: {price:g} for each machine hour (--price); a month has 730.")
    for line in rate_notes(rates):
        say(line)
