"""Batches of `pictures`: captions, colours, right pairs and frozen states."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.datasets import further_icons, icons, pictures
from lib.models.text_tower import TextStates
from lib.training import picture_batches
from lib.training.picture_batches import (
    INKS,
    PLAIN,
    PictureStream,
    RightPairs,
    mark_texts,
    number_captions,
)

B = 64
LATE = 900  # a step of runs of one head


def numbered_states(texts):
    """States that tell their text: its number in the first column, its length in the second."""
    lengths = np.array([2 + len(text.split()) for text in texts])
    words = np.zeros((lengths.sum(), 3), np.float16)
    number = np.repeat(np.arange(len(texts)), lengths)
    words[:, 0], words[:, 1] = number // 1000, number % 1000  # float16 counts to 2048
    return TextStates(words, -words, lengths)


@pytest.fixture(scope="module")
def corpus():
    return pictures.load_pictures()


@pytest.fixture(scope="module")
def positions(corpus):
    """Training pictures of the names that most pictures bear, so that a batch holds some twice."""
    train = corpus.positions("train")
    names = np.array([corpus.captions[p][0] for p in train])
    _, which, counts = np.unique(names, return_inverse=True, return_counts=True)
    return np.sort(train[np.argsort(-counts[which], kind="stable")[:600]])


@pytest.fixture(scope="module")
def stream(corpus, positions):
    return PictureStream(corpus, numbered_states, B, 1000, seed=3, positions=positions)


def texts_of(stream, batch):
    words = batch.tokens[0][:, 0].round().long()  # the first piece is never masked
    return [stream.captions.texts[1000 * int(a) + int(b)] for a, b, _ in words]


def ink_of(text, corpus, chosen, i):
    """The colour that a caption adds to the name of its picture, or None."""
    name = corpus.captions[chosen[i]][0]
    colour = text.removesuffix(" " + name)
    coloured = text not in corpus.captions[chosen[i]]
    assert not coloured or colour in INKS
    return colour if coloured else None


def test_a_batch_depends_on_its_step_alone(stream):
    late = stream.batch(700)
    stream.batch(2)
    again, other = stream.batch(700), stream.batch(701)
    for field in ("images", "positives"):
        assert torch.equal(getattr(again, field), getattr(late, field))
        assert not torch.equal(getattr(other, field), getattr(late, field))
    assert all(map(torch.equal, again.tokens, late.tokens))


def test_a_seed_changes_the_batches(stream, corpus, positions):
    other = PictureStream(corpus, numbered_states, B, 1000, seed=4, positions=positions)
    assert not torch.equal(other.batch(0).images, stream.batch(0).images)


def test_shapes_and_ranges(stream):
    batch = stream.batch(5)
    words, contexts, mask = batch.tokens
    assert batch.images.shape == (B, 3, 64, 64) and batch.images.dtype == torch.float32
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.images.min() >= 0 and batch.images.max() <= 1 + 1e-6
    assert words.shape == contexts.shape == (*mask.shape, 3) and torch.equal(words, -contexts)
    assert batch.positives.shape == (B, B) and batch.positives.diagonal().all()


def test_every_caption_belongs_to_its_picture(stream, corpus):
    further = coloured = 0
    for step in (0, LATE, LATE + 1, LATE + 2):
        chosen = stream.order.draw(step)[0]
        for i, text in enumerate(texts_of(stream, stream.batch(step))):
            if ink_of(text, corpus, chosen, i) is None:
                further += text != corpus.captions[chosen[i]][0]
            else:
                coloured += 1
                assert corpus.is_drawing[chosen[i]]
    assert further > 5 and coloured > 5


def test_right_pairs_by_their_rule(stream, corpus):
    """Beside its own, a picture may be called by what its name or its pixels share."""
    found = 0
    for step in (0, LATE, LATE + 1):
        chosen, batch = stream.order.draw(step)[0], stream.batch(step)
        texts, own = texts_of(stream, batch), [corpus.captions[p] for p in chosen]
        inks = [ink_of(text, corpus, chosen, i) for i, text in enumerate(texts)]
        pixels = corpus.pixels(chosen)
        for i in range(B):
            for j in range(B):
                plain = texts[j] if inks[j] is None else own[j][0]
                same = plain in own[i] or own[i][0] == own[j][0]
                same |= bool((pixels[i] == pixels[j]).all())
                expected = same and (inks[j] is None or inks[i] == inks[j])
                assert bool(batch.positives[i, j]) == expected, (own[i], texts[j])
                found += expected and i != j
    assert found > 20


def test_right_pairs_of_four_pictures_by_hand():
    # Names 0, 0, 1, 2; picture 2 has also text 3, picture 3 has text 4; 1 and 3 share pixels.
    borne = mark_texts([(2, 3), (3, 4), (3, 4)], (4, 5))
    right = RightPairs(np.array([0, 0, 1, 2]), np.array([5, 6, 7, 6]), borne)
    drawn_by_name = right.among(np.arange(4), np.array([0, 0, 1, 2]))
    same_name, same_pixels = [(0, 1), (1, 0)], [(1, 3), (3, 1)]
    own = [(i, i) for i in range(4)]
    assert set(zip(*np.nonzero(drawn_by_name))) == {*own, *same_name, *same_pixels}
    # Pictures 3 and 2, with texts 4 and 3: each bears its own alone.
    assert right.among(np.array([3, 2]), np.array([4, 3])).tolist() == [
        [True, False],
        [False, True],
    ]
    # Picture 0 was drawn with text 3, which picture 2 bears, and picture 2 with text 0.
    assert right.among(np.array([0, 2]), np.array([3, 0])).tolist() == [[True, True], [True, True]]


def test_a_drawing_takes_the_ink_of_its_caption(stream, corpus):
    colours = {name: torch.tensor(value) / 255 for name, value in INKS.items()}
    seen = set()
    for step in range(LATE, LATE + 8):
        chosen, batch = stream.order.draw(step)[0], stream.batch(step)
        for i, text in enumerate(texts_of(stream, batch)):
            ink = ink_of(text, corpus, chosen, i)
            if ink is None:
                continue
            image = batch.images[i].flatten(1)  # (3, pixels)
            paper = image[:, 0:1]  # a corner
            darkest = image[:, (image - paper).abs().sum(dim=0).argmax()]
            # Hairlines are never pure ink: it may be mixed with paper.
            line = torch.linspace(0, 1, 101)[:, None] * (colours[ink] - paper[:, 0]) + paper[:, 0]
            assert (line - darkest).abs().amax(dim=1).min() < 0.09, (ink, darkest)
            seen.add(ink)
    assert len(seen) > 5


def test_emoji_keep_their_colours(corpus):
    positions = corpus.positions("train", ["emoji"])[:B]
    stream = PictureStream(corpus, numbered_states, B, 1000, seed=0, positions=positions)
    chosen = stream.order.draw(0)[0]
    batch, pixels = stream.batch(0), torch.from_numpy(corpus.pixels(chosen)) / 255
    assert (stream.captions.inked == -1).all()
    mean = batch.images.mean(dim=(2, 3)) - pixels.mean(dim=(1, 2))
    assert mean.abs().max() < 0.25  # a warp changes how large a thing is, not its colours
    spread = [x.std(dim=1).mean(dim=(1, 2)) for x in (batch.images, pixels.permute(0, 3, 1, 2))]
    assert np.corrcoef(*map(torch.Tensor.numpy, spread))[0, 1] > 0.9


def test_drawings_in_plain_ink_are_black_on_white(corpus, monkeypatch):
    for share in ("INKED_CAPTIONS", "FREE_INKS", "FREE_PAPERS"):
        monkeypatch.setattr(picture_batches, share, 0.0)
    positions = corpus.positions("train", ["icons"])[:B]
    stream = PictureStream(corpus, numbered_states, B, 1000, seed=0, positions=positions)
    images = stream.batch(3).images
    assert torch.equal(images[:, 0], images[:, 1]) and torch.equal(images[:, 0], images[:, 2])
    assert (images[:, :, 0, 0] == 1).all() and images.amin(dim=(1, 2, 3)).max() < 0.6


def test_shares_of_captions_and_masked_pieces(stream, corpus):
    rng = np.random.default_rng(0)
    several = np.array([p for p in stream.order.positions if len(corpus.captions[p]) > 1])
    chosen = rng.choice(several, 20_000)
    texts, plain, inks = stream.captions.draw(chosen, rng)
    drawn = corpus.is_drawing[chosen]
    assert (inks[drawn] != PLAIN).mean() == pytest.approx(0.1, abs=0.01)
    assert (inks[~drawn] == PLAIN).all()
    free = inks == PLAIN
    np.testing.assert_array_equal(texts[free], plain[free])
    assert (plain[free] != stream.captions.names[chosen[free]]).mean() == pytest.approx(
        0.3, abs=0.02
    )
    masks = [stream.batch(step).tokens for step in range(6)]
    assert all(mask[:, 0].all() for *_, mask in masks)
    there = sum(int((words[:, 1:].abs().sum(dim=2) > 0).sum()) for words, *_ in masks)
    kept = sum(int(mask[:, 1:].sum()) for *_, mask in masks)
    assert kept / there == pytest.approx(0.9, abs=0.03)


def test_captions_are_numbered_once_and_colours_come_last(corpus, positions):
    table = number_captions(corpus, positions, seed=0)
    assert len(set(table.texts)) == len(table.texts)
    plain = {text for p in positions for text in corpus.captions[p]}
    assert set(table.texts[: len(plain)]) == plain
    for position in positions[::20]:
        name, *others = corpus.captions[position]
        row = table.names[position]
        assert table.texts[row] == name
        held = table.others.indices[
            table.others.indptr[position] : table.others.indptr[position + 1]
        ]
        assert {table.texts[i] for i in held} == set(others)
        if corpus.is_drawing[position]:
            inks = [list(INKS)[ink] for ink in table.inks[row]]
            assert len(set(inks)) == len(inks)
            assert [table.texts[i] for i in table.inked[row]] == [f"{ink} {name}" for ink in inks]


@pytest.fixture(scope="module")
def with_further(corpus):
    """Some icons stand in for further icons, so that no package of the extra 'train' is needed."""
    train = {source: corpus.positions("train", [source]) for source in pictures.STORED}
    sources = corpus.sources.astype("<U13")
    sources[train["icons"][:200]] = pictures.FURTHER
    stand_in = further_icons.FurtherIcons(icons.load_icons().images, (), ())
    chosen = [train["icons"][:300], train["emoji"][:40], train[pictures.LINES][:20]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(further_icons, "load_further_icons", lambda: stand_in)
        yield replace(corpus, sources=sources), np.concatenate(chosen)


def test_further_icons_are_few_at_the_end_and_emoji_come_three_times(with_further):
    changed, positions = with_further
    stream = PictureStream(changed, numbered_states, 16, 400, seed=0, positions=positions)
    first, *late = (stream.order.order(epoch) for epoch in (0, 30, 31))
    assert sorted(first.tolist()) == sorted(positions.tolist())
    drawn = []
    for order in late:
        counts = Counter(order.tolist())
        further = {p for p in counts if changed.sources[p] == pictures.FURTHER}
        assert len(further) == 30  # 15% of 200
        assert all(
            counts[p] == (0 if p not in counts else 3 if changed.sources[p] == "emoji" else 1)
            for p in positions
        )
        assert len(counts) == 30 + 160
        drawn.append(further)
    assert drawn[0] != drawn[1]
    batch = stream.batch(399)
    assert batch.positives.diagonal().all() and torch.equal(batch.images, stream.batch(399).images)


def test_further_icons_are_drawings_with_a_name(with_further):
    changed, positions = with_further
    further = positions[changed.sources[positions] == pictures.FURTHER]
    stream = PictureStream(changed, numbered_states, 16, 400, seed=0, positions=further)
    assert (stream.captions.inked[stream.captions.names[further]] >= 0).all()
    images = stream.batch(0).images
    white = (images == 1).all(dim=1).flatten(1).float().mean(dim=1)
    assert white.median() > 0.5  # ink on white paper, most of which stays


def test_refuses_a_batch_larger_than_the_pictures(corpus, positions):
    with pytest.raises(RetrievalInputError, match="batch_size must be at most 600, .* got 601"):
        PictureStream(corpus, numbered_states, 601, 1000, seed=0, positions=positions)
