"""The second stage over the service: the order of the collection, page by page."""

import pytest

from lib.datasets import scenes
from lib.search.collection import Collection
from tests.search.collection.test_reranking import made

N = 12


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    task = scenes.task("test", n_images=N)
    return made(tmp_path_factory.mktemp("served_scenes"), "scenes", task.gallery)[0], task.queries


@pytest.fixture
def client(serve, scene, monkeypatch):
    monkeypatch.undo()  # the encoder of these pictures, not the one of colours
    return serve(scene[0].folder.path)


def ids(answer) -> list[int]:
    return [hit["id"] for hit in answer.json()["hits"]]


def test_pages_of_the_second_stage_follow_from_one_token(client, scene):
    opened, texts = scene
    wish = {"rerank": "maxsim", "candidates": 6, "fold": False}
    expected = opened.search(texts[0], N, fold=False, rerank="maxsim", candidates=6)
    first = client.post("/search", json={"text": texts[0], "k": 5, **wish})
    assert first.json()["second_stage"] == ["The best 6 by cosine are ordered by MaxSim."]
    token = first.json()["query"]
    second = client.post("/search", json={"query": token, "k": 7, "offset": 5, **wish})
    assert ids(first) + ids(second) == [hit.id for hit in expected.hits]
    scores = [hit["second_score"] for hit in first.json()["hits"] + second.json()["hits"]]
    assert scores[:6] == pytest.approx([hit.second_score for hit in expected.hits[:6]], abs=1e-4)
    assert scores[6:] == [None] * 6 and second.json()["query"] == token


def test_what_the_second_stage_refuses_is_400(client, scene, serve, folder):
    _, texts = scene
    assert client.get("/collections").json()[0]["second_stages"] == ["maxsim", "cross-encoder"]
    plain = client.post("/search", json={"text": texts[0]}).json()
    assert plain["second_stage"] == [] and plain["hits"][0]["second_score"] is None
    for query, status, message in (
        ({"text": texts[0], "rerank": "maxsin"}, 400, "Did you mean 'maxsim'"),
        ({"like": [1], "rerank": "maxsim"}, 400, "must be text alone, got like"),
        ({"query": plain["query"], "rerank": "maxsim"}, 400, "answer with rerank; send the text"),
        ({"text": texts[0], "candidates": 0}, 422, "candidates must be greater than"),
        ({"text": texts[0], "candidates": 10**6}, 422, "candidates must be less than"),
    ):
        answer = client.post("/search", json=query)
        assert answer.status_code == status and message in answer.json()["error"]


def test_a_model_without_one_is_400(serve, folder):
    client = serve(folder)
    assert client.get("/collections").json()[0]["second_stages"] == []
    answer = client.post("/search", json={"text": "red", "rerank": "maxsim"})
    assert answer.status_code == 400 and "'colours'" in answer.json()["error"]
    assert Collection(folder).search("red").second_stage == ()
