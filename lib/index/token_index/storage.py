"""How an index keeps token vectors: as they are, as int8, or as residuals of their centroids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from lib.core.checks import RetrievalInputError, check_number
from lib.core.token_vectors import round_to_int8
from lib.index.token_index.residual_codec import Codes, ResidualCodec, packed_bytes


class TokenStorage(Protocol):
    """What every storage does; `nearest` are the centroids of tokens, which the index keeps in any
    case.
    """

    dtype: ClassVar[np.dtype]  # of what `encode` makes

    @classmethod
    def train(
        cls, given: np.ndarray, rows: np.ndarray, centroids: np.ndarray, bits: int
    ) -> TokenStorage:
        """From a sample of tokens as given and as unit rows, both `(n, d)`, and from centroids `(k,
        d)`.
        """

    def encode(self, given: np.ndarray, rows: np.ndarray, nearest: np.ndarray) -> np.ndarray:
        """What is kept of tokens, `(n, ...)`."""

    def decode(self, kept: np.ndarray, nearest: np.ndarray) -> np.ndarray:
        """Tokens `(n, d)` again, float32 or int8."""

    def token_bytes(self, dim: int) -> int:
        """Bytes that `encode` makes of one token."""

    def state(self) -> dict[str, np.ndarray]:
        """The arrays that make the same storage again; centroids are given beside them."""

    @classmethod
    def restore(cls, state: dict[str, np.ndarray], centroids: np.ndarray) -> TokenStorage:
        """The storage of which `state` was taken."""


class Float32Storage:
    """Unit vectors, 4 d bytes each."""

    dtype = np.dtype(np.float32)

    @classmethod
    def train(cls, given, rows, centroids, bits) -> Float32Storage:
        return cls()

    def encode(self, given, rows, nearest) -> np.ndarray:
        return rows

    def decode(self, kept, nearest) -> np.ndarray:
        return kept

    def token_bytes(self, dim: int) -> int:
        return 4 * dim

    def state(self) -> dict[str, np.ndarray]:
        return {}

    @classmethod
    def restore(cls, state, centroids) -> Float32Storage:
        return cls()


@dataclass(frozen=True)
class Int8Storage:
    """Whole numbers from -127 to 127 with one scale for all tokens, d bytes each.

    Args:
        largest: coordinate of a unit vector that becomes 127; 0 where tokens came as int8 and stay
            as they are. The two cannot be mixed: their scores would not compare.
    """

    largest: float
    dtype: ClassVar = np.dtype(np.int8)

    def __post_init__(self) -> None:
        check_number(self.largest, "largest", 0)

    @classmethod
    def train(cls, given, rows, centroids, bits) -> Int8Storage:
        return cls(0.0 if given.dtype == np.int8 else float(np.abs(rows).max()))

    def encode(self, given, rows, nearest) -> np.ndarray:
        if (given.dtype == np.int8) != (self.largest == 0):
            kinds = ("int8", "float32") if self.largest == 0 else ("float32", "int8")
            raise RetrievalInputError(
                f"the index was trained on {kinds[0]} tokens, these are {kinds[1]}; their scores"
                " would not compare. Convert one of them, or use two indexes"
            )
        return given if self.largest == 0 else round_to_int8(rows, self.largest)

    def decode(self, kept, nearest) -> np.ndarray:
        return kept

    def token_bytes(self, dim: int) -> int:
        return dim

    def state(self) -> dict[str, np.ndarray]:
        return {"largest": np.array(self.largest)}

    @classmethod
    def restore(cls, state, centroids) -> Int8Storage:
        return cls(state["largest"].tolist())


@dataclass(frozen=True)
class ResidualStorage:
    """What `ResidualCodec` keeps besides the number of the centroid: ceil(d bits / 8) bytes
    each.
    """

    codec: ResidualCodec
    dtype: ClassVar = np.dtype(np.uint8)

    @classmethod
    def train(cls, given, rows, centroids, bits) -> ResidualStorage:
        return cls(ResidualCodec.around(centroids, rows, bits))

    def encode(self, given, rows, nearest) -> np.ndarray:
        return self.codec.encode_residuals(rows, nearest)

    def decode(self, kept, nearest) -> np.ndarray:
        return self.codec.decode(Codes(nearest, kept))

    def token_bytes(self, dim: int) -> int:
        return packed_bytes(dim, self.codec.bits)

    def state(self) -> dict[str, np.ndarray]:
        return {"cutoffs": self.codec.cutoffs, "values": self.codec.values}

    @classmethod
    def restore(cls, state, centroids) -> ResidualStorage:
        codec = ResidualCodec(centroids, state["cutoffs"], state["values"])
        if codec.bits != state["bits"]:
            raise RetrievalInputError(
                f"bits is {state['bits']}, but there are {2**codec.bits} buckets"
            )
        return cls(codec)


STORAGES: dict[str, type[TokenStorage]] = {
    "float32": Float32Storage,
    "int8": Int8Storage,
    "residual": ResidualStorage,
}
