"""What tests of several corpora share."""

import pytest

from lib.datasets.registry import CORPORA


@pytest.fixture(scope="session")
def coco_miniature(tmp_path_factory):
    """The miniature of COCO, written once; whoever changes it takes a copy."""
    root = tmp_path_factory.mktemp("coco") / "root"
    CORPORA["coco"].write_miniature(root)
    return root
