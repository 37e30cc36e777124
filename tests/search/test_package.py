"""The package of retrievers: its names, and what they do not import."""

import subprocess
import sys

import pytest

import lib.search


def test_every_name_is_that_of_its_module():
    assert len(lib.search.__all__) > 30
    for name in lib.search.__all__:
        value = getattr(lib.search, name)
        assert getattr(value, "__name__", name) == name


def test_no_module_hides_a_name():
    """A module that is imported becomes an attribute of its package, and would win."""
    modules = {module.rpartition(".")[2] for module in lib.search._NAMES}
    assert not modules & set(lib.search.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'lib.search' has no attribute 'Retrieve'"):
        lib.search.Retrieve  # noqa: B018


def test_it_is_imported_without_torch_and_faiss():
    code = "import sys, lib.search.base; print({'torch', 'faiss'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr[-500:]
