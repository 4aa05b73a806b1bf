"""`diy simulate --source mediarithmics`: the platform's side of the second source, with a gateway of its own."""

from __future__ import annotations

import random
import signal
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec
import requests

from relay.cli.output import show_json
from relay.cli.progress import progress_bar
from relay.configuration import LOCAL_SECRETS, Configuration, with_local_feeds
from relay.domain.errors import ConfigurationError, RelayError
from relay.local_run import arrival
from relay.simulator.dmp import is_loopback
from relay.simulator.mediarithmics import case_file
from relay.simulator.mediarithmics.case_file import Case, Delivery, Feed
from relay.simulator.mediarithmics.gateway import Gateway
from relay.simulator.mediarithmics.platform import Platform
from relay.simulator.mediarithmics.summary import FeedSummary, as_text
from relay.simulator.mediarithmics.traffic import FeedSimulation

_ARRIVAL_PATIENCE_S = 30.0
_LOOK_S = 0.2


class Wish(msgspec.Struct, frozen=True):
    """What the command line asks for. url: the function's address; None: FEED_PORT of this machine."""

    url: str | None
    connector: str
    delivery: Delivery
    audiences: int
    users: int
    rate: float
    duration_s: float
    seed: int | None
    compare: bool
    files: Path | None
    as_json: bool


def serve_gateway_until_told(configuration: Configuration, file: Path | None) -> None:
    """Until Ctrl-C or SIGTERM, also where it was started in the background of a shell, which has it ignore the first."""
    told = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda _signal, _frame: told.set())
    local, case = _local(configuration), _case(file)
    with _gateway(local, case) as gateway:
        click.echo(f"gateway: {gateway.url}, for the worker {local.plugin_worker_id}: {case.title}")
        for feed in case.feeds:
            click.echo(f"  feed {feed.id}, delivery {feed.delivery}: audience {feed.audience}")
        if case.feeds:
            url = _function_url(configuration) if configuration.feed_port else "http://127.0.0.1:FEED_PORT"
            body = msgspec.json.encode(case.feeds[0].place).decode()
            click.echo(f"Try: curl -i {url}/v1/external_segment_creation -H 'Content-Type: application/json' -d '{body}'")
        told.wait()
        click.echo(f"asked for: {dict(gateway.calls) or 'nothing'}")


def simulate_feeds(configuration: Configuration, wish: Wish) -> bool:
    """Whether everything got through."""
    url = wish.url or _function_url(configuration)
    _require_loopback(url)
    seed = random.SystemRandom().randrange(1_000_000) if wish.seed is None else wish.seed
    local = _local(configuration)
    feeds = _feeds(wish)
    platform = Platform(url, configuration.feed_secret)
    try:
        with _gateway(local, case_file.packaged("local")) as gateway:
            _reach(platform, feeds[0], gateway, local)
            simulation = FeedSimulation(
                platform, gateway, feeds, users=wish.users, rate=wish.rate, duration_s=wish.duration_s, seed=seed
            )
            with progress_bar(simulation.requests) as step:
                simulation.on_progress(step)
                summary = simulation.run()
        files = simulation.files.write(wish.files) if wish.files else []
        seen = _compared(configuration, wish, simulation) if wish.compare and wish.delivery != "file" else None
    finally:
        platform.close()
    return _show(summary, seen, files, wish)


def _function_url(configuration: Configuration) -> str:
    if not configuration.feed_port:
        raise ConfigurationError(
            "FEED_PORT says where the function external_feed listens, and is not set. Run FEED_PORT=8083 make run, and set it "
            "here, too."
        )
    return configuration.local_url(configuration.feed_port)


def _local(configuration: Configuration) -> Configuration:
    """As the function of a local run asks the gateway."""
    if not configuration.feed_port and not configuration.gateway_port:
        raise ConfigurationError(
            "Where the simulated gateway is to listen is not said: it is the port after FEED_PORT, or GATEWAY_PORT. Set what the "
            "feeds' function was started with."
        )
    return with_local_feeds(configuration)


def _case(file: Path | None) -> Case:
    return case_file.packaged("local") if file is None else case_file.read(file)


def _gateway(local: Configuration, case: Case) -> Gateway:
    return Gateway(case, local.plugin_worker_id, local.plugin_authentication_token, port=local.gateway_port)


def _require_loopback(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{url!r} is no address; it looks like http://127.0.0.1:8083.")
    if not is_loopback(url):
        raise ConfigurationError(
            "The simulated platform calls a function on this machine only: elsewhere it asks the platform's own gateway, "
            "which knows none of these feeds."
        )


def _feeds(wish: Wish) -> list[Feed]:
    [feed] = [feed for feed in case_file.packaged("local").feeds if feed.delivery == wish.delivery]
    return [feed.copy(number).with_properties(connector=wish.connector) for number in range(wish.audiences)]


def _reach(platform: Platform, feed: Feed, gateway: Gateway, local: Configuration) -> None:
    """Says what is wrong before a thousand requests say it."""
    answer = platform.status()
    if not answer.code:
        raise RelayError(
            f"The function external_feed does not run at {platform.url}. FEED_PORT={local.feed_port or 8083} make run starts it; "
            "if it has another port, say FEED_PORT=... here, too."
        )
    if answer.code == 503:
        raise RelayError("The function has no PLUGIN_WORKER_ID and PLUGIN_AUTHENTICATION_TOKEN, so that it can ask no gateway.")
    if answer.code in (401, 403):
        raise RelayError(f"The function does not answer us ({answer.seen}). If it wants FEED_SECRET, set it here, too.")
    if not answer.accepted:
        raise RelayError(f"What listens at {platform.url} is not the function external_feed: its status {answer.seen}")
    gateway.put(feed)
    answer = platform.create(feed)
    if gateway.calls["refused"]:
        raise RelayError(
            "The function asks the gateway as another worker: start it with PLUGIN_WORKER_ID and PLUGIN_AUTHENTICATION_TOKEN as "
            f"they are here (worker {local.plugin_worker_id})."
        )
    if not gateway.calls and not answer.accepted:
        raise RelayError(
            f"The function asks another gateway than this one: start it with GATEWAY_HOST=127.0.0.1 GATEWAY_PORT={gateway.port}. "
            f"It {answer.seen}"
        )
    if not answer.accepted and not answer.wants_retry:
        raise RelayError(f"The feed cannot be created: the function {answer.seen}")


def _compared(configuration: Configuration, wish: Wish, simulation: FeedSimulation) -> arrival.Arrival | str:
    """What Pangolin has, as soon as it is what the platform meant; a sentence where it cannot be asked."""
    pangolin = arrival.Pangolin(configuration.local_url(configuration.pangolin_port), LOCAL_SECRETS["pangolin-token"])
    deadline = time.monotonic() + _ARRIVAL_PATIENCE_S

    def pause() -> bool:
        time.sleep(_LOOK_S)
        return time.monotonic() > deadline

    try:
        return arrival.wait_for(pangolin, wish.connector, simulation.ledger, pause=pause)
    except requests.RequestException as error:
        return f"{arrival.not_asked(error)} --no-compare leaves that out."


def _show(summary: FeedSummary, seen: arrival.Arrival | str | None, files: list[Path], wish: Wish) -> bool:
    fine = summary.passed and (seen is None or (isinstance(seen, arrival.Arrival) and not seen.differing))
    if wish.as_json:
        show_json({"traffic": summary, "arrived": seen, "files": [str(file) for file in files], "passed": fine})
        return fine
    click.echo(as_text(summary))
    for file in files:
        click.echo(f"written: {file}")
    if isinstance(seen, str):
        click.echo(seen)
    elif seen is not None and seen.differing:
        click.echo(f"{seen.differing} users differ at Pangolin from what the platform meant. What holds them: diy status")
    elif seen is not None:
        click.echo(f"arrived: the {seen.members} members that the platform meant are in Pangolin's {seen.audiences} audiences")
    click.echo("passed" if fine else "FAILED")
    return fine
