"""A collection that is replaced while it is searched."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.search.service import opened
from lib.search.service.opened import OpenCollection
from tests.search.collection.conftest import COLOURS, paint


@pytest.fixture(autouse=True)
def look_always(monkeypatch):
    monkeypatch.setattr(opened, "LOOK_AGAIN_S", 0.0)


def test_no_request_fails_while_the_collection_is_replaced(serve, build, pictures, tmp_path):
    build(pictures)
    client = serve(tmp_path / "collection")
    stop, statuses, sizes = threading.Event(), [], set()

    def ask():
        while not stop.is_set():
            answer = client.post("/search", json={"text": "red", "k": 50, "fold": False})
            statuses.append(answer.status_code)
            hits = answer.json()["hits"]
            sizes.add(len(hits))
            kept = next(hit["id"] for hit in hits if hit["name"] == "red/red_0.png")
            statuses.append(client.get(f"/thumbnail/collection/{kept}").status_code)
            statuses.append(client.get(f"/item/collection/{kept}").status_code)

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        try:
            for number in range(6):
                for colour in COLOURS:
                    paint(pictures / f"new_{number}_{colour}.png", colour, shade=5 * number)
                if number:
                    (pictures / f"new_{number - 1}_red.png").unlink()
                build(pictures)
        finally:
            stop.set()
        for future in asking:
            future.result()
    assert set(statuses) == {200}
    client.app.state.opened.by_name["collection"].refresh()
    answer = client.post("/search", json={"text": "red", "k": 50, "fold": False})
    assert len(answer.json()["hits"]) == 9 + 18 - 5 and len(sizes) > 1


def test_a_thumbnail_of_a_part_that_is_gone_comes_from_the_new_one(
    serve, build, pictures, tmp_path, monkeypatch
):
    build(pictures)
    client = serve(tmp_path / "collection")
    monkeypatch.setattr(opened, "LOOK_AGAIN_S", 1e9)  # it does not look by itself
    paint(pictures / "red" / "more.png", "red", shade=7)
    build(pictures)  # joins both parts into a new one, and removes them
    assert client.get("/thumbnail/collection/0").status_code == 200
    assert client.get("/item/collection/9").json()["path"] == "red/more.png"


def test_a_damaged_collection_does_not_take_the_place_of_a_good_one(build, pictures, tmp_path):
    build(pictures)
    one = OpenCollection("collection", tmp_path / "collection")
    good = one.collection
    (tmp_path / "collection" / "collection.json").write_text("{")
    one.refresh()
    assert one.collection is good
    (tmp_path / "collection" / "collection.json").unlink()
    one.refresh()
    assert one.collection is good


def test_suggestions_are_those_of_the_new_collection(build, pictures, tmp_path):
    build(pictures)
    one = OpenCollection("collection", tmp_path / "collection")
    assert one.suggest("re") == ["red"] and one.suggest("x") == []
    paint(pictures / "red" / "remarkable_sunset.png", "red", shade=9)
    build(pictures)
    one.refresh()
    assert one.suggest("re") == ["red", "remarkable"] and one.suggest("SUN") == ["sunset"]


def test_words_of_a_large_collection_come_from_pictures_at_equal_distances(
    build, pictures, tmp_path, monkeypatch
):
    build(pictures)
    collection = OpenCollection("collection", tmp_path / "collection").collection
    assert opened.frequent_words(collection) == ["blue", "green", "red"]
    monkeypatch.setattr(opened, "MOST_READ", 2)  # the first and the last one
    assert opened.frequent_words(collection) == ["blue", "red"]
