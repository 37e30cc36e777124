"""The wrong functions are wrong in the way they are meant to be, and right where nobody would
notice.
"""

import numpy as np
import pytest
import torch

from lib.course import wrong_code
from lib.losses import infonce_of_logits
from lib.models.maxsim import late_interaction_logits, maxsim

QUERY = np.array([[1.0, 0.0], [0.0, 1.0]])
PADDED = np.array([[-0.6, 0.8], [-0.8, -0.6], [0.0, 0.0]])
MASK = np.array([True, True, False])


def right(query, document, mask) -> float:
    sides = torch.from_numpy(query)[None], torch.from_numpy(document)[None]
    return maxsim(*sides, document_mask=torch.from_numpy(mask)[None]).item()


def test_a_word_that_finds_nothing_scores_less_than_zero():
    assert right(QUERY, PADDED, MASK) == pytest.approx(-0.6 + 0.8)
    assert right(QUERY, PADDED[:2], MASK[:2]) == pytest.approx(0.2)


def test_zero_for_padding_scores_a_document_otherwise_when_it_is_padded():
    assert wrong_code.zero_for_padding(QUERY, PADDED[:2], MASK[:2]) == pytest.approx(0.2)
    assert wrong_code.zero_for_padding(QUERY, PADDED, MASK) == pytest.approx(0.8)


def test_maximum_from_zero_is_a_relu_on_either():
    assert wrong_code.maximum_from_zero(QUERY, PADDED, MASK) == pytest.approx(0.8)
    assert wrong_code.maximum_from_zero(QUERY, PADDED[:2], MASK[:2]) == pytest.approx(0.8)


@pytest.mark.parametrize("wrong", [wrong_code.zero_for_padding, wrong_code.maximum_from_zero])
def test_without_negative_similarities_nobody_notices(wrong):
    assert wrong(QUERY, np.abs(PADDED), MASK) == pytest.approx(right(QUERY, np.abs(PADDED), MASK))


def test_filip_never_turned_differs_by_the_softmax_of_one_direction():
    generator = torch.Generator().manual_seed(0)
    text, image = (torch.randn(5, n, 3, generator=generator) for n in (4, 6))
    both = late_interaction_logits(text, image)
    over_images, over_texts = (infonce_of_logits(logits).item() for logits in (both[1], both[1].T))
    correct = (infonce_of_logits(both[0]).item() + over_texts) / 2
    found = wrong_code.filip_never_turned(*(logits.numpy() for logits in both))
    assert found == pytest.approx(correct + (over_images - over_texts) / 2, rel=1e-6)
    assert abs(found - correct) > 0.01
