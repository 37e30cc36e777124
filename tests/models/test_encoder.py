"""Encoders end to end, compared with plain open_clip and with our own encoders."""

import pickle
from dataclasses import replace

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.datasets import icons, scenes
from lib.models.encoder import MAX_ASPECT, PretrainedEncoder, load_encoder
from lib.models.trained_models import load_model
from tests.models.toy import write_open_clip

TEXTS = ["A red car.", "two dogs on a beach", "it's {} o'clock", "ein Bär"]


def pictures(n: int = 5, seed: int = 0) -> list[Image.Image]:
    """Make images of several sizes and modes."""
    rng = np.random.default_rng(seed)
    sizes = [(32, 32), (60, 40), (20, 50), (33, 31), (64, 64)]
    made = [
        Image.fromarray(rng.integers(0, 256, (*sizes[i % 5][::-1], 3), dtype=np.uint8))
        for i in range(n)
    ]
    made[2] = made[2].convert("L")
    made[3] = made[3].convert("P")
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_open_clip(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def encoder(folder):
    return load_encoder("mine", folder, batch_size=2)


@pytest.fixture(scope="module")
def ours():
    return load_encoder("scenes")


def test_an_encoder_is_pickled_as_the_way_to_load_it(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder.parent)
    encoder = load_encoder("mine", folder.name, prompt="see {}", batch_size=3)
    content = pickle.dumps(encoder)
    assert len(content) < 1000
    monkeypatch.chdir(tmp_path)  # another process may be anywhere
    again = pickle.loads(content)
    assert again.identity == encoder.identity and again.batch_size == 3
    assert np.array_equal(again.encode_text(["a dog"]), encoder.encode_text(["a dog"]))
    with pytest.raises(ValueError, match="only an encoder of `load_encoder`"):
        pickle.dumps(PretrainedEncoder(encoder._towers))


# ---- against plain open_clip


def test_rows_are_those_of_open_clip(encoder, folder):
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    with torch.inference_mode():
        pixels = torch.stack([transform(picture.convert("RGB")) for picture in pictures()])
        expected = [model.eval().encode_image(pixels, normalize=True)]
        expected.append(model.encode_text(tokenizer(TEXTS), normalize=True))
    results = [encoder.encode_image(pictures()), encoder.encode_text(TEXTS)]
    for rows, oracle in zip(results, expected, strict=True):
        assert rows.dtype == np.float32 and rows.shape[1] == encoder.dim == 16
        np.testing.assert_allclose(rows, oracle.numpy(), atol=2e-6)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_a_prompt_is_put_around_every_text(folder, encoder):
    prompted = load_encoder("mine", folder, prompt="a photo of {}, outside")
    expected = encoder.encode_text([f"a photo of {text}, outside" for text in TEXTS])
    np.testing.assert_allclose(prompted.encode_text(TEXTS), expected, atol=2e-6)
    assert (
        prompted.identity["prompt"] == "a photo of {}, outside"
        and encoder.identity["prompt"] == "{}"
    )
    assert prompted.identity | {"prompt": "{}"} == encoder.identity


@pytest.mark.parametrize(
    "options", [{"batch_size": 1}, {"batch_size": 100}, {"workers": 3, "batch_size": 2}]
)
def test_batches_and_threads_do_not_matter(folder, encoder, options):
    other = load_encoder("mine", folder, **options)
    for name, inputs in (("encode_image", pictures(7)), ("encode_text", TEXTS)):
        counts = []
        rows = getattr(other, name)(inputs, progress=counts.append)
        np.testing.assert_allclose(rows, getattr(encoder, name)(inputs), atol=2e-6)
        assert sum(counts) == len(inputs)


def test_bf16_is_near_and_says_so(folder, encoder):
    half = load_encoder("mine", folder, precision="bf16")
    rows = half.encode_image(pictures())
    assert rows.dtype == np.float32 and half.identity["precision"] == "bf16"
    cosines = (rows * encoder.encode_image(pictures())).sum(axis=1)
    assert cosines.min() > 0.999 and not np.array_equal(rows, encoder.encode_image(pictures()))
    assert (half.encode_text(TEXTS) * encoder.encode_text(TEXTS)).sum(axis=1).min() > 0.999


def test_texts_that_are_cut_are_counted(folder):
    encoder = load_encoder("mine", folder, prompt="see {}")
    # 16 ids: begin, "see", 13 words, end. Of one word more the last is lost.
    texts = ["dog", " ".join(["dog"] * 13), " ".join(["dog"] * 14)]
    assert encoder.count_truncated(texts) == 1 and encoder.truncated == 0
    rows = encoder.encode_text([*texts, " ".join(["dog"] * 13 + ["cat"])])
    np.testing.assert_allclose(rows[1:], rows[[1, 1, 1]], atol=2e-6)
    assert encoder.truncated == 2
    assert encoder.count_truncated([]) == 0


# ---- video


def test_a_clip_is_the_mean_direction_of_its_frames(encoder):
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 256, (length, 40, 30, 3), dtype=np.uint8) for length in (3, 1, 4)]
    counts = []
    results = encoder.encode_video(clips, progress=counts.append)
    assert counts == [
        1,
        1,
        1,
    ]  # two frames a pass: the first clip is complete when the second has begun
    for row, clip in zip(results, clips, strict=True):
        mean = encoder.encode_image([Image.fromarray(frame) for frame in clip]).mean(axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=2e-6)
    still = np.repeat(clips[1], 5, axis=0)
    np.testing.assert_allclose(encoder.encode_video([still, still[:1]])[0], results[1], atol=2e-6)


@pytest.mark.parametrize(
    "clip",
    [np.zeros((0, 4, 4, 3), np.uint8), np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 4, 3))],
)
def test_other_clips_are_refused(encoder, clip):
    with pytest.raises(
        RetrievalInputError, match=r"clips\[1\] must be uint8 \(n_frames, height, width, 3\)"
    ):
        encoder.encode_video([np.zeros((1, 4, 4, 3), np.uint8), clip])


# ---- ours


def test_scenes_get_the_rows_of_their_own_encoder(ours):
    batch = scenes.sample("test", 20, 3)
    images = scenes.render(batch)
    texts = [scenes.caption_choice(batch, np.zeros(20, dtype=int))[i] for i in range(20)]
    model = load_model("scenes")
    drawn = [Image.fromarray(image) for image in images]
    np.testing.assert_allclose(ours.encode_image(drawn), model.encode_image(images), atol=1e-6)
    np.testing.assert_allclose(ours.encode_text(texts), model.encode_text(texts), atol=1e-6)
    assert ours.identity["model"] == "scenes" and ours.dim == model.dim and ours.truncated == 0


def test_other_sizes_become_what_the_model_reads(ours):
    image = Image.fromarray(scenes.render(scenes.sample("test", 1, 3))[0])
    doubled = image.resize((128, 128), Image.Resampling.NEAREST)
    wide = Image.new("RGB", (300, 128))
    wide.paste(doubled, (86, 0))
    rows = ours.encode_image([image, doubled, wide])
    assert (rows @ rows[0]).min() > 0.95


def test_icons_are_taken_as_they_are_and_drawings_are_turned_into_icons():
    encoder, model = load_encoder("icons"), load_model("icons")
    images = icons.load_icons().images[:5]
    expected = model.encode_image(images)
    for mode in ("L", "RGB"):
        drawn = [Image.fromarray(image).convert(mode) for image in images]
        np.testing.assert_allclose(encoder.encode_image(drawn), expected, atol=1e-6)
    on_paper = [Image.fromarray(255 - image).resize((200, 200)) for image in images]
    assert (encoder.encode_image(on_paper) * expected).sum(axis=1).mean() > 0.7
    with pytest.raises(RetrievalInputError, match="blank"):
        encoder.encode_image([Image.new("RGB", (64, 64), "white")])


def test_texts_too_long_for_our_tokenizer_are_cut_and_counted():
    encoder = load_encoder("scenes")
    texts = ["a red square", "red " * 23, "red " * 24]
    rows = encoder.encode_text(texts)
    np.testing.assert_allclose(rows[2], rows[1], atol=2e-6)
    assert encoder.truncated == encoder.count_truncated(texts) == 1
    with pytest.raises(RetrievalInputError, match=r"texts\[2\] is too long"):
        load_model("scenes").encode_text(texts)


# ---- bad input


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["scenes_late"], {}, "'scenes_late' is a LateInteraction, which has no single vector"),
        (["ViT-B-32"], {}, r"is an architecture without weights.* one of its \d+ tags, 'openai', "),
        (
            ["hf-hub:a/b"],
            {},
            "names a place; pass the folder of a downloaded repository as pretrained",
        ),
        (
            ["scened"],
            {},
            r"model must be one of \d+ names, the nearest are 'scenes', .*; got 'scened'",
        ),
        (["scenes"], {"precision": "fp8"}, "precision must be one of 'fp32', 'bf16', 'fp16'"),
        (["scenes"], {"precision": "fp16"}, "fp16 on a CPU is slower than fp32"),
        (["scenes"], {"device": "gpu"}, "device must be 'cpu', 'cuda' or 'cuda:1'; got 'gpu'"),
        (["scenes"], {"device": "mps:7"}, "device 'mps:7' is not available"),
        (["scenes"], {"device": "meta"}, "device 'meta' is not available"),
        (["scenes"], {"device": "xpu"}, "device 'xpu' is not available"),
        (["scenes"], {"device": "cuda:99"}, "device 'cuda:99' is not available: torch sees"),
        (["scenes"], {"prompt": "a photo of"}, r"prompt must hold \{\} once"),
        (["scenes"], {"prompt": "{} and {}"}, r"prompt must hold \{\} once"),
        (["scenes"], {"batch_size": 0}, "batch_size must be at least 1"),
        (["scenes"], {"workers": -1}, "workers must be at least 0"),
    ],
)
def test_bad_arguments(arguments, options, message):
    with pytest.raises(RetrievalInputError, match=message):
        load_encoder(*arguments, **options)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("a dog", r"must be a list, got one string 'a dog'"),
        (["a dog", None], r"texts\[1\] is None; expected words"),
        (["a dog", " "], r"texts\[1\] is ' '; expected words"),
    ],
)
def test_bad_texts(encoder, texts, message):
    with pytest.raises(RetrievalInputError, match=message):
        encoder.encode_text(texts)


def test_entries_that_are_no_pictures(encoder):
    with pytest.raises(
        RetrievalInputError, match=r"pictures\[3\] is a ndarray; expected a PIL image"
    ):
        encoder.encode_image([*pictures()[:3], np.zeros((4, 4, 3), np.uint8)])


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "not finite"), (0.0, "only zeros")])
def test_a_row_without_a_direction_is_named(encoder, value, kind):
    seen = []

    def spoilt(batch):
        seen.extend(range(len(batch)))
        rows = torch.ones(len(batch), 16)
        rows[-1] = value if len(seen) >= 4 else 1.0
        return rows

    towers = replace(encoder._towers, image_features=spoilt)
    other = PretrainedEncoder(towers, batch_size=2)
    with pytest.raises(RetrievalInputError, match=rf"pictures\[3\] got an embedding with .*{kind}"):
        other.encode_image(pictures())
    seen.clear()
    with pytest.raises(RetrievalInputError, match=rf"clips\[1\] got an embedding with .*{kind}"):
        other.encode_video([np.zeros((n, 4, 4, 3), np.uint8) for n in (2, 3)])


def test_a_very_long_picture_is_cut_to_its_centre_before_it_is_resized(encoder, monkeypatch):
    """Without the crop, 30,000 x 1 pixels would become 6.7 million columns."""
    sizes, read = [], encoder._towers.read
    towers = replace(
        encoder._towers, read=lambda batch: sizes.extend(p.size for p in batch) or read(batch)
    )
    monkeypatch.setattr(encoder, "_towers", towers)
    strip = Image.new("RGB", (30_000, 1))
    strip.paste((255, 0, 0), (14_000, 0, 16_000, 1))
    rows = encoder.encode_image(
        [strip, strip.rotate(90, expand=True), Image.new("RGB", (64, 1), (255, 0, 0))]
    )
    assert sizes == [(MAX_ASPECT, 1), (1, MAX_ASPECT), (64, 1)]
    assert np.allclose(rows[0], rows[2], atol=1e-6)  # the centre, all red


def test_nothing_gives_an_empty_matrix(encoder):
    assert encoder.encode_image([]).shape == encoder.encode_text([]).shape == (0, 16)
    assert encoder.encode_video([]).shape == (0, 16)


def test_an_error_while_reading_ahead_comes_through(folder):
    class Files(list):
        def __getitem__(self, i):
            if i == 3:
                raise OSError("cannot be decoded")
            return super().__getitem__(i)

    with pytest.raises(OSError, match="cannot be decoded"):
        load_encoder("mine", folder, workers=2, batch_size=1).encode_image(Files(pictures()))
