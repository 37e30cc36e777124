"""Zero-shot classification: goldens by hand, and the numbers of open_clip and CLIP_benchmark."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.datasets.class_folders import ClassifiedPictures
from lib.datasets.class_prompts import imagenet_class_names, imagenet_templates
from lib.studies.published import (
    Result,
    compare_results,
    evaluate_corpus,
    evaluate_ranking,
    evaluate_rows,
)
from lib.studies.published.classification import mean_recall_interval
from lib.studies.published.embeddings_file import read_embeddings, read_run
from lib.studies.published.main_metric import main_metric


def classes(labels, n_classes=None, templates=("a {}",), **fields) -> ClassifiedPictures:
    labels = np.asarray(labels)
    n = n_classes or int(labels.max()) + 1
    given = {
        "texts": [f"picture {at}" for at in range(len(labels))],
        "text_ids": tuple(f"p{at}" for at in range(len(labels))),
        "media": tuple(f"class {at}" for at in range(n)),
        "item_ids": tuple(f"c{at}" for at in range(n)),
    }
    return ClassifiedPictures(
        name="class-folders: toys", split="val", query_modality="image", modality="text",
        qrels=Qrels.from_pairs(np.arange(len(labels)), labels, shape=(len(labels), n)),
        counts=(), templates=templates, **{**given, **fields},
    )  # fmt: skip


def measured(result, metric):
    (part,) = result.directions
    return part[metric].value


def test_scores_by_hand_with_ties_as_wrong():
    """Classes are the axes of six dimensions; each row names the scores of its picture."""
    scores = [
        [9, 1, 0, 0, 0, 0],  # class 0: right
        [5, 7, 1, 1, 0, 0],  # class 0: second
        [4, 4, 1, 0, 0, 0],  # class 0: tied with class 1, so second
        [0, 1, 2, 3, 4, 5],  # class 0: last, beyond the best five
        [0, 9, 0, 0, 0, 0],  # class 1: right
        [0, 0, 9, 1, 0, 0],  # class 2: right
        [0, 0, 3, 2, 0, 0],  # class 3: second
    ]
    corpus = classes([0, 0, 0, 0, 1, 2, 3], n_classes=6)  # classes 4 and 5 have no picture
    result = evaluate_rows(np.eye(6), np.array(scores, float), corpus)
    (part,) = result.directions
    assert part.direction == "image_to_text" and list(part.values) == [
        "acc1", "acc5", "mean_per_class_recall",
    ]  # fmt: skip
    assert measured(result, "acc1") == pytest.approx(3 / 7)
    assert measured(result, "acc5") == pytest.approx(6 / 7)
    assert measured(result, "mean_per_class_recall") == pytest.approx((1 / 4 + 1 + 1 + 0) / 4)
    assert part["acc1"].chance == pytest.approx(1 / 6) and part.tie_share == pytest.approx(1 / 7)
    assert main_metric(result, part) == "acc1" and result.rsum is None
    assert result.protocol.captions == "names in 'a {}'"


def test_few_classes_have_no_top_five(tmp_path):
    result = evaluate_rows(np.eye(3), np.eye(3), classes([0, 1, 2]), identity={"model": "a"})
    assert list(result.directions[0].values) == ["acc1", "mean_per_class_recall"]
    again = Result.load(result.save(tmp_path / "r.json"))
    assert again.protocol == result.protocol and measured(again, "acc1") == 1


def test_the_numbers_of_clip_benchmark(monkeypatch):
    torch = pytest.importorskip("torch")
    oracle = pytest.importorskip("clip_benchmark.metrics.zeroshot_classification")
    # Version 1.6.2 converts arrays of one number by float(), which numpy 2 no longer does.
    monkeypatch.setattr(oracle, "float", lambda array: array.item(), raising=False)
    balanced = pytest.importorskip("sklearn.metrics").balanced_accuracy_score
    rng = np.random.default_rng(0)
    labels = np.sort(rng.integers(0, 12, 300))
    rows = rng.normal(size=(12, 16)).astype(np.float32)
    pictures = (rows[labels] + 1.2 * rng.normal(size=(300, 16))).astype(np.float32)
    result = evaluate_rows(rows, pictures, classes(labels, n_classes=12))
    unit = [matrix / np.linalg.norm(matrix, axis=1, keepdims=True) for matrix in (pictures, rows)]
    logits, target = torch.tensor(unit[0] @ unit[1].T), torch.tensor(labels)
    acc1, acc5 = oracle.accuracy(logits, target, topk=(1, 5))
    assert 0.3 < acc1 < acc5 < 1
    assert measured(result, "acc1") == pytest.approx(acc1, abs=1e-9)
    assert measured(result, "acc5") == pytest.approx(acc5, abs=1e-9)
    recall = balanced(labels, logits.argmax(1).numpy())
    assert measured(result, "mean_per_class_recall") == pytest.approx(recall, abs=1e-9)


def test_lists_of_open_clip_read_by_path():
    open_clip = pytest.importorskip("open_clip")
    assert imagenet_class_names() == tuple(open_clip.IMAGENET_CLASSNAMES)
    of_openai = [template("x{}y") for template in open_clip.OPENAI_IMAGENET_TEMPLATES]
    mine = [template.replace("{}", "x{}y") for template in imagenet_templates()]
    assert mine == of_openai and len(mine) == 80
    assert len(imagenet_templates("simple")) == 7
    names = imagenet_class_names()
    assert len(names) == 1000 and len(set(names)) < 1000  # equal names tie, and count as wrong


def test_class_vectors_are_those_of_open_clip():
    torch = pytest.importorskip("torch")
    open_clip = pytest.importorskip("open_clip")
    from lib.models.encoder import load_encoder

    encoder = load_encoder("scenes")
    towers = encoder._towers

    class Model:
        def encode_text(self, tokens, normalize):
            return torch.nn.functional.normalize(towers.text_features(tokens), dim=-1)

    names = ("red circle", "blue star", "moon")
    templates = imagenet_templates("simple")
    corpus = classes([0, 1, 2], templates=templates, media=names)
    mine = corpus.class_rows(encoder.encode_text(corpus.prompts))
    theirs = open_clip.build_zero_shot_classifier(Model(), towers.tokenize, names, templates)
    np.testing.assert_allclose(mine, theirs.T.numpy(), atol=1e-6)


def test_intervals_of_the_mean_recall():
    """The variance within classes is sum of p (1 - p) / n, over the squared number of classes."""
    n, right = np.array([400, 100]), np.array([200, 20])
    value, low, high = mean_recall_interval(right, n)
    error = np.sqrt(0.25 / 400 + 0.16 / 100) / 2
    assert value == pytest.approx(0.35)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1) and low < value < high
    assert mean_recall_interval(np.array([3, 3]), np.array([3, 3])) == (1, 1, 1)
    assert np.isnan(mean_recall_interval(np.array([1, 0]), np.array([1, 1]))[1:]).all()


class Encoder:
    """Encode a class or its picture as an axis, by the last number of the text."""

    def __init__(self, prompt="{}"):
        self.identity, self.seen = {"model": "toy", "prompt": prompt}, []

    def encode_text(self, texts, progress=None):
        self.seen += texts
        return np.eye(4)[[int(text.split()[-1]) for text in texts]]

    encode_image = encode_text


def test_templates_are_encoded_and_a_prompt_is_refused(tmp_path):
    corpus = classes([0, 1, 2, 3], templates=("a {}", "the {}"))
    encoder = Encoder()
    result = evaluate_corpus(encoder, corpus, folder=tmp_path)
    assert encoder.seen[:3] == ["a class 0", "the class 0", "a class 1"] and len(encoder.seen) == 12
    assert measured(result, "acc1") == 1
    with pytest.raises(RetrievalInputError, match="bring their own templates, and the prompt 'a {"):
        evaluate_corpus(Encoder("a {}"), corpus, folder=tmp_path)
    options = {"bank": corpus, "inference": "querybank", "folder": tmp_path}
    with pytest.raises(RetrievalInputError, match="queries in words.*asks with images"):
        evaluate_corpus(encoder, corpus, **options)
    other = evaluate_corpus(encoder, classes([0, 1, 2, 3], templates=("one {}",)), folder=tmp_path)
    (row,) = compare_results(result, other, allow=["captions"])
    assert (row["metric"], row["difference"], row["only_a"]) == ("acc1", 0, 0)
    with pytest.raises(RetrievalInputError, match="captions: 'names in 2 templates"):
        compare_results(result, other)


def test_own_rows_and_a_run_of_pictures_and_classes(tmp_path):
    corpus = classes([0, 0, 1, 2])
    path = tmp_path / "rows.npz"
    ids = {"image_ids": ["p3", "p2", "p1", "p0"], "text_ids": ["c0", "c1", "c2"]}
    np.savez(path, image=np.eye(3)[[2, 1, 1, 0]], text=np.eye(3), **ids)
    given = read_embeddings(path, corpus)
    result = evaluate_rows(given.media, given.text, corpus)
    assert measured(result, "acc1") == 3 / 4  # p1 is taken for class 1
    assert measured(result, "mean_per_class_recall") == pytest.approx((1 / 2 + 1 + 1) / 3)
    run = tmp_path / "mine.run"
    run.write_text("".join(f"p{at} Q0 c{found} 1 1.0 mine\n" for at, found in enumerate([0, 1, 1])))
    direction, ranking = read_run(run, corpus)
    assert measured(evaluate_ranking(ranking, direction, corpus), "acc1") == 2 / 4  # p3: nothing
