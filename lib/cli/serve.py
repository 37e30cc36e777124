"""`crossmodal serve`: search collections in the browser, and by other programs."""

import ipaddress
import os
import re
import secrets
import socket
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from threadpoolctl import threadpool_limits
from typer import Argument, Option

from lib.cli.options import given_path
from lib.cli.output import say
from lib.core.checks import RetrievalInputError, check_count, check_number

TOKEN = "CROSSMODAL_TOKEN"
THREADS = "OMP_NUM_THREADS"
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\]")


def serve(
    collections: Annotated[
        list[Path] | None,
        Argument(parser=given_path, help="Folders that `crossmodal index` made."),
    ] = None,
    tunes: Annotated[
        bool, Option("--tunes", help="Serve 4,433 folk tunes too, and a page that finds them.")
    ] = False,
    port: Annotated[int, Option(help="0 takes a free one.")] = 8008,
    host: Annotated[
        str, Option(help="Address to listen on; others than 127.0.0.1 need a token.")
    ] = "127.0.0.1",
    names: Annotated[
        list[str] | None, Option("--name", help="A name by which browsers may call it.")
    ] = None,
    per_second: Annotated[
        float | None, Option(help="Requests of one client; 20 on another host than loopback.")
    ] = None,
    new_token: Annotated[
        bool, Option("--new-token", help=f"Make a token and print it; else {TOKEN} is read.")
    ] = False,
) -> None:
    """Search collections on a page: type, draw, or drop a picture; or hum a tune.

    It listens on this machine alone unless --host says otherwise.
    """
    if not collections and not tunes:
        raise RetrievalInputError("give a folder that `crossmodal index` made, or --tunes")
    check_count(port, "--port", least=0, most=65_535)
    family, address = _address_of(host, port)
    away = not ipaddress.ip_address(address[0].partition("%")[0]).is_loopback
    token = secrets.token_urlsafe(24) if new_token else os.environ.get(TOKEN) or None
    if token is not None:
        _check_token(token)
    names = [_name_of(name) for name in names or []]
    if away and token is None:
        raise RetrievalInputError(
            f"--host {host} lets others in: give a token, by {TOKEN} or --new-token. Without --host"
            " the service listens on this machine alone"
        )
    if per_second is not None:
        check_number(per_second, "--per-second", 0, above=True)
    elif away:
        per_second = 20.0
    listener = _listener(family, address)
    _compute_in_one_thread()
    import uvicorn

    from lib.search.service import Limits, create_app
    from lib.search.service.connections import ImpatientConnection
    from lib.search.service.guards import LOOPBACK
    from lib.search.service.tunes import ServedTunes

    shown = f"[{host}]" if ":" in host else host
    allowed = (*LOOPBACK, shown.lower(), *names)
    served = ServedTunes() if tunes else None
    app = create_app(collections or [], Limits(token, allowed, per_second), served)
    shown = f"http://{shown}:{listener.getsockname()[1]}/"
    if collections and tunes:
        say("tunes are searched on its page /hum")
    say(f"open {shown}" + (f"?token={token}" if new_token else "") + "   (Ctrl-C ends it)")
    config = uvicorn.Config(
        app, http=ImpatientConnection, ws="none", log_level="warning", timeout_keep_alive=15,
        server_header=False,
    )  # fmt: skip
    with suppress(KeyboardInterrupt):  # Ctrl-C is the way to end it
        uvicorn.Server(config).run(sockets=[listener])


def _check_token(token: str) -> None:
    """Refuse a token that is short, or that an address and a cookie would hold in other words."""
    if len(token) < 16:
        raise RetrievalInputError(f"{TOKEN} must have at least 16 characters, got {len(token)}")
    if not re.fullmatch(r"[A-Za-z0-9._~-]+", token):
        raise RetrievalInputError(
            f"{TOKEN} may have letters a-z, digits, and . _ ~ - only: it stands in an address."
            " --new-token makes one"
        )


def _name_of(name: str) -> str:
    """Return a name as a browser sends it: in small letters, an IPv6 address in brackets."""
    try:
        asked = name.lower().encode("idna").decode()
    except UnicodeError:
        asked = ""
    with suppress(ValueError):
        ipaddress.IPv6Address(asked)
        asked = f"[{asked}]"
    if not _HOST.fullmatch(asked):
        raise RetrievalInputError(
            f"--name must be a host name or an address without http:// and without a port, such as"
            f" pictures.example.org, got {name!r:.100}"
        )
    return asked


def _compute_in_one_thread() -> None:
    """Let numerical libraries compute each request in one thread, unless the user says otherwise.

    Requests share the processors. Threads that wait for one another inside a small product made a
    query over two processors take ten times as long.
    """
    if THREADS in os.environ:
        return
    os.environ[THREADS] = "1"  # of libraries that are loaded later
    threadpool_limits(limits=1)  # of those that are loaded


def _address_of(host: str, port: int) -> tuple[int, tuple]:
    """Return the family and the address of a host name."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host or " ", port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise RetrievalInputError(
            f"--host {host!r} is not known here: {why}. Leave it out to serve this machine alone"
        ) from error
    return family, address


def _listener(family: int, address: tuple) -> socket.socket:
    """Bind the address now: a busy port is an error before anything is loaded."""
    # The protocol is named: asyncio sends answers without delay only where it is TCP by name.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise RetrievalInputError(
            f"cannot listen on {address[0]}, port {address[1]}: {error.strerror}. Choose another"
            " --port, or 0"
        ) from error
    return listener
