import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.datasets import icons, scenes
from lib.models.tokenizer import PAD, Tokenizer
from lib.training import RECIPES
from lib.training.batches import DrawingOrder, IconStream, PairStream, SceneStream


@pytest.fixture(scope="module")
def icon_stream():
    corpus = icons.load_icons()
    tokenizer = Tokenizer.train([icons.phrase_of(name) for name in corpus.names[:300]], 100, 40)
    return IconStream(corpus, tokenizer, batch_size=64, steps=1000, seed=3)


@pytest.fixture(scope="module")
def scene_stream():
    return SceneStream(RECIPES["scenes"].tokenizer(), batch_size=48, seed=5)


def same(a, b):
    return all(
        torch.equal(getattr(a, name), getattr(b, name))
        for name in ("images", "tokens", "positives")
    )


@pytest.mark.parametrize("which", ["icon_stream", "scene_stream"])
def test_a_batch_depends_on_its_step_alone(request, which):
    stream = request.getfixturevalue(which)
    late = stream.batch(700)
    stream.batch(2)
    assert same(stream.batch(700), late) and not same(stream.batch(701), late)


@pytest.mark.parametrize("which", ["icon_stream", "scene_stream"])
def test_every_image_has_its_own_text_as_a_positive(request, which):
    batch = request.getfixturevalue(which).batch(11)
    n = len(batch.images)
    assert batch.images.min() >= 0 and batch.images.max() <= 1
    assert batch.positives.shape == (n, n) and batch.positives.diagonal().all()
    assert (batch.tokens != PAD).any(dim=1).all()


@pytest.mark.parametrize("epoch", [0, 999])
def test_an_epoch_shows_each_training_icon_once_and_no_other(icon_stream, epoch):
    order = icon_stream.drawings.order(epoch)
    assert sorted(order.tolist()) == icon_stream.corpus.positions("train").tolist()


def test_late_epochs_come_in_runs_of_one_first_word(icon_stream):
    corpus = icon_stream.corpus
    shares = []
    for epoch in (0, 999):
        heads = [icons.head_of(corpus.names[i]) for i in icon_stream.drawings.order(epoch)]
        shares.append(np.mean([a == b for a, b in zip(heads, heads[1:], strict=False)]))
    assert shares[0] < 0.05 < 0.4 < shares[1]


def test_the_last_epochs_have_positions_of_their_own():
    """23 drawings in batches of 4: epochs of 5 steps; from step 60 on 9 drawings: of 2 steps."""

    def finish(rng):
        return np.concatenate([rng.permutation(23)[:7], [100, 100]])

    order = DrawingOrder(np.arange(23), np.arange(101) // 3, 4, steps=96, seed=0, finish=finish)
    assert [order.place_of(step) for step in (0, 4, 5, 59, 60, 61, 62, 95)] == [
        (0, 0), (0, 4), (1, 0), (11, 4), (12, 0), (12, 1), (13, 0), (29, 1)
    ]  # fmt: skip
    seen = set()
    for epoch in (0, 11):
        assert sorted(order.order(epoch).tolist()) == list(range(23))
    for epoch in (12, 13, 29):
        found = order.order(epoch).tolist()
        assert found.count(100) == 2 and len(set(found)) == 8
        assert found == order.order(epoch).tolist()
        seen.add(tuple(sorted(found)))
    assert len(seen) == 3
    steps = [order.draw(step)[0].tolist() for step in (60, 61)]
    assert [*steps[0], *steps[1]] == order.order(12)[:8].tolist()
    with pytest.raises(RetrievalInputError, match="batch_size must be at most 9, .* got 10"):
        DrawingOrder(np.arange(23), np.arange(101), 10, steps=96, seed=0, finish=finish)


def test_icons_that_share_a_name_or_their_pixels_are_positives(icon_stream):
    corpus = icon_stream.corpus
    for step in (0, 900):
        epoch, at = divmod(step, icon_stream.drawings.per_epoch)
        chosen = icon_stream.drawings.order(epoch)[at * 64 : (at + 1) * 64]
        expected = [
            [
                corpus.names[a] == corpus.names[b] or (corpus.images[a] == corpus.images[b]).all()
                for b in chosen
            ]
            for a in chosen
        ]
        np.testing.assert_array_equal(icon_stream.batch(step).positives.numpy(), expected)


def test_a_true_caption_of_another_scene_is_a_positive(scene_stream, monkeypatch):
    two = scenes.sample("train", 2)
    batch = scenes.concatenate(
        [two] * 24
    )  # 24 copies of each: worded differently, true all the same
    monkeypatch.setattr(scenes, "training_batch", lambda *_: (scenes.render(batch), batch))
    copies = np.arange(48) % 2
    np.testing.assert_array_equal(
        scene_stream.batch(0).positives.numpy(), copies[:, None] == copies
    )


class TestPairStream:
    N = 40

    def stream(self, batch_size=8, **options):
        numbers = torch.arange(float(self.N))
        ids = np.arange(self.N)
        ids[1] = 0  # two pairs with one text
        return PairStream(
            numbers[:, None], 100 + numbers[:, None], ids, batch_size, seed=3, **options
        )

    def test_an_epoch_holds_every_pair_once_in_an_order_of_its_own(self):
        stream = self.stream()
        epochs = [
            torch.cat([stream.batch(step).images for step in range(5 * e, 5 * e + 5)])
            for e in range(2)
        ]
        assert all(sorted(epoch.ravel().tolist()) == list(range(self.N)) for epoch in epochs)
        assert not torch.equal(*epochs)
        assert torch.equal(stream.batch(3).images, self.stream().batch(3).images)

    def test_text_follows_its_image_and_equal_texts_are_right_for_each_other(self):
        batch = self.stream(batch_size=self.N).batch(0)
        assert torch.equal(batch.tokens, batch.images + 100)
        where = {int(v): i for i, v in enumerate(batch.images.ravel())}
        expected = torch.eye(self.N, dtype=torch.bool)
        expected[where[0], where[1]] = expected[where[1], where[0]] = True
        assert torch.equal(batch.positives, expected)

    def test_noise_swaps_that_share_once_and_for_all(self):
        stream = self.stream(batch_size=self.N, noise=0.25)
        for step in (0, 1):
            batch = stream.batch(step)
            wrong = (batch.tokens != batch.images + 100).ravel()
            assert int(wrong.sum()) == 10
            assert sorted(batch.tokens.ravel().tolist()) == [100.0 + i for i in range(self.N)]
            assert batch.positives.diagonal().all(), "the trainer believes the labels"

    def test_repeats_are_copies_from_the_batch_and_may_be_kept_quiet(self):
        marked, diagonal = (
            self.stream(repeats=0.5).batch(4),
            self.stream(repeats=0.5, mark_positives=False).batch(4),
        )
        assert torch.equal(marked.images, diagonal.images)
        assert len(set(marked.images[:4].ravel().tolist())) == 4
        assert set(marked.images[4:].ravel().tolist()) <= set(marked.images[:4].ravel().tolist())
        assert marked.positives.sum() >= 8 + 2 * 4 and torch.equal(
            diagonal.positives, torch.eye(8, dtype=torch.bool)
        )

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"noise": 1.0}, "noise"),
            ({"repeats": -0.1}, "repeats"),
            ({"batch_size": 41}, "equally many and at least batch_size = 41"),
        ],
    )
    def test_refuses(self, options, message):
        with pytest.raises(RetrievalInputError, match=message):
            self.stream(**options)
