"""`diy connectors connect`: somebody allows access at the partner, in a browser."""

from __future__ import annotations

import threading
import webbrowser
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import click

from relay.cli.output import printable
from relay.cli.publishing import open_publishing
from relay.cli.seconds import Seconds
from relay.cli.session import Session, with_state
from relay.connectors.live import live
from relay.domain.errors import ConfigurationError, Refusal, TryAgain

_HOST = "127.0.0.1"
_PATH = "/callback"
_HALF = "Access was given, but not for long, and the command says why; you may close this page."
_PORT_TO_PASTE = 8085
"""Where nobody listens, but partners that compare ports want to know one."""

_ENDING = (
    "{name} has access only until its access token ends, since the partner gave no refresh token. Have the connector ask for one "
    "(`authorize_parameters`, with many partners `access_type: offline` and `prompt: consent`, or a word in its `scope`), "
    "and then connect it again."
)


@click.command()
@click.argument("name")
@click.option("--no-browser", is_flag=True, help="Only prints the address.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Where the browser is sent back to; a free one, unless told.")
@click.option("--paste", is_flag=True, help="Asks for the address that one was sent back to, instead of waiting for a browser.")
@click.option("--redirect-uri", metavar="URL", help="With --paste: the address to be sent back to, as the partner knows it.")
@click.option("--timeout", type=Seconds(1, 600), default="5m", show_default=True, help="How long to wait for the browser.")
@with_state()
def connect(
    session: Session, name: str, no_browser: bool, port: int | None, paste: bool, redirect_uri: str | None, timeout: float
) -> None:
    """Has somebody allow access at the partner. For connectors that authenticate by OAuth2 with an authorization code.

    Open the printed address in a browser on this machine and allow the access; the partner sends the browser back to this
    command. Elsewhere, use --paste. A partner that must know beforehand where it sends the browser back to is told
    http://127.0.0.1:PORT/callback, with a fixed --port.

    \b
    Examples:
      diy connectors connect acme
      diy connectors connect acme --paste
    """
    from relay.operating.checking import open_to_connect
    from worker.authorization import begin, finish

    if redirect_uri and not paste:
        raise click.UsageError("--redirect-uri goes with --paste: nobody would wait there.")
    connector = live(session.backend.connectors, name)
    adapter = open_to_connect(session.backend, session.clock, connector)
    if paste:
        pending = begin(
            adapter, redirect_uri=redirect_uri or f"http://{_HOST}:{port or _PORT_TO_PASTE}{_PATH}", clock=session.clock
        )
        _show(pending.url)
        session.note("Allow the access. The page that follows may fail to load; its address is what counts.")
        query = _query(click.prompt("The address that you were sent back to", err=True))
        lasting = finish(adapter, pending, query, clock=session.clock)
    else:
        with _Callback(port) as callback:
            pending = begin(adapter, redirect_uri=callback.address, clock=session.clock)
            _show(pending.url)
            if not no_browser:
                webbrowser.open(pending.url)
            lasting = callback.wait(lambda query: finish(adapter, pending, query, clock=session.clock), timeout)
    open_publishing(session).connected(name)
    click.echo(f"{name} is connected." if lasting else _ENDING.format(name=name))


class _Callback:
    """Listens for the browser's way back."""

    def __init__(self, port: int | None) -> None:
        self._take: Callable[[Mapping[str, str]], bool] | None = None
        self._lasting = False
        self._taking = threading.Lock()
        self._taken = False
        self._shown = threading.Event()
        self._error: Exception | None = None
        try:
            self._server = ThreadingHTTPServer((_HOST, port or 0), _handler(self))
        except OSError:
            raise ConfigurationError(f"Something else listens on port {port}: choose another --port.") from None
        self._server.daemon_threads = True
        self.address = f"http://{_HOST}:{self._server.server_address[1]}{_PATH}"

    def __enter__(self) -> _Callback:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.server_close()

    def wait(self, take: Callable[[Mapping[str, str]], bool], timeout_s: float) -> bool:
        """Until `take` has taken a query; gives what it gives. Raises what it raises, except a `Refusal`, after which it goes on;
        `TryAgain` if nobody came."""
        self._take = take
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        self._shown.wait(timeout_s)
        with self._taking:  # one that is just being taken counts
            self._take = None
        self._server.shutdown()
        if self._error is not None:
            raise self._error
        if not self._taken:
            raise TryAgain(f"Nobody came back from the partner within {timeout_s:g} seconds. Begin again.", code="timeout")
        return self._lasting

    def answer(self, query: Mapping[str, str]) -> tuple[int, str]:
        """Status and sentence for the browser."""
        with self._taking:
            if self._take is None or self._taken:
                return 410, "This is over; you may close this page."
            try:
                self._lasting = self._take(query)
            except Refusal as refusal:
                return refusal.status, refusal.sentence
            except Exception as error:
                self._error, self._taken = error, True
                return 400, "It did not work, and the command says why; you may close this page."
            self._taken = True
            return 200, "It is connected; you may close this page." if self._lasting else _HALF

    def shown(self) -> None:
        """After the browser has been answered: the command may end."""
        if self._taken:
            self._shown.set()


def _handler(callback: _Callback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            if urlsplit(self.path).path == _PATH:
                status, sentence = callback.answer(_query(self.path))
            else:
                status, sentence = 404, "There is nothing here."
            content = f"{sentence}\n".encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            try:
                self.wfile.write(content)
            finally:
                callback.shown()

        def log_message(self, *arguments: object) -> None:
            """The path holds the code: nothing is logged."""

    return Handler


def _show(url: str) -> None:
    click.echo(printable(url))


def _query(address: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(urlsplit(address.strip()).query, keep_blank_values=True))
    except ValueError:
        return {}
