"""Every endpoint: what it answers, and how it refuses."""

import asyncio
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.search.collection import Collection
from lib.search.collection import collection as opened
from lib.search.service import create_app
from lib.search.service.batching import TextBatcher
from tests.search.service.conftest import in_a_loop, upload


def search(client, **query):
    answer = client.post("/search", json=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def names(answer) -> list[str]:
    return [hit["columns"]["path"] for hit in answer["hits"]]


def test_words_find_what_the_collection_finds(client, folder):
    answer = search(client, text="red", k=5)
    expected = Collection(folder).search("red", k=5)
    assert [hit["id"] for hit in answer["hits"]] == [hit.id for hit in expected.hits]
    assert [hit["score"] for hit in answer["hits"]] == [hit.score for hit in expected.hits]
    assert (answer["mean"], answer["deviation"]) == (expected.mean, expected.deviation)
    first = answer["hits"][0]
    assert (first["rank"], first["name"]) == (1, "a red page 0") and answer["more"]
    assert (
        first["columns"] | {"year": 2000, "price": 1.5, "bought": "2020-01-01"} == first["columns"]
    )
    assert answer["hits"][1]["columns"]["price"] is None  # not a number is no JSON
    short = client.get("/search", params={"q": "red", "k": 5}).json()
    assert short["hits"] == answer["hits"]


def test_pages_follow_from_one_token_without_encoding(client, encoder):
    whole = names(search(client, text="green", k=13, fold=False))
    first = search(client, text="green", k=4, fold=False)
    encoder.encode_text = None  # calling it would be an error
    second = search(client, query=first["query"], k=4, offset=4, fold=False)
    third = search(client, query=first["query"], k=5, offset=8, fold=False)
    assert names(first) + names(second) + names(third) == whole
    assert [h["rank"] for h in second["hits"]] == [5, 6, 7, 8] and second["query"] == first["query"]
    assert [page["more"] for page in (first, second, third)] == [True, True, False]


def test_pictures_drawings_vectors_and_likes(client, folder):
    for picture in (upload(), f"data:image/png;base64,{upload()}", upload(kind="JPEG")):
        assert names(search(client, image=picture, k=1)) == ["blue again.png"]
    assert search(client, strokes=[[[0.1, 0.1], [0.9, 0.9]], [[0.5, 0.5]]])["hits"]
    collection = Collection(folder)
    item = search(client, text="green", k=1)["hits"][0]["id"]
    vector = collection.vectors(np.array([collection.position(item)]))[0].tolist()
    assert search(client, vector=vector, k=1)["hits"][0]["id"] == item
    like = search(client, like=[item], k=3)
    assert names(like)[0] == "green_20.png" and item not in [hit["id"] for hit in like["hits"]]
    mixed = {"text": "red", "image": upload()}
    assert names(search(client, **mixed, image_weight=1, k=1)) == ["blue again.png"]
    assert names(search(client, **mixed, image_weight=0, k=1)) == ["red_0.png"]
    away = {hit["id"]: hit["score"] for hit in search(client, text="red", without=["blue"])["hits"]}
    assert away != {hit["id"]: hit["score"] for hit in search(client, text="red")["hits"]}


def test_conditions_and_copies(client):
    assert names(
        search(client, text="red", where="year == 2040 and contains(caption, 'GREEN')")
    ) == ["green_40.png"]
    assert search(client, text="red", where="year == 1")["hits"] == []
    folded = search(client, text="blue", k=1)["hits"][0]
    assert len(folded["copies"]) == 2
    assert all(not hit["copies"] for hit in search(client, text="blue", fold=False)["hits"])


def test_a_picture_its_thumbnail_and_its_files(client, folder):
    hit = search(client, text="red", k=1)["hits"][0]
    place = f"mine/{hit['id']}"
    item = client.get(f"/item/{place}").json()
    assert item["path"] == "red_0.png" and item["year"] == 2000 and "mtime_ns" not in item
    small = client.get(f"/thumbnail/{place}")
    assert small.headers["content-type"] == "image/jpeg" and small.content[:2] == b"\xff\xd8"
    content = (folder.parent / "pictures" / "red_0.png").read_bytes()
    original = client.get(f"/original/{place}")
    assert original.content == content
    assert original.headers["content-disposition"].endswith(f"mine-{hit['id']}.png")
    green = search(client, text="green", k=1)["hits"][0]
    both = client.get("/originals/mine", params={"ids": [green["id"], hit["id"]]})
    with zipfile.ZipFile(io.BytesIO(both.content)) as archive:
        assert archive.namelist() == ["0001_a_green_page_0.png", "0002_a_red_page_0.png"]
        assert archive.read("0002_a_red_page_0.png") == content


def test_a_file_that_is_gone_is_told_without_its_folder(serve, build, pictures, tmp_path):
    build(pictures)
    client = serve(tmp_path / "collection")
    (pictures / "red" / "red_0.png").unlink()
    hit = search(client, text="red", k=1)["hits"][0]
    answer = client.get(f"/original/collection/{hit['id']}")
    assert answer.status_code == 404 and "red/red_0.png is missing" in answer.json()["error"]
    assert str(tmp_path) not in answer.text
    both = client.get("/originals/collection", params={"ids": [hit["id"]]})
    with zipfile.ZipFile(io.BytesIO(both.content)) as archive:
        assert archive.namelist() == ["not_copied.txt"]


def test_names_of_collections_and_of_words(serve, folder, build, pictures, tmp_path):
    build(pictures, out=tmp_path / 'Bilder "ü" 写真')
    client = serve(folder, tmp_path / 'Bilder "ü" 写真')
    first, second = client.get("/collections").json()
    assert (
        first["name"] == "mine" and first["pictures"] == 13 and first["columns"]["year"] == "int64"
    )
    assert "thumbnail_at" not in first["columns"] and len(first["examples"]) == 12
    answer = search(client, text="red", collection=second["name"], k=1)
    place = f"{second['name']}/{answer['hits'][0]['id']}"
    assert client.get(f"/thumbnail/{place}").status_code == 200
    assert "%22%C3%BC%22" in client.get(f"/original/{place}").headers["content-disposition"]
    assert 'collection="Bilder \\"ü\\" 写真"} 9' in client.get("/metrics").text
    assert client.get("/suggest", params={"prefix": "Gre"}).json() == ["green"]
    assert client.get("/suggest").json()[:2] == ["page", "green"]
    assert "png" not in client.get("/suggest").json()
    with pytest.raises(RetrievalInputError, match="two collections are called 'mine'"):
        create_app([folder, folder])
    with pytest.raises(RetrievalInputError, match="at least one collection"):
        create_app([])


def test_a_picture_that_may_not_be_read_is_no_error_of_the_service(client, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(opened, "read_file", refuse)
    answer = client.get("/original/mine/0")
    assert answer.status_code == 404
    assert "blue again.png cannot be read: Permission denied" in answer.json()["error"]


def test_page_health_schema_and_counters(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    for place in ("/", "/page/page.css", "/page/page.js", "/page/picture_search.js"):
        answer = client.get(place)
        assert (
            answer.status_code == 200
            and "default-src 'self'" in answer.headers["content-security-policy"]
        )
    assert {"/search", "/item/{name}/{item}"} <= client.get("/openapi.json").json()["paths"].keys()
    search(client, text="red")
    client.post("/search", json={})
    text = client.get("/metrics").text
    assert 'crossmodal_requests_total{route="/search",status="200"} 1' in text
    assert 'crossmodal_requests_total{route="/search",status="400"} 1' in text
    assert 'crossmodal_request_seconds_count{route="/search"} 2' in text
    assert 'crossmodal_pictures{collection="mine"} 13' in text


def test_the_page_asks_nothing_elsewhere():
    """No address of another host, and no script or style inside the page."""
    import lib.search.service as service

    for path in (Path(service.__file__).parent / "page").iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text and "https://" not in text, path
        assert "<style" not in text and "onclick=" not in text and 'style="' not in text, path


HUGE = 10**400
BAD = [
    ("collection", "other", "'mine'"),
    ("collection", 3, "collection must be a valid string, got 3"),
    ("text", "x" * 4001, "text must have at most 4000 characters"),
    ("text", ["red"], "text must be a valid string, got ['red']"),
    ("text", " ", "a query must have text, image, sketch, vector or like"),
    ("image", "no base64!", "image must be a file in base64"),
    ("image", "", "image must be a file in base64, got nothing"),
    ("image", "aGVsbG8=", "the image"),
    ("image", 7, "image must be a valid string, got 7"),
    ("strokes", [], "strokes must hold at least one point"),
    ("strokes", [[]], "strokes must hold at least one point"),
    ("strokes", [[[0.5]]], "strokes.0.0 must have at least 2 items"),
    ("strokes", [[[0.5, 9]]], "strokes.0.0.1 must be less than or equal to 2, got 9"),
    ("strokes", [[[0.5, None]]], "strokes.0.0.1 must be a valid number, got None"),
    ("strokes", [[[0.5, 0.5]]] * 2001, "strokes must be at most 2,000 with 50,000 points, got"),
    ("strokes", [[[0.5, 0.5]] * 50_001], "got 1 with 50,001"),
    ("vector", [1.0, 2.0], "vector"),
    ("vector", [0.0] * 4, "vector"),
    ("vector", ["1"] * 4, "vector.0 must be a valid number, got '1'"),
    ("vector", [1e300] * 4, "vector"),
    ("vector", [HUGE] * 4, "vector"),
    ("vector", [], "vector"),
    ("vector", [1.0] * 40_000, "vector must have at most 32768 items"),
    ("like", [99], "id must be one of the 13 pictures, got 99"),
    ("like", [-1], "id"),
    ("like", [10**30], "id"),
    ("like", [1.5], "like.0 must be a valid integer, got 1.5"),
    ("like", [True], "like.0 must be a valid integer, got True"),
    ("like", [0] * 101, "like must have at most 100 items"),
    ("without", "blue", "without must be a valid list, got 'blue'"),
    ("without", ["x"] * 21, "without must have at most 20 items"),
    ("image_weight", 2, "image_weight must be"),
    ("image_weight", "half", "image_weight must be a valid number, got 'half'"),
    ("query", "no token", "query must be the token of an earlier answer"),
    ("where", "year >", "where = 'year >': it cannot be read"),
    ("where", "yeer == 2000", "Did you mean 'year'"),
    ("where", "thumbnail_at == 0", "a column of where must be one of"),
    ("where", "year == 'x'", "a column is compared with another kind of value"),
    ("where", f"year == {10**100}", "another kind of value"),
    ("where", r"path == '\ud800'", "another kind of value"),
    ("where", "__import__('os').system('true')", "is no condition"),
    ("where", "not " * 400 + "year", "where = "),
    ("where", "(" * 900, "it cannot be read"),
    ("where", "x" * 2001, "where must have at most 2000 characters"),
    ("k", 0, "k must be greater than or equal to 1, got 0"),
    ("k", 201, "k must be less than or equal to 200, got 201"),
    ("k", "4", "k must be a valid integer, got '4'"),
    ("offset", -1, "offset must be greater than or equal to 0, got -1"),
    ("offset", 2000, "offset + k must be at most 2,000, got 2,024"),
    ("offset", HUGE, "offset"),
    ("fold", "yes", "fold must be a valid boolean, got 'yes'"),
    ("colour", "red", "'colour' is no field of a query; the fields are collection, text"),
]  # fmt: skip


@pytest.mark.parametrize("field, value, told", BAD, ids=lambda value: str(value)[:20])
def test_a_bad_field_is_named_with_its_value(client, field, value, told):
    given = {"text": "red"} if field not in ("text", "vector", "query", "strokes", "image") else {}
    answer = client.post("/search", json=given | {field: value})
    assert 400 <= answer.status_code < 500, answer.text
    assert told in answer.json()["error"], answer.json()["error"]
    assert len(answer.json()["error"]) < 1000


def test_fields_that_exclude_each_other(client):
    token = search(client, text="red")["query"]
    for query, told in [
        ({"image": upload(), "strokes": [[[0, 0]]]}, "give image or strokes, not both"),
        ({"query": token, "text": "red"}, "query stands for the whole query; leave out text"),
        ({"query": token, "like": [1]}, "leave out like"),
        ({}, "a query must have text, image, sketch, vector or like, got nothing"),
    ]:
        answer = client.post("/search", json=query)
        assert answer.status_code == 400 and told in answer.json()["error"]


@pytest.mark.parametrize(
    "content, told",
    [
        (b"{", "the body must be JSON"),
        (b"[]", "the body must"),
        (b"", "is missing; give it"),
        (b'{"k": NaN}', "k must be"),
        (b'{"vector": [NaN, 1, 1, 1]}', "vector"),
        (b'{"text": "\xff"}', "the body"),
        (b'{"text": "\\ud800"}', "text"),
        (b"[" * 100_000, "the body must be JSON, nested less deeply"),
        (b'{"k": 1' + b"0" * 5000 + b"}", "the body"),
    ],
)
def test_a_body_that_is_no_query(client, content, told):
    answer = client.post("/search", content=content, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    assert told in answer.json()["error"]


def test_a_picture_of_too_many_pixels_is_not_decoded(client):
    answer = client.post("/search", json={"image": upload(size=(70_000, 500))})
    assert answer.status_code == 400 and "70,000 x 500 pixels" in answer.json()["error"]


@pytest.mark.parametrize(
    "place, status, told",
    [
        ("/item/mine/99", 404, "id must be one of the 13 pictures, got 99"),
        ("/item/mine/-1", 404, "id"),
        ("/item/mine/x", 422, "item must be a valid integer"),
        ("/thumbnail/mine/1" + "0" * 40, 404, "id"),
        ("/thumbnail/mine/1" + "0" * 9000, 422, "item"),
        ("/thumbnail/other/1", 400, "'mine'"),
        ("/original/mine/99", 404, "id"),
        ("/originals/mine", 422, "ids is missing; give it"),
        ("/originals/mine?ids=99", 404, "id must be one of the 13 pictures, got 99"),
        ("/originals/mine?" + "ids=1&" * 201, 422, "ids must have at most 200 items"),
        ("/suggest?prefix=" + "x" * 101, 422, "prefix must have at most 100 characters"),
        ("/suggest?collection=other", 400, "'mine'"),
        ("/search", 422, "q is missing; give it"),
        ("/search?q=red&k=x", 422, "k must be a valid integer"),
        ("/nothing", 404, "there is no '/nothing'; there are"),
        ("/page/nothing.js", 404, "there is no"),
    ],
)
def test_addresses_that_are_wrong(client, place, status, told):
    answer = client.get(place)
    assert answer.status_code == status, answer.text
    assert told in answer.json()["error"]
    assert client.delete("/search").status_code == 405


def test_no_address_leads_out_of_the_page_or_a_collection(client, folder):
    ways = [
        "../app.py",
        "%2e%2e/app.py",
        "..%2fapp.py",
        "%2e%2e%2fapp.py",
        "..%5capp.py",
        "/etc/passwd",
    ]
    ways += ["....//app.py", "%00", "%2e%2e%2f" * 12 + "etc/passwd"]
    for way in ways:
        for start in ("/page/", "/item/mine/", "/original/mine/", "/thumbnail/", "/originals/"):
            answer = client.get(start + way)
            assert 400 <= answer.status_code < 500, start + way
            assert "import" not in answer.text and "root:" not in answer.text


def test_an_encoder_that_refuses_is_an_error_of_that_request_alone(client, encoder):
    def encode_text(texts):
        if "bad" in texts:
            raise RetrievalInputError("text 'bad' has no word")
        return type(encoder).encode_text(encoder, texts)

    encoder.encode_text = encode_text
    answer = client.post("/search", json={"text": "bad"})
    assert answer.status_code == 400 and answer.json()["error"] == "text 'bad' has no word"
    assert names(search(client, text="red", k=1)) == ["red_0.png"]


def test_texts_that_wait_together_are_encoded_together(encoder):
    calls = []

    def encode_text(texts):
        calls.append(sorted(texts))
        if "bad" in texts:
            raise RetrievalInputError("bad")
        return type(encoder).encode_text(encoder, texts)

    encoder.encode_text = encode_text

    def ask(*texts):
        async def together():
            batcher = TextBatcher()
            asked = (batcher.encode(text, encoder) for text in texts)
            return await asyncio.gather(*asked, return_exceptions=True)

        return in_a_loop(together())

    rows = ask("red", "green", "red")
    assert calls == [["green", "red"]] and np.array_equal(rows[0], rows[2])
    calls.clear()
    rows = ask("red", "bad", "green")
    assert calls == [["bad", "green", "red"], ["red"], ["bad"], ["green"]]
    assert isinstance(rows[1], RetrievalInputError) and rows[0].shape == rows[2].shape == (4,)
