"""Teaches nbval to compare a notebook's numbers as numbers; everything else it compares by itself.

A cell that shows `report.quality` or `report.sentence` stores its numbers under `METRICS_MIME`.
Such output is compared by that payload alone, within the tolerance stored in it; rendered text and
HTML are left aside. What `course.predict` and `course.reveal` show is compared by its text, as if
it had been printed. All other outputs of the cell go to nbval, which wants them equal. Of figures
only their number is compared, since pixels depend on the font renderer; what a figure shows is
checked by the sentence under it.
"""

import os
from pathlib import Path

from lib.report import METRICS_MIME, compare_payloads

ROOT = Path(__file__).parent
# nbval gives up on a cell that prints nothing for 5 s; on a busy machine that is too soon.
OUTPUT_TIMEOUT_S = 60


def pytest_configure(config):
    # Kernels start in the notebook's folder; this lets them import lib from a checkout that is not
    # installed.
    known = os.environ.get("PYTHONPATH", "")
    if str(ROOT) not in known.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), known]))
    if not config.pluginmanager.hasplugin("nbval"):
        return  # there are no notebooks to compare
    from nbval.plugin import IPyNbCell

    if not hasattr(IPyNbCell, "crossmodal_original"):
        IPyNbCell.crossmodal_original = IPyNbCell.compare_outputs
        IPyNbCell.compare_outputs = compare_outputs


def pytest_collectstart(collector):
    # Warnings of third parties name paths and process ids; the notebook policy sees that none are
    # stored.
    if hasattr(collector, "skip_compare"):
        collector.skip_compare = (*collector.skip_compare, "stderr")


def pytest_collection_modifyitems(items):
    for item in items:
        if hasattr(item, "output_timeout"):
            item.output_timeout = OUTPUT_TIMEOUT_S


def compare_outputs(cell, test, ref, skip_compare=None):
    """Replaces `IPyNbCell.compare_outputs`: payloads within tolerance, figures by number, the rest
    exactly.

    Args:
        cell: the nbval item; `comparison_traceback` receives what differs.
        test: outputs computed now.
        ref: outputs stored in the notebook.
        skip_compare: passed on.
    """
    differences = payload_differences(payloads(ref), payloads(test))
    if differences:
        cell.comparison_traceback = [
            "the numbers have moved further than their tolerance allows:",
            *differences,
        ]
        return False
    return cell.crossmodal_original(others(test), others(ref), skip_compare)


def payloads(outputs) -> list[dict]:
    """The payloads among a cell's outputs, in order."""
    return [
        output["data"][METRICS_MIME] for output in outputs if METRICS_MIME in output.get("data", {})
    ]


def payload_differences(stored: list[dict], now: list[dict]) -> list[str]:
    """Differences between the payloads of a cell, which must be as many as before."""
    if len(stored) != len(now):
        return [f"  stored {len(stored)} tables and sentences, now {len(now)}"]
    return [
        f"  {line}"
        for old, new in zip(stored, now, strict=True)
        for line in compare_payloads(old, new)
    ]


def others(outputs) -> list[dict]:
    """The outputs without payloads; a figure becomes a word, so that a lost or a new one is
    noticed, and a prediction becomes printed text.
    """
    # Imported late: the unit tests load this file too, and need none of it.
    from nbformat.v4 import new_output
    from nbval.plugin import coalesce_streams

    from lib.course.predictions import PREDICTION_MIME

    kept = []
    for output in outputs:
        data = output.get("data", {})
        if METRICS_MIME in data:
            continue
        if "image/png" in data:
            output = type(output)({**output, "data": {"text/plain": "a figure"}})
        if PREDICTION_MIME in data:
            output = new_output("stream", name="stdout", text=data["text/plain"] + "\n")
        kept.append(output)
    return coalesce_streams(kept)
