"""Late interaction as it is found in the wild: one error a function, written here from its
description.

    wild_maxsim.zero_for_padding    -> lib.models.maxsim.maxsim
    wild_maxsim.maximum_from_zero   -> lib.models.maxsim.maxsim
    wild_maxsim.filip_never_turned  -> lib.models.maxsim.late_interaction_logits and two
    cross-entropies

The first two take one query and one document, (L_q, d) and (L_d, d) arrays, so that they can be
read aloud.
"""

import numpy as np


def zero_for_padding(query, document, document_mask) -> float:
    """Similarities of padding become 0 by a product with the mask, and 0 beats every negative one.

    So does `colbert_scores` in PyLate.
    """
    similarities = (query @ document.T) * document_mask
    return similarities.max(axis=1).sum()


def maximum_from_zero(query, document, document_mask) -> float:
    """The running maximum starts at 0, so a word that finds nothing scores 0 instead of something
    negative.

    So does ColBERT's extension for processors without a graphics card, while its other path does
    not.
    """
    best = np.zeros(len(query))
    for token in document[document_mask]:
        best = np.maximum(best, query @ token)
    return best.sum()


def filip_never_turned(text_to_image, image_to_text) -> float:
    """Both logits, (n_texts, n_images), get their softmax along rows: no image ever chooses among
    texts.

    So does the FILIP branch of x-clip.
    """

    def over_images(logits):
        largest = logits.max(axis=1)
        normaliser = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1))
        return (normaliser - np.diag(logits)).mean()

    return (over_images(text_to_image) + over_images(image_to_text)) / 2
