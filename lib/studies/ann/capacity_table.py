"""Format the machine plan for billions of vectors as a table with notes."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from lib.core.checks import RetrievalInputError, check_count
from lib.index.capacity.building import BuildPlan, encode_hours
from lib.index.capacity.machines import MachinePlan, SizeCheck, published_sizes

BYTES = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
MONTH = 730  # hours
FLOP = ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP")


def whole_number(text: str, name: str) -> int:
    """Parse a large whole number: "5850000000", "5_850_000_000" or "5.85e9"."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    # The exponent is checked before the conversion: the digits of 1e999999999 fill the memory.
    if not value.is_finite() or value.adjusted() > 18 or value != value.to_integral_value():
        raise RetrievalInputError(
            f"{name} must be a whole number up to 1e18, such as 1000000 or 5.85e9, got {text!r:.40}"
        )
    return check_count(int(value), name)


def format_machine_plans(plans: Sequence[MachinePlan]) -> list[dict[str, str]]:
    """Format plans as rows of text, one per index option."""
    return [
        {
            "option": plan.option.name,
            "RAM": bytes_text(plan.option.ram_bytes),
            "SSD": bytes_text(plan.option.ssd) if plan.option.ssd else "-",
            "RAM read a query": bytes_text(plan.option.bytes_touched),
            "SSD reads": f"{plan.option.ssd_reads:,.0f}" if plan.option.ssd_reads else "-",
            "training": flop_text(plan.option.training_flop),
            "machines": f"{plan.machines:,}",
            "binds": plan.binds,
            "published recall": recall_text(plan),
        }
        for plan in plans
    ]


def format_build_plans(
    plans: Sequence[MachinePlan], builds: Sequence[BuildPlan], machines: int, price: float
) -> list[dict[str, str]]:
    """Format what it takes to build and to serve each option, one row of text each.

    Args:
        plans: for serving.
        builds: of the same options.
        machines: that share the building.
        price: of a machine hour.
    """
    return [
        {
            "option": plan.option.name,
            "train, h of 1 machine": hours_text(build.train_hours),
            "add, machine h": hours_text(build.add_hours),
            f"hours on {machines:,}": hours_text(build.hours_on(machines)),
            "cost of building": _cost_text(build.machine_hours, price),
            "machines to serve": f"{plan.machines:,}",
            "cost of serving a month": _cost_text(MONTH * plan.machines, price),
        }
        for plan, build in zip(plans, builds, strict=True)
    ]


def encoding_sentence(n: int, rate: float, machines: int, price: float) -> str:
    """Say what the encoding of n pictures takes, at `rate` a second and machine."""
    hours = encode_hours(n, rate)
    return (
        f"Encoding of {n:,} pictures at {rate:,.0f} a second and machine: {hours_text(hours)}"
        f" machine hours, {hours_text(hours / machines)} hours on {machines:,} machines, cost"
        f" {_cost_text(hours, price)}."
    )


def hours_text(hours: float | None) -> str:
    """Format hours with two digits at least; a dash for none, words where it is not known."""
    if hours is None:
        return "not measured"
    if hours == 0:
        return "-"
    return f"{hours:,.0f}" if hours >= 9.5 else f"{hours:.2g}"


def _cost_text(hours: float | None, price: float) -> str:
    return hours_text(None if hours is None else hours * price)


def recall_text(plan: MachinePlan) -> str:
    """Format published recall like the base / on text queries, with a verdict on the target."""
    known = plan.evidence
    if known is None:
        return "unknown"
    recalls = (known.recall, known.text_recall)
    figures = " / ".join("?" if value is None else f"{value:g}" for value in recalls)
    words = {True: "enough", False: "too little", None: "not shown"}
    verdicts = {kind: words[shown] for kind, shown in plan.shown.items()}
    if len(set(verdicts.values())) > 1:
        return ", ".join([figures, *(f"{text} for {kind}" for kind, text in verdicts.items())])
    return figures if plan.reaches is None else f"{figures}, {verdicts['texts']}"


def notes(plans: Sequence[MachinePlan]) -> list[str]:
    """List the assumptions of the table and what is not known, a sentence each."""
    checks = published_sizes()
    to_the_byte = [abs(check.ratio - 1) for check in checks if not check.rounded]
    rounded = [abs(check.ratio - 1) for check in checks if check.rounded]
    names_by_assumption: dict[str, list[str]] = {}
    for plan in plans:
        if plan.option.assumes:
            names_by_assumption.setdefault(plan.option.assumes, []).append(plan.option.name)
    quoted = {plan.evidence for plan in plans if plan.evidence and plan.evidence.source}
    return [
        (
            f"Bytes: formulas. {len(to_the_byte)} sizes of up to 1e9 vectors, published to the"
            f" byte, are met within {max(to_the_byte):.2%}; {len(rounded)} round ones of up to"
            f" 5.85e9 within {max(rounded):.1%}."
        ),
        "Work: queries one by one, with",
        *(f"  {text}: {'; '.join(names)}" for text, names in names_by_assumption.items()),
        (
            "Recall: queries like the base / text queries over images, as published for other"
            " vectors. It is not predicted for yours: measure it on a sample of your own queries,"
            " and text queries apart."
        ),
        *sorted(
            f"  {e.kind}, {e.recall or e.text_recall:g}: {e.measure}, {e.n:.0e} vectors;"
            f" {e.conditions}. {e.source}"
            for e in quoted
        ),
        "Not known: latency, the network between shards, and what updates cost.",
    ]


def format_size_checks(checks: Sequence[SizeCheck]) -> list[dict[str, str]]:
    """Format the byte formulas beside published sizes."""
    return [
        {
            "index": check.index,
            "formula": bytes_text(check.formula),
            "published": bytes_text(check.published),
            "formula / published": f"{check.ratio:.4f}",
            "source": check.source,
        }
        for check in checks
    ]


def bytes_text(value: float) -> str:
    """Format bytes in decimal units with three digits: `12.0 TB`."""
    return _with_unit(value, BYTES)


def flop_text(value: float) -> str:
    """Format operations, `721 PFLOP`; a dash for none."""
    return _with_unit(value, FLOP) if value else "-"


def _with_unit(value: float, units: Sequence[str]) -> str:
    power = 0
    while value >= 999.5 and power < len(units) - 1:
        value, power = value / 1000, power + 1
    digits = 0 if power == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {units[power]}"
