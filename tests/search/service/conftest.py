"""A small collection with captions, columns and copies, served by the application."""

import asyncio
import base64
import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from lib.search.collection import Columns, build_collection
from lib.search.service import Limits, create_app
from lib.search.service.tunes import ServedTunes
from tests.search.collection.conftest import (  # noqa: F401
    COLOURS,
    MODEL,
    ColourEncoder,
    build,
    encoder,
    paint,
    pictures,
)
from tests.search.service.hums import TUNES

LOCAL = "http://localhost"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Thirteen pictures: five shades of two colours, a blue one and two copies of it."""
    root = tmp_path_factory.mktemp("served")
    lines = ["path,year,price,bought\n"]
    for colour in ("red", "green"):
        for shade in range(0, 100, 20):
            name = f"{colour}_{shade}.png"
            paint(root / "pictures" / name, colour, shade=shade, size=(32, 24))
            (root / "pictures" / f"{colour}_{shade}.txt").write_text(f"a {colour} page {shade}")
            lines.append(
                f"{name},{2000 + shade},{'nan' if shade else 1.5},2020-01-0{1 + shade // 20}\n"
            )
    for name in ("blue.png", "blue_copy.png", "blue again.png"):
        paint(root / "pictures" / name, "blue", size=(40, 40 + len(name)))
    (root / "facts.csv").write_text("".join(lines))
    columns = Columns.read(root / "facts.csv")
    build_collection([root / "pictures"], root / "mine", ColourEncoder(), MODEL, columns=columns)
    return root / "mine"


@pytest.fixture
def serve(encoder):  # noqa: F811
    """Return a function that opens a client of an application."""
    clients = []

    def run(*folders, base_url=LOCAL, **limits):
        app = create_app(folders, Limits(**limits))
        clients.append(TestClient(app, base_url=base_url, raise_server_exceptions=False))
        clients[-1].__enter__()  # one event loop for all its requests
        return clients[-1]

    yield run
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve, folder):
    return serve(folder)


@pytest.fixture(scope="session")
def tunes():
    """Thirty tunes, ready to be searched."""
    return ServedTunes(TUNES)


def in_a_loop(work):
    """Run a coroutine in a thread of its own: that of a browser's tests has a loop already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def upload(colour="blue", size=(9, 9), kind="PNG") -> str:
    """A picture of one colour, in base64."""
    stream = io.BytesIO()
    Image.new("RGB", size, COLOURS[colour]).save(stream, kind)
    return base64.b64encode(stream.getvalue()).decode()
