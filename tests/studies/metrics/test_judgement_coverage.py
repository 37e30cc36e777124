"""The coverage of COCO's judgements, counted from the pairs."""

import pytest

from lib.datasets import coco_judgements
from lib.studies.metrics.judgement_coverage import coverage_rows


def test_coverage_is_counted_from_the_pairs():
    pytest.importorskip("eccv_caption")
    found = coverage_rows(coco_judgements.load_judgements())
    rows = {(row["judgements"], row["direction"]): row for row in found}
    # 6,296 of 22,548 findable pairs, 8,905 of them by CxC; 1,332 and 1,895 of 11,279.
    assert rows["original", "image_to_text"]["known"] == pytest.approx(6296 / 22548)
    assert rows["cxc", "image_to_text"]["known"] == pytest.approx(8905 / 22548)
    assert rows["original", "text_to_image"]["known"] == pytest.approx(1332 / 11279)
    assert rows["cxc", "text_to_image"]["known"] == pytest.approx(1895 / 11279)
    confirmed = rows["eccv", "text_to_image"]
    assert confirmed["known"] == 1 and confirmed["readme"] is None
    assert rows["original", "image_to_text"]["positives"] == 5
