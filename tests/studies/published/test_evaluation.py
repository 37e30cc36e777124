"""Benchmarks from embeddings: by hand, against other people's code, and what must be refused."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.datasets import coco_judgements
from lib.index.exact import topk_exact
from lib.metrics import (
    Cosines,
    bootstrap_interval,
    dual_softmax,
    evaluate_embeddings,
    evaluate_folds,
    qb_norm,
)
from lib.studies.published import Result, evaluate_corpus, evaluate_rows
from tests.studies.published.corpora import DIM, N_ITEMS, OWNER, corpus, rows

TOYS = corpus()
MEDIA, TEXTS = rows()


@pytest.fixture(scope="module")
def result():
    return evaluate_rows(MEDIA, TEXTS, TOYS)


# ---- by hand


def test_two_images_and_three_captions():
    # Image 0 points along x, image 1 along y. Caption 0 is near its image 0; caption 1 of image 0
    # is near image 1, and caption 2 of image 1 near image 0.
    media, texts = np.eye(2), np.array([[1, 0.1], [0.5, 0.9], [0.9, 0.3]])
    found = evaluate_rows(media, texts, corpus([0, 0, 1], 2), ks=(1, 2))
    to_text, to_image = found.directions
    assert (to_text.direction, to_image.direction) == ("image_to_text", "text_to_image")
    assert to_text.first_ranks.tolist() == [1, 2] and to_image.first_ranks.tolist() == [1, 2, 2]
    # Image 0 has R = 2: captions 0 (rank 1), 2, 1 (rank 3): AP@2 = 1/2; image 1 has R = 1 and
    # misses.
    assert to_text.map_at_r.tolist() == [0.5, 0] and to_image.map_at_r.tolist() == [1, 0, 0]
    assert to_text["R@1"].value == 0.5 and to_image["R@1"].value == pytest.approx(1 / 3)
    assert to_text["MRR"].value == 0.75 and to_image["MedR"].value == 2
    assert to_image.groups.tolist() == [0, 0, 1] and to_text.groups is None
    assert found.rsum is None  # no R@5 in a gallery of two
    assert found.protocol.sizes == (("image", 2), ("text", 3))


def test_a_constant_model_is_not_flattered():
    found = evaluate_rows(np.ones((N_ITEMS, 3)), np.ones((OWNER.size, 3)), TOYS)
    assert [part["R@1"].value for part in found.directions] == [0, 0]
    assert all(part.tie_share == 1 for part in found.directions)


# ---- the same as the parts it is made of, and as others


def test_both_directions_with_intervals_by_item(result):
    to_text = evaluate_embeddings(MEDIA, TEXTS, Qrels.from_owner(OWNER, N_ITEMS))
    to_image = evaluate_embeddings(TEXTS, MEDIA, Qrels.from_owner(OWNER, N_ITEMS).T, groups=OWNER)
    for part, expected in zip(result.directions, (to_text, to_image), strict=True):
        for metric in ("R@1", "R@5", "R@10", "MRR", "MedR", "MeanR"):
            assert part[metric].value == expected.value(metric)
            assert (part[metric].low, part[metric].high) == expected.interval(metric)
            assert part[metric].chance == expected.chance[metric]
        assert (part.first_ranks == expected.first_ranks).all()
    values = [part[f"R@{k}"].value for part in result.directions for k in (1, 5, 10)]
    assert result.rsum == pytest.approx(100 * sum(values))


@pytest.mark.parametrize("seed", range(3))
def test_clip_benchmark(seed):
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("clip_benchmark.metrics.zeroshot_retrieval").recall_at_k
    media, texts = rows(seed=seed, noise=2.0)
    media, texts = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (media, texts))
    scores = torch.from_numpy(texts) @ torch.from_numpy(media).T
    positive = torch.zeros_like(scores, dtype=torch.bool)
    positive[torch.arange(OWNER.size), torch.from_numpy(OWNER)] = True
    found = evaluate_rows(media, texts, TOYS)
    for k in (1, 5, 10):
        to_image = (theirs(scores, positive, k) > 0).double().mean().item()
        to_text = (theirs(scores.T, positive.T, k) > 0).double().mean().item()
        assert found.direction("text_to_image")[f"R@{k}"].value == to_image
        assert found.direction("image_to_text")[f"R@{k}"].value == to_text


def coco(n_images):
    """The first images of COCO-5K as the judgements have it: real ids, made embeddings."""
    pytest.importorskip("eccv_caption")
    known = coco_judgements.load_judgements()
    owner = known.owner[: 5 * n_images]
    found = corpus(
        owner,
        n_images,
        name="coco",
        item_ids=[str(one) for one in known.image_ids[:n_images]],
        text_ids=[str(one) for one in known.caption_ids[: owner.size]],
        captions="first 5",
    )
    return found, *rows(owner, n_images, dim=6, noise=0.4)


def test_eccv_judges_a_quarter_of_the_queries_and_the_whole_gallery():
    images, *embeddings = coco(1000)
    found = evaluate_rows(*embeddings, images, judgements="eccv", ks=(1,))
    to_text, to_image = found.directions
    assert (to_text.n_queries, to_text.n_gallery, to_text.n_without_relevant) == (273, 5000, 727)
    assert (to_image.n_queries, to_image.n_gallery, to_image.n_without_relevant) == (
        281,
        1000,
        4719,
    )
    assert found.protocol.judgements == "eccv"
    asked = {what: of for what, *of in found.protocol.judged_counts}
    assert asked["eccv queries, image_to_text"] == [273, 273]
    found_pairs, all_pairs = asked["eccv positives, image_to_text"]
    assert found_pairs < all_pairs  # some of what people found lies in other folds
    assert found.protocol.is_complete


def test_eccv_published_divides_by_a_caption_that_nobody_finds():
    images, media, texts = coco(250)  # image 421999 is the 207th, one of its positives is nowhere
    at = images.item_ids.index("421999")
    found = evaluate_rows(media, texts, images, judgements="eccv")
    alike = evaluate_rows(media, texts, images, judgements="eccv-published")
    assert alike.protocol.judgements == "eccv-published"
    n = {what: of for what, *of in alike.protocol.judged_counts}
    fewer = {what: of for what, *of in found.protocol.judged_counts}
    name = "eccv positives, image_to_text"
    assert n[name][0] == fewer[name][0] + 1 and n[name][1] == fewer[name][1]
    ours, theirs = (result.direction("image_to_text") for result in (found, alike))
    changed = np.flatnonzero(ours.map_at_r != theirs.map_at_r)
    judged = coco_judgements.load_judgements().judged("eccv", "image_to_text")
    assert changed.size == 1 and judged[changed[0]] == at
    assert theirs.map_at_r[changed[0]] < ours.map_at_r[changed[0]]
    assert theirs["R@1"] == ours["R@1"] and theirs["MAP@R"].value < ours["MAP@R"].value
    to_image = [result.direction("text_to_image") for result in (found, alike)]
    np.testing.assert_array_equal(to_image[0].map_at_r, to_image[1].map_at_r)
    with pytest.raises(RetrievalInputError, match="leave out the folds"):
        evaluate_rows(media, texts, images, judgements="eccv-published", folds=5)


@pytest.mark.slow
def test_eccv_caption_itself():
    metrics = pytest.importorskip("eccv_caption.metrics").Metrics()
    corpus_, media, texts = coco(5000)
    image_ids, text_ids = (np.array(ids, np.int64) for ids in (corpus_.item_ids, corpus_.text_ids))
    lists = {
        "i2t": dict(zip(image_ids.tolist(), text_ids[topk_exact(media, texts, 50)[1]].tolist())),
        "t2i": dict(zip(text_ids.tolist(), image_ids[topk_exact(texts, media, 50)[1]].tolist())),
    }
    targets = ("coco_5k_recalls", "cxc_recalls", "eccv_r1", "eccv_map_at_r", "eccv_rprecision")
    theirs = metrics.compute_all_metrics(lists["i2t"], lists["t2i"], targets, (1, 5, 10))
    for judgements, prefix in (("original", "coco_5k"), ("cxc", "cxc")):
        found = evaluate_rows(media, texts, corpus_, judgements=judgements)
        for direction, short in (("image_to_text", "i2t"), ("text_to_image", "t2i")):
            for k in (1, 5, 10):
                expected = theirs[f"{prefix}_r{k}"][short]
                assert found.direction(direction)[f"R@{k}"].value == pytest.approx(
                    expected, abs=1e-12
                )
    found = evaluate_rows(media, texts, corpus_, judgements="eccv")
    assert found.direction("text_to_image")["MAP@R"].value == pytest.approx(
        theirs["eccv_map_at_r"]["t2i"]
    )
    # Two of their positives are captions that no gallery holds; they lower their scores of two
    # images.
    ours = found.direction("image_to_text")["MAP@R"].value
    assert ours == pytest.approx(theirs["eccv_map_at_r"]["i2t"], abs=2 / 1261)
    found = evaluate_rows(media, texts, corpus_, judgements="eccv-published")
    for direction, short in (("image_to_text", "i2t"), ("text_to_image", "t2i")):
        part = found.direction(direction)
        for metric, name in (("MAP@R", "eccv_map_at_r"), ("R-precision", "eccv_rprecision")):
            assert part[metric].value == pytest.approx(theirs[name][short], abs=1e-12)
        assert part["R@1"].value == pytest.approx(theirs["eccv_r1"][short], abs=1e-12)
    assert ours > found.direction("image_to_text")["MAP@R"].value
    asked = {what: of for what, *of in found.protocol.judged_counts}
    assert asked["eccv positives, image_to_text"] == [22_550, 22_550]


# ---- folds


def test_the_mean_of_folds_is_that_of_evaluate_folds():
    owner = np.arange(100) // 5  # equal folds, as evaluate_folds asks
    media, texts = rows(owner)
    found = evaluate_rows(media, texts, corpus(owner), ks=(1, 2), folds=5)
    expected = evaluate_folds(media, texts, Qrels.from_owner(owner, N_ITEMS), ks=(1, 2))
    part = found.direction("image_to_text")
    for metric in ("R@1", "MRR", "MedR", "MeanR"):
        assert part[metric].value == pytest.approx(expected.value(metric))
    every = np.concatenate([fold.per_query["R@1"] for fold in expected.folds])
    assert (part["R@1"].low, part["R@1"].high) == pytest.approx(bootstrap_interval(every))
    assert np.isnan(part["MedR"].low)
    assert found.protocol.gallery == "mean of folds" and found.protocol.sizes == (
        ("image", 4),
        ("text", 20),
    )
    assert part.n_queries == 20 and part.n_gallery == 20
    only = evaluate_rows(media, texts, corpus(owner), ks=(1, 2), folds=5, first_fold=True)
    assert only.protocol.gallery == "first fold"
    assert only.direction("image_to_text")["R@1"].value == expected.folds[0].mean("R@1")


def test_folds_of_ragged_captions_keep_each_caption_with_its_image():
    found = evaluate_rows(MEDIA, TEXTS, TOYS, ks=(1,), folds=4)
    part, means = found.direction("text_to_image"), []
    for fold in range(4):
        inside = fold == OWNER // 5
        qrels = Qrels.from_owner(OWNER[inside] - 5 * fold, 5).T
        means.append(
            evaluate_embeddings(TEXTS[inside], MEDIA[5 * fold : 5 * fold + 5], qrels, ks=(1,)).mean(
                "R@1"
            )
        )
    assert part["R@1"].value == pytest.approx(np.mean(means))
    assert part.groups.tolist() == OWNER.tolist()


def test_folds_of_unequal_size_keep_the_worst_rank_and_stay_below_one(tmp_path):
    # Fold 0 has 2 images with a caption each, fold 1 has 2 images with 1 and 9 captions.
    owner = np.array([0, 1, 2, *[3] * 9])
    media = np.eye(4)
    texts = media[owner]
    media[2] = texts[-1] - 0.1 * media[2]  # image 2 is like the captions of image 3
    found = evaluate_rows(media, texts, corpus(owner, 4), ks=(1,), folds=2)
    part = found.direction("image_to_text")
    assert part.n_gallery == 10 and part.first_ranks.max() == 10
    again = Result.load(found.save(tmp_path / "folds.json"))
    assert again.direction("image_to_text").first_ranks.tolist() == part.first_ranks.tolist()
    # The mean of the folds weighs the queries of the small one more; still no resample is above 1.
    to_image = found.direction("text_to_image")["R@1"]
    assert to_image.value == pytest.approx((1 + 9 / 10) / 2) and to_image.high <= 1


# ---- remedies


def test_transductive_and_querybank_results_say_so():
    bank = rows(seed=7)
    plain = {"ks": (1, 5)}
    found = evaluate_rows(MEDIA, TEXTS, TOYS, inference="transductive", beta=10.0, **plain)
    assert (found.protocol.inference, found.protocol.method) == (
        "transductive",
        "dual softmax (beta=10)",
    )
    run = dual_softmax(Cosines(TEXTS, MEDIA), beta=10.0, depth=N_ITEMS)
    part = found.direction("text_to_image")
    assert part["R@1"].value == (run.ids[:, 0] == OWNER).mean()
    assert set(part.values) == {"R@1", "R@5", "MRR", "R-precision", "MAP@R", "MedR", "MeanR"}
    found = evaluate_rows(
        MEDIA, TEXTS, TOYS, inference="querybank", banks={"text": bank[1]}, **plain
    )
    assert [part.direction for part in found.directions] == ["text_to_image"] and found.rsum is None
    run = qb_norm(Cosines(TEXTS, MEDIA), Cosines(bank[1], MEDIA))
    assert found.directions[0]["R@1"].value == (run.ids[:, 0] == OWNER).mean()
    assert found.protocol.inference == "querybank"


def test_an_adjusted_ranking_of_a_large_gallery_is_cut(monkeypatch):
    monkeypatch.setattr("lib.studies.published.evaluation.WHOLE_RUN_CELLS", 100)
    monkeypatch.setattr("lib.studies.published.evaluation.RUN_DEPTH", 10)
    noise = np.random.default_rng(1).normal(size=(OWNER.size, DIM))
    found = evaluate_rows(MEDIA, noise, TOYS, inference="transductive")
    part = found.direction("text_to_image")
    assert "MRR@10" in part.values and np.isinf(part["MeanR"].value)
    assert part["R@10"].value == np.isfinite(part.first_ranks).mean()


# ---- encoding


EVERY = [
    np.concatenate(both) for both in zip((MEDIA, TEXTS), rows(seed=9), strict=True)
]  # test, then bank


class Encoder:
    """Knows the embeddings by position; counts what it is asked to encode."""

    identity = {"model": "toy", "tag": "one", "prompt": "a photo of {}", "precision": "bf16"}

    def __init__(self):
        self.encoded = 0

    def encode_image(self, items):
        self.encoded += len(items)
        return EVERY[0][list(items)]

    def encode_text(self, texts):
        self.encoded += len(texts)
        return EVERY[1][[int(text.split()[1]) for text in texts]]


def test_a_corpus_is_encoded_once(tmp_path, result):
    encoder = Encoder()
    found = evaluate_corpus(encoder, TOYS, folder=tmp_path)
    assert encoder.encoded == N_ITEMS + OWNER.size
    assert [part["R@1"] for part in found.directions] == [part["R@1"] for part in result.directions]
    assert (found.protocol.prompt, found.protocol.precision) == ("a photo of {}", "bf16")
    assert found.name == "toy one"
    evaluate_corpus(encoder, TOYS, folder=tmp_path)
    assert encoder.encoded == N_ITEMS + OWNER.size


def test_a_bank_is_cleared_of_test_queries(tmp_path):
    n = OWNER.size
    texts = [f"text {n + text} of the bank" for text in range(n - 1)] + [
        f"  {TOYS.texts[3].upper()}"
    ]
    bank = corpus(split="train", media=range(N_ITEMS, 2 * N_ITEMS), texts=texts)
    found = evaluate_corpus(_Lower(), TOYS, bank=bank, folder=tmp_path, inference="querybank")
    assert found.protocol.inference == "querybank" and len(found.directions) == 2
    method = "QB-Norm (beta=20, k=1), bank of"
    assert found.protocol.method == f"{method} {N_ITEMS}; {method} {n - 1}"
    expected = evaluate_rows(
        MEDIA, TEXTS, TOYS, inference="querybank",
        banks={"text": EVERY[1][n : 2 * n - 1], "image": EVERY[0][N_ITEMS:]},
    )  # fmt: skip
    for mine, other in zip(found.directions, expected.directions, strict=True):
        assert (mine.first_ranks == other.first_ranks).all()


class _Lower(Encoder):
    """Reads no capitals, as many tokenizers."""

    def encode_text(self, texts):
        return super().encode_text([text.lower() for text in texts])


# ---- what must be refused


@pytest.mark.parametrize(
    "given, options, message",
    [
        ({"media": MEDIA[:-1]}, {}, r"19 image rows for 20 images of toys"),
        ({"texts": TEXTS[:-1]}, {}, r"107 text rows for 108 texts of toys"),
        ({"texts": TEXTS * np.nan}, {}, "text rows has the value nan in row 0"),
        ({"texts": TEXTS[:, :-1]}, {}, "dimension"),
        ({}, {"folds": 3}, "must divide the 20 items of toys, got 3"),
        ({}, {"folds": 1}, "folds must be at least 2"),
        ({}, {"first_fold": True}, "first_fold needs the number of folds"),
        ({}, {"judgements": "eccv"}, "eccv judges the captions of COCO, not toys"),
        ({}, {"judgements": "cxx"}, "judgements must be one of .* Did you mean 'cxc'"),
        ({}, {"inference": "querybank"}, "banks go together"),
        ({}, {"banks": {"text": TEXTS}}, "banks go together"),
        (
            {},
            {"inference": "querybank", "banks": {"audio": TEXTS}},
            "banks are of audio, the corpus has text",
        ),
        ({}, {"inference": "dsl"}, "inference must be one of"),
    ],
)
def test_bad_input_is_named(given, options, message):
    with pytest.raises(RetrievalInputError, match=message):
        evaluate_rows(given.get("media", MEDIA), given.get("texts", TEXTS), TOYS, **options)
