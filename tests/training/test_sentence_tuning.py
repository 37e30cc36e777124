"""Tuning on sentences: the texts, the batches, and what changes in the model."""

import numpy as np
import pytest
import torch

from lib.datasets import emoji, pictures
from lib.models.text_tower import frozen_states
from lib.models.trained_models import load_model
from lib.training import Plan
from lib.training.recipes import TEXT_TOWER
from lib.training.sentence_tuning import (
    LANGUAGES,
    SLOT,
    TUNED,
    SentenceStream,
    embed_views,
    load_sentences,
    tune_on_sentences,
    write_captions,
)


@pytest.fixture(scope="module")
def some():
    """Return the corpus and thirty icons and ten emoji of its training split."""
    corpus = pictures.load_pictures()
    chosen = [corpus.positions("train", ["icons"])[:30], corpus.positions("train", ["emoji"])[:10]]
    return corpus, np.concatenate(chosen)


@pytest.fixture(scope="module")
def model():
    return load_model("pictures")


def states_of(model):
    return lambda texts: frozen_states(TEXT_TOWER, model.tokenizer.encode(texts, cut=True))


def test_every_sentence_has_one_place_for_a_name():
    sentences = load_sentences()
    assert len(sentences) == len(set(sentences)) == 30
    assert all(sentence.count(SLOT) == 1 for sentence in sentences)


def test_captions_of_icons_and_emoji(some):
    corpus, positions = some
    kinds, texts = write_captions(corpus, positions, seed=1)
    assert len(set(texts)) == len(texts)
    for position, kind in zip(positions, kinds, strict=True):
        captions = [texts[i] for i in kind.captions]
        assert tuple(captions) == corpus.captions[position]
        for sentence in (texts[i] for i in kind.sentences):
            assert any(caption in sentence and caption != sentence for caption in captions)
        if corpus.sources[position] == "emoji":
            names, place = emoji.load_emoji().names, corpus.places[position]
            wanted = [names[language][place] for language in LANGUAGES]
            assert [texts[i] for i in kind.translations] == wanted
        else:
            assert not kind.translations


def test_batches_depend_on_seed_and_step_alone(some, model):
    corpus, positions = some
    views = torch.randn(2, len(positions), model.dim)
    streams = [
        SentenceStream(corpus, positions, views, states_of(model), 20, seed) for seed in (1, 1, 2)
    ]
    one, again, other = (stream.batch(3) for stream in streams)
    assert torch.equal(one.images, again.images)
    assert torch.equal(one.positives, again.positives)
    assert not torch.equal(one.images, other.images)
    assert one.positives.diagonal().all()
    assert len(one.images) == len(one.tokens[2]) == 12 + 2


class TextNumbers:
    """Stand in for frozen states: the tokens of a batch are the numbers of its texts."""

    def batch(self, texts):
        return texts.tolist()


def test_right_pairs_by_their_rule(some):
    """Compare with the rule, written as loops, on pictures that share names and texts."""
    corpus, positions = some
    stream = SentenceStream(
        corpus,
        positions,
        torch.arange(len(positions))[None, :, None],  # a view that tells the row
        lambda texts: TextNumbers(),
        200,
        seed=1,
    )
    batch = stream.batch(0)
    rows, texts = batch.images[:, 0].long().tolist(), batch.tokens
    pixels = corpus.pixels(positions)
    kinds = stream.kinds
    for i, row in enumerate(rows):
        for j, (other, text) in enumerate(zip(rows, texts, strict=True)):
            expected = (
                text in kinds[row].texts or kinds[row].captions[0] == kinds[other].captions[0]
            )
            expected |= bool((pixels[row] == pixels[other]).all())
            assert bool(batch.positives[i, j]) == expected


def test_only_the_head_changes_and_is_mixed_with_the_one_before(some, model):
    corpus, positions = some
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    views = embed_views(model, corpus, positions, seed=1)
    assert torch.allclose(views.norm(dim=2), torch.ones(2, len(positions)))
    logged = []
    tuned = tune_on_sentences(
        model,
        corpus,
        states_of(model),
        Plan(2, 1e-3, warmup=1, average=0.0, validate_every=1),
        batch_size=20,
        positions=positions,
        log=logged.append,
    )
    after, trained = tuned.network.state_dict(), model.network.state_dict()
    assert logged
    assert all(parameter.requires_grad for parameter in tuned.network.visual.parameters())
    for key, value in after.items():
        if key.startswith("text."):
            mixed = TUNED * trained[key] + (1 - TUNED) * before[key]
            assert torch.allclose(value, mixed, atol=1e-6), key
        else:
            assert torch.equal(value, before[key]), key
    assert any(not torch.equal(after[key], before[key]) for key in after)
