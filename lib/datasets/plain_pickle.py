"""Read a pickle that holds plain data only: dicts, lists, tuples, texts and numbers."""

import io
import pickle
from pathlib import Path

from lib.core.reading import MissingFileError, reading

ADVICE = (
    "Fetch it again from the source; where you trust the file, save its content as JSON yourself"
)


def _refuse_bytearray(unpickler) -> None:
    raise pickle.UnpicklingError("it holds a bytearray")


# The unpickler in C reserves memory for any position that a file names, so that seven bytes can
# ask for 64 GB. The one in Python keeps a dict, and has the same hooks.
class _PlainUnpickler(pickle._Unpickler):
    """Unpickler that looks up no class and no function, so that no code of a file can run."""

    # A bytearray is filled with zeros before its bytes are read, whatever length the file names.
    dispatch = pickle._Unpickler.dispatch | {pickle.BYTEARRAY8[0]: _refuse_bytearray}

    def find_class(self, module: str, name: str):
        raise pickle.UnpicklingError(
            f"it asks for {module}.{name}, and this reader runs no code of a file"
        )


def read_plain_pickle(path: str | Path):
    """Read a pickle of plain data; anything that would need a class or a function is refused.

    Texts that Python 2 wrote are read as UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} is missing")
    with reading(path, "no pickle of plain data", ADVICE):
        return _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="utf-8").load()
