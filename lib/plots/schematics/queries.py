"""Queries: the sum of a text, a picture and what is avoided, as arrows on a circle."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError, check_number
from lib.plots.schematics.canvas import (
    BIG,
    INK,
    NORMAL,
    WIDTH,
    arrow,
    colour_of,
    described,
    new_canvas,
    write,
)
from lib.plots.style import styled

TALL, RADIUS = 4.4, 1.6  # inches of a panel, and of length 1
AWAY = 0.5  # weight of what is avoided


@styled
def query_sum(text: float, picture: float, avoided: float, weight: float = 0.5) -> Figure:
    """Draw two queries in the plane: text and picture together, and a text without another.

        q = (1 - w) t + w p,   q = t - 0.5 u,   each brought to length 1

    Args:
        text, picture, avoided: directions in degrees.
        weight: of the picture, from 0 to 1.
    """
    weight = check_number(weight, "weight", 0, 1)
    parts = {"t": _direction(text), "p": _direction(picture), "u": _direction(avoided)}
    both = _unit((1 - weight) * parts["t"] + weight * parts["p"])
    without = _unit(parts["t"] - AWAY * parts["u"])
    figure, ax = new_canvas(TALL)
    rest = f"{1 - weight:g} text + {weight:g} picture"
    _draw_panel(ax, WIDTH / 4, {"t": "text", "p": "image"}, parts, both, rest)
    _draw_panel(
        ax, 3 * WIDTH / 4, {"t": "text", "u": "wrong"}, parts, without, "text - 0.5 avoided"
    )
    toward, away = (_turn(parts["t"], query) for query in (both, without))
    return described(
        figure,
        f"Two queries as arrows on a circle. The sum of text and picture lies {toward:.0f} degrees"
        f" from the text, towards the picture. The text without another text lies {away:.0f}"
        " degrees from it, on the far side of what is avoided.",
    )


def _direction(degrees: float) -> np.ndarray:
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.hypot(*vector))
    if length < 1e-9:
        raise RetrievalInputError("the parts must not cancel out; give other directions")
    return vector / length


def _turn(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(one @ other, -1, 1))))


def _draw_panel(
    ax: Axes, x: float, roles: dict[str, str], parts: dict[str, np.ndarray], query: np.ndarray,
    title: str,
) -> None:  # fmt: skip
    centre = np.array([x, TALL / 2 - 0.35])
    ax.add_patch(plt.Circle(centre, RADIUS, fill=False, ec="0.75", lw=1.5, ls="--"))
    names = {"t": "text", "p": "picture", "u": "avoided"}
    for name, role in roles.items():
        arrow(ax, centre, centre + RADIUS * parts[name], role)
        _name(ax, centre, parts[name], names[name], role)
    arrow(ax, centre, centre + RADIUS * query, "score", width=4.5)
    _name(ax, centre, query, "query", "score")
    ax.plot(*centre, marker="o", ms=6, color=INK, ls="")
    write(ax, x, TALL - 0.25, title, BIG, weight="bold")


def _name(ax: Axes, centre: np.ndarray, direction: np.ndarray, name: str, role: str) -> None:
    """Write a name beyond the end of an arrow."""
    side = "center" if abs(direction[0]) < 0.5 else "left" if direction[0] > 0 else "right"
    place = centre + (RADIUS + (0.25 if side == "center" else 0.14)) * direction
    write(ax, *place, name, NORMAL, ha=side, color=colour_of(role), weight="bold")
