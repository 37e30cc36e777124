"""Two stages in a collection: the order of the plain two stages, from files, shards, thumbnails."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.datasets import icons, scenes
from lib.models.artifact_files import load_card, read_artifact
from lib.models.cross_encoder import CrossEncoder
from lib.models.encoder import load_encoder
from lib.models.trained_models import load_model
from lib.search import Interpolate, Retriever, Run, TwoStageRetriever, best_first
from lib.search.collection import Collection, Query, build_collection, model_of, reranking
from lib.search.collection.exporting import export
from lib.search.collection.reranking import SECOND_STAGES, SecondStage
from lib.search.cross_encoder import CrossEncoderRetriever
from lib.search.late_interaction import LateInteractionRetriever
from lib.search.stores.base import Store

N = 24  # pictures
KINDS = {"late_interaction": "maxsim", "cross_encoder": "cross-encoder"}


class Cosines(Retriever):
    """The first stage by numpy: float cosines of all pictures."""

    def __init__(self, encoder, rows):
        super().__init__(len(rows), None, ("cosine",))
        self.encoder, self.rows = encoder, rows

    def encode(self, queries, modality):
        return self.encoder.encode_text(queries)

    def search(self, queries, k):
        items = np.broadcast_to(np.arange(self.n_items), (len(queries), self.n_items))
        return Run.of_one_stage(*best_first(queries @ self.rows.T, items, k), "cosine")


def made(folder, model, pixels):
    """Index pictures as PNG files, in the order of their names and so of their ids."""
    (folder / "pictures").mkdir()
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / "pictures" / f"{number:02d}.png")
    encoder = load_encoder(model)
    build_collection([folder / "pictures"], folder / "mine", encoder, model_of(model, None))
    return Collection(folder / "mine"), encoder


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Twenty-four scenes and their captions: collection, encoder, texts, pixels."""
    task = scenes.task("test", n_images=N)
    folder = tmp_path_factory.mktemp("scenes")
    return *made(folder, "scenes", task.gallery), task.queries, task.gallery


@pytest.fixture(scope="module")
def icon(tmp_path_factory):
    """Twenty-four icons and names, without the one whose ink is its whole border."""
    task = icons.task("test")
    pixels = np.delete(task.gallery, 4, axis=0)[:N]
    return *made(tmp_path_factory.mktemp("icons"), "icons", pixels), task.queries, pixels


def plain(opened, encoder, name, pixels, candidates):
    """The two stages without a collection."""
    model_name = opened.manifest.model["name"]
    chosen = SECOND_STAGES[model_name][name]
    model = load_model(chosen.artifact)
    if isinstance(model, CrossEncoder):
        second = CrossEncoderRetriever(model, model.read_image(pixels))
    else:
        second = LateInteractionRetriever(model, model.encode_image(pixels))
    combine = None if chosen.weight == 1 else Interpolate(chosen.weight)
    first = Cosines(encoder, opened.vectors(np.arange(N)))
    return TwoStageRetriever(first, second, candidates, combine=combine)


@pytest.mark.parametrize("name", ["maxsim", "cross-encoder"])
@pytest.mark.parametrize("kind", ["scene", "icon"])
def test_the_order_is_that_of_the_plain_two_stages(request, kind, name):
    opened, encoder, texts, pixels = request.getfixturevalue(kind)
    two, moved = plain(opened, encoder, name, pixels, 10), 0
    for query in texts[:5]:
        run = two.search(two.encode([query], "text"), N)
        found = opened.search(query, N, fold=False, rerank=name, candidates=10)
        assert [hit.id for hit in found.hits] == run.ids[0].tolist()
        scores = [hit.second_score for hit in found.hits]
        assert scores[:10] == pytest.approx(run.scores[0, :10].tolist(), abs=1e-4)
        assert scores[10:] == [None] * (N - 10)
        assert found.second_stage == (
            f"The best 10 by cosine are ordered by {two.score_names[1]}.",
        )
        first = opened.search(query, N, fold=False)
        cosines = {hit.id: hit.score for hit in first.hits}
        assert all(hit.score == pytest.approx(cosines[hit.id], abs=1e-6) for hit in found.hits)
        moved += [hit.id for hit in first.hits] != run.ids[0].tolist()
    assert moved  # the second stage changes something


def test_pages_and_conditions_keep_the_one_order(scene):
    opened, _, texts, _ = scene
    whole = opened.search(texts[0], N, fold=False, rerank="maxsim", candidates=10)
    pages = [
        opened.search(texts[0], 6, offset=at, fold=False, rerank="maxsim", candidates=10)
        for at in range(0, N, 6)
    ]
    assert [h.id for page in pages for h in page.hits] == [h.id for h in whole.hits]
    assert [page.more for page in pages] == [True, True, True, False]
    some = opened.search(texts[0], N, where="id < 5", fold=False, rerank="maxsim")
    assert sorted(hit.id for hit in some.hits) == list(range(5))
    assert all(hit.second_score is not None for hit in some.hits)
    assert opened.search(texts[0], where="id > 99", rerank="maxsim").hits == ()


def test_pictures_are_read_once(scene, monkeypatch):
    opened, _, texts, _ = scene
    fresh, read = Collection(opened.folder.path), []
    pictures = fresh.pictures
    monkeypatch.setattr(fresh, "pictures", lambda ids: read.append(list(ids)) or pictures(ids))
    for query in texts[:3]:
        fresh.search(query, rerank="maxsim", candidates=N)
    assert sorted(read[0]) == list(range(N)) and read[1:] == [[], []]
    monkeypatch.setattr(reranking, "MOST_KEPT", 4)
    other = Collection(opened.folder.path)
    found = other.search(texts[0], N, fold=False, rerank="maxsim", candidates=N)
    assert len(other._second_stage("maxsim")._tokens) == 4
    again = fresh.search(texts[0], N, fold=False, rerank="maxsim", candidates=N)
    assert [hit.id for hit in found.hits] == [hit.id for hit in again.hits]


def test_what_is_gone_is_read_from_its_thumbnail_and_said(tmp_path):
    task = scenes.task("test", n_images=3)
    opened, _ = made(tmp_path, "scenes", task.gallery)
    (tmp_path / "pictures" / "01.png").unlink()
    (tmp_path / "pictures" / "02.png").write_bytes(b"no picture")
    for _ in range(2):  # thumbnails are not kept: a file may come back
        found = opened.search(task.queries[0], fold=False, rerank="maxsim")
        assert found.second_stage[1].startswith("2 of them were read from their thumbnails")
        assert len(found.hits) == 3
    again, thumbnails = next((p, t) for item, p, t in opened.pictures([2]) if item == 2)
    assert thumbnails and again.size == (64, 64)


def test_members_of_a_shard_are_read(tmp_path, scene):
    opened, encoder, texts, pixels = scene
    with tarfile.open(tmp_path / "00000.tar", "w") as archive:
        for number, picture in enumerate(pixels[:4]):
            stream = io.BytesIO()
            Image.fromarray(picture).save(stream, "PNG")
            info = tarfile.TarInfo(f"{number:09d}.png")
            info.size = len(stream.getvalue())
            archive.addfile(info, io.BytesIO(stream.getvalue()))
    build_collection([tmp_path / "00000.tar"], tmp_path / "mine", encoder, model_of("scenes", None))
    packed = Collection(tmp_path / "mine")
    where = "id < 4"
    found = packed.search(texts[0], fold=False, rerank="maxsim")
    loose = opened.search(texts[0], where=where, fold=False, rerank="maxsim")
    assert [hit.id for hit in found.hits] == [hit.id for hit in loose.hits]
    assert len(found.second_stage) == 1
    (tmp_path / "00000.tar").write_bytes(b"damaged")
    packed = Collection(tmp_path / "mine")
    assert "4 of them" in packed.search(texts[0], rerank="maxsim").second_stage[1]


def test_exports_hold_the_second_score(scene, tmp_path):
    opened, _, texts, _ = scene
    hits = opened.search(texts[0], 4, fold=False, rerank="maxsim", candidates=2).hits
    export(opened, hits, tmp_path / "hits.csv")
    head, *rows = (tmp_path / "hits.csv").read_text().splitlines()
    assert head.startswith("rank,score,second_score,id,")
    assert [row.split(",")[2] != "" for row in rows] == [True, True, False, False]
    export(opened, opened.search(texts[0], 4).hits, tmp_path / "plain.csv")
    assert "second_score" not in (tmp_path / "plain.csv").read_text()


def test_bad_input_says_what_to_do(scene, build, pictures, tmp_path):
    opened, *_ = scene
    assert opened.second_stages == ("maxsim", "cross-encoder")
    with pytest.raises(RetrievalInputError, match="rerank must be .*maxsim"):
        opened.search("a red square", rerank="maxim")
    for wrong in (0, 1_001, 2.5):
        with pytest.raises(RetrievalInputError, match="candidates must be"):
            opened.search("a red square", rerank="maxsim", candidates=wrong)
    for query, got in (
        (Query(text="red", like=(1,)), "got like"),
        (Query(text="red", without=("blue",), image=Image.new("RGB", (9, 9))), "image and without"),
        (Query(vector=np.ones(opened.dim)), "got vector"),
        (Query(), "got no text"),
    ):
        with pytest.raises(RetrievalInputError, match=got):
            opened.search(query, rerank="maxsim")
    build(pictures)
    other = Collection(tmp_path / "collection")
    assert other.second_stages == ()
    with pytest.raises(RetrievalInputError, match="'colours' .* none: icons has maxsim, cross"):
        other.search("red", rerank="maxsim")
    with pytest.raises(RetrievalInputError, match="a database holds none"):
        Store.pictures(None, [1])


def test_the_table_names_what_was_trained_on_what():
    for base, stages in SECOND_STAGES.items():
        for name, chosen in stages.items():
            config = read_artifact(chosen.artifact)[0]
            assert load_card(chosen.artifact)["base"] == base
            assert KINDS[config["kind"]] == name


@pytest.mark.slow
def test_the_weights_are_those_of_the_validation_split():
    from lib.studies.architectures.systems import mixing_weight

    for chosen in SECOND_STAGES["icons"].values():
        best = mixing_weight("icons", ("icons", chosen.artifact), 50)
        assert chosen.weight == pytest.approx(best)


def test_equal_scores_go_by_id():
    class Level:
        score_names = ("level",)

        def encode(self, words, modality):
            return words

        def score(self, words, positions):
            return np.zeros(positions.shape, np.float32)

    stage = SecondStage.__new__(SecondStage)
    stage._weight = 1
    stage._tokens_of = lambda ids, read: (None, 0)
    stage._scorer_over = lambda tokens: Level()
    found = stage.order("red", np.float32([0.9, 0.5, 0.7]), np.array([8, 2, 5]), None)
    assert found.ids.tolist() == [2, 5, 8] and found.cosines.tolist() == pytest.approx(
        [0.5, 0.7, 0.9]
    )
