"""Which rows of LAION's metadata are worth a download: size, shape, safety, similarity,
language.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lib.core.checks import RetrievalInputError, check_choice, check_count

NSFW = ("UNLIKELY", "UNSURE", "NSFW")  # what the column of the upper-case releases says
# A label, the columns that are asked, and the question: true, false, or null where a column does
# not say.
Test = tuple[str, tuple[str, ...], Callable[..., pa.Array]]


@dataclass(frozen=True)
class Filters:
    """What a row must state to be kept; None asks nothing, and a row that does not state it is left
    out.

    Args:
        with_text: the text is there and is not blank.
        min_side: least of width and height, pixels.
        min_pixels: least width * height.
        max_aspect: most of longer side / shorter side, at least 1.
        nsfw: tags that are allowed, of UNLIKELY, UNSURE and NSFW.
        max_punsafe: most of the probability of an unsafe picture, 0 to 1.
        max_pwatermark: most of the probability of a watermark, 0 to 1.
        min_similarity: least cosine of picture and text, by the CLIP model of the release.
        languages: codes that are allowed, for example ("de", "fr").

    Raises:
        RetrievalInputError: a bound outside its range, an unknown tag, an empty list.

    Relations: `Scan` applies them in this order and counts what each takes away.
    """

    with_text: bool = True
    min_side: int | None = None
    min_pixels: int | None = None
    max_aspect: float | None = None
    nsfw: tuple[str, ...] | None = None
    max_punsafe: float | None = None
    max_pwatermark: float | None = None
    min_similarity: float | None = None
    languages: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("min_side", "min_pixels"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name)
        ranges = {
            "max_aspect": (1, math.inf),
            "max_punsafe": (0, 1),
            "max_pwatermark": (0, 1),
            "min_similarity": (-1, 1),
        }
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if value is not None and not (
                isinstance(value, int | float) and least <= value <= most
            ):
                raise RetrievalInputError(
                    f"{name} must be a number from {least} to {most}, got {value!r}"
                )
        for name in ("nsfw", "languages"):
            allowed = getattr(self, name)
            if allowed is not None and (isinstance(allowed, str) or not allowed):
                raise RetrievalInputError(
                    f"{name} must be a list of what is allowed, got {allowed!r}"
                )
        for tag in self.nsfw or ():
            check_choice(tag, NSFW, "nsfw tag")

    def tests(self) -> list[Test]:
        """What is asked of a row, in order."""
        found: list[Test] = []
        sides = ("width", "height")
        if self.with_text:
            found.append(("text is not blank", ("text",), _is_written))
        if self.min_side is not None:
            found.append(
                (f"shorter side >= {self.min_side}", sides, _least(_shorter, self.min_side))
            )
        if self.min_pixels is not None:
            found.append((f"pixels >= {self.min_pixels}", sides, _least(_pixels, self.min_pixels)))
        if self.max_aspect is not None:
            found.append(
                (f"longer / shorter side <= {self.max_aspect}", sides, _at_most(self.max_aspect))
            )
        if self.nsfw is not None:
            found.append((f"nsfw in {', '.join(self.nsfw)}", ("nsfw",), _one_of(self.nsfw)))
        for name in ("punsafe", "pwatermark"):
            most = getattr(self, f"max_{name}")
            if most is not None:
                # float32 as the column is: 0.9 in double is below the float32 that a file writes
                # for 0.9.
                found.append((f"{name} <= {most}", (name,), _up_to(pa.scalar(most, pa.float32()))))
        if self.min_similarity is not None:
            least = self.min_similarity
            found.append((f"similarity >= {least}", ("similarity",), _from(least)))
        if self.languages is not None:
            found.append(
                (f"language in {', '.join(self.languages)}", ("language",), _one_of(self.languages))
            )
        return found


def _is_written(text: pa.Array) -> pa.Array:
    return pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(text)), 0)


def _up_to(bound: pa.Scalar) -> Callable[[pa.Array], pa.Array]:
    return lambda column: pc.less_equal(column, bound)


def _from(bound: float) -> Callable[[pa.Array], pa.Array]:
    return lambda column: pc.greater_equal(column, bound)


def _shorter(width: pa.Array, height: pa.Array) -> pa.Array:
    return pc.min_element_wise(width, height, skip_nulls=False)


def _pixels(width: pa.Array, height: pa.Array) -> pa.Array:
    return pc.multiply(width.cast(pa.int64()), height.cast(pa.int64()))


def _least(measure: Callable[..., pa.Array], bound: int) -> Callable[..., pa.Array]:
    return lambda width, height: pc.greater_equal(measure(width, height), bound)


def _at_most(aspect: float) -> Callable[..., pa.Array]:
    def test(width: pa.Array, height: pa.Array) -> pa.Array:
        shorter, longer = (
            _shorter(width, height),
            pc.max_element_wise(width, height, skip_nulls=False),
        )
        # Multiplied, not divided: a side of 0 is no division by zero, and no shape either.
        fits = pc.less_equal(
            longer.cast(pa.float64()), pc.multiply(shorter.cast(pa.float64()), aspect)
        )
        return pc.and_(fits, pc.greater(shorter, 0))

    return test


def _one_of(allowed: tuple[str, ...]) -> Callable[[pa.Array], pa.Array]:
    values = pa.array(allowed, pa.string())
    # `is_in` answers false where nothing is stated; here that is another answer.
    return lambda column: pc.if_else(pc.is_valid(column), pc.is_in(column, value_set=values), None)
