"""Packages of the databases, which are extras."""

import importlib
import importlib.util
from types import ModuleType

from lib.core.checks import RetrievalInputError


def require(module: str, extra: str, address: str) -> ModuleType:
    """Import the package of a database; the error says how to install it."""
    if importlib.util.find_spec(module) is None:
        raise RetrievalInputError(
            f"{address} needs the package {module}. Run: pip install"
            f" 'crossmodal-retrieval[{extra}]'. A collection itself needs no database"
        )
    return importlib.import_module(module)
