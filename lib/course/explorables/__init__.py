"""Interactive figures that run in a notebook and in its HTML page, without a server or a network.

    course.explore("temperature")    what the losses do to pairs of points of a circle
    course.explore("margin")         the margin of a triplet on the sphere
    course.explore("nprobe")         the cells of an inverted file
    course.explore("hyperplanes")    the bits of a query, and its bucket in hash tables
    course.explore("hnsw")           a walk through an HNSW, step by step
    course.explore("metrics")        a ranking that can be rearranged
    course.explore("maxsim")         the words of a caption and the patches of images

A function of `pieces` computes what a figure starts from with the library; a module `NAME.js`
computes all that follows from a reader's input. `tests/course/explorables` holds the two equal.
"""

import importlib
import inspect

from lib.core.checks import check_choice
from lib.course.explorables.page import frame
from lib.report import Shown

PIECES = ("temperature", "margin", "nprobe", "hyperplanes", "hnsw", "metrics", "maxsim")


def explore(name: str, **given) -> Shown:
    """Make an interactive figure; as the last line of a cell it is shown.

    Readers without scripts, and the tests, get a checked sentence about its start.

    Args:
        name: one of `PIECES`.
        **given: what the figure starts from, arguments of the function of that name in `pieces`;
            each has an example as its default.
    """
    pieces = importlib.import_module("lib.course.explorables.pieces")  # imports torch and faiss
    prepare = getattr(pieces, check_choice(name, PIECES, "name"))
    for argument in given:
        check_choice(argument, inspect.signature(prepare).parameters, f"an argument of {name!r}")
    data, sentence = prepare(**given)
    return Shown(sentence, sentence.text, frame(name, data, sentence.text))
