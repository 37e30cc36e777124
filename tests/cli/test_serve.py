"""`crossmodal serve` listens on this machine alone, unless it is told and has a token."""

import os
import socket

import pytest
import uvicorn
from fastapi.testclient import TestClient

from lib.search.service.tunes import ServedTunes
from tests.cli.conftest import one_line
from tests.search.collection.conftest import build, encoder, pictures  # noqa: F401
from tests.search.melody.tunes import random_tunes

TOKEN = "a-token-of-many-characters"


@pytest.fixture
def served(run, build, pictures, monkeypatch):  # noqa: F811
    """Return a function that runs the command and gives what uvicorn was started with."""
    build(pictures)
    started = []

    def start(server, sockets):
        assert sockets[0].proto == socket.IPPROTO_TCP  # else asyncio delays answers by 40 ms
        started.append((server.config, sockets[0].getsockname()))
        sockets[0].close()

    monkeypatch.setattr(uvicorn.Server, "run", start)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # as a user may say; else it sets it to 1
    monkeypatch.delenv("CROSSMODAL_TOKEN", raising=False)

    def call(*options):
        code, out, err = run("serve", "collection", "--port", "0", *options)
        assert code == 0, err
        config, address = started.pop()
        return config.app, address, out

    return call


def test_it_listens_on_loopback(served):
    app, (host, port), out = served()
    assert host == "127.0.0.1" and f"http://127.0.0.1:{port}/" in out
    with TestClient(app, base_url=f"http://127.0.0.1:{port}") as client:
        assert client.post("/search", json={"text": "red"}).json()["hits"]
        assert client.get("/healthz", headers={"host": "elsewhere"}).status_code == 421
    assert served("--host", "localhost")[1][0] in ("127.0.0.1", "::1")


def test_libraries_compute_in_one_thread_unless_the_user_says_otherwise(served, monkeypatch):
    limits = []
    monkeypatch.setattr("lib.cli.serve.threadpool_limits", lambda **given: limits.append(given))
    served()
    assert not limits and os.environ["OMP_NUM_THREADS"] == "2"
    monkeypatch.delenv("OMP_NUM_THREADS")
    served()
    assert limits == [{"limits": 1}] and os.environ["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_another_host_needs_a_token(served, run, host, monkeypatch):
    code, _, err = run("serve", "collection", "--host", host, "--port", "0")
    assert code == 2 and f"--host {host} lets others in: give a token" in one_line(err)
    monkeypatch.setenv("CROSSMODAL_TOKEN", "short")
    code, _, err = run("serve", "collection", "--host", host)
    assert code == 2 and "at least 16 characters, got 5" in one_line(err)


def test_with_a_token_it_listens_for_the_names_that_were_given(served, monkeypatch):
    monkeypatch.setenv("CROSSMODAL_TOKEN", TOKEN)
    app, (host, _), out = served(
        "--host", "0.0.0.0", "--name", "Pictures.home", "--per-second", "9"
    )
    assert host == "0.0.0.0" and TOKEN not in out
    with TestClient(app, base_url="http://pictures.home:8008") as client:
        assert client.get("/collections").status_code == 401
        given = {"authorization": f"Bearer {TOKEN}"}
        assert client.get("/collections", headers=given).status_code == 200
        assert {client.get("/healthz").status_code for _ in range(120)} == {200, 429}
    _, _, out = served("--new-token")
    assert "?token=" in out


def test_names_are_those_that_a_browser_sends(served):
    app, _, _ = served("--name", "Bücher.example", "--name", "FE80::1", "--name", "a.b.")
    hosts = app.user_middleware[0].kwargs["limits"].hosts
    assert hosts[-3:] == ("xn--bcher-kva.example", "[fe80::1]", "a.b.")


@pytest.mark.parametrize("name", ["", "a b", "*", "host:80", "http://host", "a..b", "\udcff"])
def test_a_name_that_no_browser_sends_is_refused(served, run, name):
    code, _, err = run("serve", "collection", "--port", "0", "--name", name)
    assert code == 2 and "--name must be a host name or an address without http://" in one_line(err)


@pytest.mark.parametrize("token", ["x" * 20 + "\r\nset-cookie: a=b", "x" * 20 + ";", "é" * 20])
def test_a_token_that_is_no_part_of_an_address_is_refused(served, run, token, monkeypatch):
    monkeypatch.setenv("CROSSMODAL_TOKEN", token)
    code, _, err = run("serve", "collection", "--port", "0")
    assert code == 2 and "CROSSMODAL_TOKEN may have letters" in one_line(err)
    assert "xxxx" not in err and "éééé" not in err


def test_wrong_arguments_are_told(served, run, tmp_path):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        code, _, err = run("serve", "collection", "--port", str(port))
        assert code == 2 and f"cannot listen on 127.0.0.1, port {port}" in one_line(err)
    for options, told in [
        (["collection", "--port", "70000"], "--port"),
        (["collection", "--host", "no such host"], "--host 'no such host' is not known here"),
        (["collection", "--per-second", "0"], "--per-second"),
        (["nowhere"], "nowhere is no collection"),
        (["collection", "collection"], "two collections are called 'collection'"),
    ]:
        code, _, err = run("serve", *options, *([] if "--port" in options else ["--port", "0"]))
        assert code == 2 and told in one_line(err)


def test_tunes_are_served_where_they_are_asked_for(served, run, monkeypatch):
    small = ServedTunes(random_tunes(3))
    monkeypatch.setattr("lib.search.service.tunes.ServedTunes", lambda: small)
    app, (_, port), out = served("--tunes")
    assert "page /hum" in out
    with TestClient(app, base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/tunes").json()["tunes"] == 3 and client.get("/collections").json()
    app, (_, port), _ = served()
    with TestClient(app, base_url=f"http://127.0.0.1:{port}") as client:
        assert "--tunes" in client.get("/tunes").json()["message"]
    code, _, err = run("serve")
    assert code == 2 and "give a folder that `crossmodal index` made, or --tunes" in one_line(err)
