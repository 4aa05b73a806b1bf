"""`diy simulate`: the DMP's side."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from relay import configuration as environment
from relay.cli.output import show_json
from relay.cli.progress import progress_bar
from relay.cli.seconds import Seconds
from relay.configuration import Configuration
from relay.domain.clock import SystemClock
from relay.domain.errors import ConfigurationError, RelayError
from relay.simulator import credentials, marked
from relay.simulator.check import Finding, check, seen
from relay.simulator.credentials import Credentials
from relay.simulator.dmp import MAX_USERS, Dmp, is_loopback
from relay.simulator.summary import Summary, as_text
from relay.simulator.traffic import Simulation

if TYPE_CHECKING:
    from relay.simulator.mediarithmics.case_file import Delivery

_MAPP_ONLY = {"largest": "--batch", "send": "--send", "secrets_file": "--secrets-file"}
_MEDIARITHMICS_ONLY = {
    "delivery": "--delivery", "serve_gateway": "--serve-gateway", "case": "--case", "files": "--files", "compare": "--no-compare",
}  # fmt: skip
"""Parameters that mean something to one source only, as they are written."""


@click.command()
@click.argument("url", required=False)
@click.option("--source", type=click.Choice(["mapp", "mediarithmics"]), default="mapp", show_default=True, help="Who is played.")
@click.option("--connector", default="pangolin", show_default=True, help="Its name, the path of the default address.")
@click.option("--rate", type=click.FloatRange(0, 2000, min_open=True), default=20.0, show_default=True, help="Requests a second.")
@click.option("--duration", type=Seconds(0.001, 86_400), default="10s", show_default=True, help="How long: 10s, 2m.")
@click.option("--users", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="Users who join and leave.")
@click.option("--audiences", type=click.IntRange(1, 1000), default=3, show_default=True, help="Audiences they join.")
@click.option(
    "--batch", "largest", type=click.IntRange(1, MAX_USERS), default=MAX_USERS, show_default=True, help="Most users in a request."
)
@click.option("--seed", type=int, help="The same seed sends the same content. Drawn and printed if not given.")
@click.option("--send", is_flag=True, help="Also send users to an address that is not on this machine.")
@click.option("--secrets-file", type=click.Path(path_type=Path), help="YAML with hmac_secret and basic; readable by you only.")
@click.option(
    "--delivery",
    type=click.Choice(["queued", "direct", "batch", "file"]),
    default="queued",
    show_default=True,
    help="How the feeds deliver (mediarithmics).",
)
@click.option("--files", type=click.Path(path_type=Path, file_okay=False), help="Where assembled files go (mediarithmics).")
@click.option("--compare/--no-compare", default=True, help="Whether Pangolin is asked for its members, too (mediarithmics).")
@click.option("--serve-gateway", is_flag=True, help="Only serves the simulated gateway, until Ctrl-C (mediarithmics).")
@click.option("--case", type=click.Path(path_type=Path, dir_okay=False), help="What --serve-gateway answers from: YAML.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
@click.pass_context
def simulate(
    context: click.Context,
    *,
    url: str | None,
    source: str,
    connector: str,
    rate: float,
    duration: float,
    users: int,
    audiences: int,
    largest: int,
    seed: int | None,
    send: bool,
    secrets_file: Path | None,
    delivery: Delivery,
    files: Path | None,
    compare: bool,
    serve_gateway: bool,
    case: Path | None,
    as_json: bool,
) -> None:
    """Plays the DMP: signed traffic at a given rate.

    It announces audiences and sends micro-batches of users who join and leave them.

    URL is the connector's address, such as https://relay.example.com/pangolin; without it, the receiver on this machine.

    To an address that is not on this machine it only validates, and sees whether wrong signatures are refused, unless --send is
    given: then at most 10 users with test IDs join one audience that is named "DIY Relay test - may be deleted", and are removed
    from it at the end.

    The connector's secrets come from SIMULATE_HMAC_SECRET and SIMULATE_BASIC (user:password) or from --secrets-file. On this
    machine the fixed local ones are used if neither is given.

    Exit code 1: something was refused or unanswered, or slower than the DMP allows (99th percentile: 1 s for uploads, 3 s for
    creations).

    With --source mediarithmics it plays that platform, for the function external_feed on this machine (FEED_PORT): its gateway on
    GATEWAY_PORT, feeds that are created and connected, users who join and leave, batches, files and requests that are sent again.
    Then it asks Pangolin for the members. Exit code 1: a request did not get through, or the members are not the ones meant.
    """
    _refuse_the_other_source_s(context, source)
    configuration = environment.read()
    if source == "mediarithmics":
        from relay.cli.simulating_feeds import Wish, serve_gateway_until_told, simulate_feeds

        if serve_gateway:
            serve_gateway_until_told(configuration, case)
            return
        if case is not None:
            raise click.UsageError("--case is for --serve-gateway.", context)
        wish = Wish(
            url=url, connector=connector, delivery=delivery, audiences=audiences, users=users, rate=rate, duration_s=duration,
            seed=seed, compare=compare, files=files, as_json=as_json,
        )  # fmt: skip
        sys.exit(0 if simulate_feeds(configuration, wish) else 1)
    address = _address(url, connector, configuration)
    secrets = credentials.choose(address, configuration, secrets_file)
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    local = is_loopback(address)
    if local:
        _reach(address, secrets)
        simulation = Simulation(
            address, *_both(secrets), audiences=audiences, users=users, rate=rate, duration_s=duration, seed=seed, largest=largest
        )
        summary = _run(simulation)
        _show([], summary, as_json)
        sys.exit(0 if summary.passed else 1)
    if not as_json:
        click.echo(f"checking {address} ...", err=True)
    findings = check(address, secrets)
    fine = all(finding.passed for finding in findings)
    if not (send and fine):
        _show(findings, None, as_json)
        if not as_json:
            click.echo("Nothing was sent: it has to pass first." if send else "No user was sent; --send sends a few.", err=True)
        sys.exit(0 if fine else 1)
    people = marked.users(users)
    simulation = Simulation(
        address,
        *_both(secrets),
        audiences=[marked.AUDIENCE],
        users=people,
        rate=rate,
        duration_s=duration,
        seed=seed,
        largest=min(largest, len(people)),
    )
    summary, left_over = _run_marked(simulation, address, secrets, people)
    _show(findings, summary, as_json)
    if left_over:
        click.echo(left_over, err=True)
    sys.exit(0 if summary.passed and not left_over else 1)


def _refuse_the_other_source_s(context: click.Context, source: str) -> None:
    """Raises `click.UsageError` for an option that means nothing to this source."""
    others = _MEDIARITHMICS_ONLY if source == "mapp" else _MAPP_ONLY
    for name, option in others.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            other = "mediarithmics" if source == "mapp" else "mapp"
            raise click.UsageError(f"{option} is for --source {other}; it means nothing with --source {source}.", context)


def _address(url: str | None, connector: str, configuration: Configuration) -> str:
    base = url or configuration.local_url(configuration.receiver_port)
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{base!r} is no address; it looks like https://relay.example.com/pangolin.")
    if parts.username or parts.password:
        raise ConfigurationError(
            "The address holds credentials, which others on this machine could read. Give them as SIMULATE_BASIC or in a "
            "--secrets-file."
        )
    if parts.query or parts.fragment:
        raise ConfigurationError("The address must end with its path: the DMP adds the query itself.")
    return base if url else f"{base}/{connector}"


def _both(secrets: Credentials) -> tuple[str, str]:
    return secrets.hmac_secret, secrets.basic


def _reach(address: str, secrets: Credentials) -> None:
    """Says what is wrong before a thousand requests say it."""
    dmp = Dmp(address, *_both(secrets))
    answer = dmp.validate()
    dmp.close()
    if answer.status == 0:
        raise RelayError(
            f"{address} is {seen(answer)} Is the receiver running? 'make run' starts it; if it has another port, say "
            "RECEIVER_PORT=... here, too."
        )
    if answer.status == 401:
        raise RelayError(
            f"{address} does not accept these secrets ({answer.error}). Set SIMULATE_HMAC_SECRET and SIMULATE_BASIC."
        )
    if not answer.accepted:
        raise RelayError(f"{address} {seen(answer)}")


def _run_marked(
    simulation: Simulation, address: str, secrets: Credentials, people: Sequence[str]
) -> tuple[Summary, str]:
    """The summary, and a sentence if users were left at the partner."""
    left_over = ""
    try:
        summary = _run(simulation)
    finally:
        removed = marked.remove_all(address, secrets, simulation.announced, people, SystemClock())
        if not removed.accepted:
            left_over = (
                f"The test users could not be removed ({seen(removed)}): at the partner, delete the audience "
                f"'{marked.AUDIENCE.name}'."
            )
            if sys.exc_info()[0] is not None:
                click.echo(left_over, err=True)
    return summary, left_over


def _run(simulation: Simulation) -> Summary:
    with progress_bar(simulation.requests) as step:
        simulation.on_progress(step)
        return simulation.run()


def _show(findings: list[Finding], summary: Summary | None, as_json: bool) -> None:
    if as_json:
        show_json({"findings": findings, "traffic": summary})
        return
    for finding in findings:
        detail = f": {finding.detail}" if finding.detail else ""
        click.echo(f"{'ok    ' if finding.passed else 'FAILED'}  {finding.title}{detail}")
    if summary is not None:
        click.echo(as_text(summary))
