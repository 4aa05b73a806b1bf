"""What a local run says when it is ready: where things are, the local secrets, and something to try."""

from __future__ import annotations

import shlex

from relay.configuration import LOCAL_CONSOLE_PASSWORD, LOCAL_SECRETS, Configuration
from relay.local_run.logs import DIRECTORY as LOG_DIRECTORY
from relay.local_run.preparation import CONNECTOR, Prepared
from relay.local_run.stack import Remarks
from relay.simulator.dmp import REQUEST_TYPES, Change, DmpAudience, change_body, sign

FIRST_USER = "my-first-user"
_CUSTOMER = 123


def curl(configuration: Configuration, prepared: Prepared, audience: DmpAudience) -> str:
    """A command that sends one user, signed for exactly this body. It runs as it is."""
    body = change_body("joined", [Change(audience.id, FIRST_USER)], _CUSTOMER)
    basic = prepared.basic if prepared.is_local else "USER:PASSWORD"
    address = f"{configuration.local_url(configuration.receiver_port)}/{CONNECTOR}?type={REQUEST_TYPES['joined']}"
    words = ["curl", "-i", "-H", "Content-Type: application/json", "-H", f"X-HMAC: {sign(prepared.hmac_secret, body)}"]
    if prepared.basic:
        words += ["-u", basic]
    return shlex.join([*words, "--data-raw", body.decode(), address])


def text(configuration: Configuration, prepared: Prepared, audience: DmpAudience, remarks: Remarks) -> str:
    """The whole block, with the line that begins with `ready:`. An audience without a name is one that was never announced."""
    receiver = f"{configuration.local_url(configuration.receiver_port)}/{CONNECTOR}"
    console = f"{configuration.local_url(configuration.console_port)}/"
    pangolin = f"{configuration.local_url(configuration.pangolin_port)}/"
    logs = str(configuration.state_dir / LOG_DIRECTORY)
    own_password = configuration.console_password != LOCAL_CONSOLE_PASSWORD
    rows = [
        ("receiver", receiver, "what the DMP calls"),
        ("console", console, "for the operator: connectors, activity, holds; log in with the console password"),
        ("pangolin", pangolin, "the test platform: audiences and members, live"),
        *_feed_places(configuration),
        *remarks.places,
        ("logs", logs, "all that the processes write; only you can read it. Trouble is shown here, too"),
        ("", "", ""),
        ("HMAC secret", LOCAL_SECRETS["pangolin-hmac"] if prepared.is_local else "(your own)", "signs every POST of the DMP"),
        ("Basic auth", LOCAL_SECRETS["pangolin-basic"] if prepared.is_local else "(your own)", "user:password of the DMP"),
        ("token", LOCAL_SECRETS["pangolin-token"], "Pangolin's API"),
        ("console", "(your own)" if own_password else LOCAL_CONSOLE_PASSWORD, "password"),
    ]
    width = max(len(value) for _, value, _ in rows)
    block = [f"  {name:<11}  {value:<{width}}  {remark}".rstrip() for name, value, remark in rows]
    return "\n".join(
        [
            "",
            *block,
            "",
            f"ready: receiver {receiver}  console {console}  pangolin {pangolin}",
            "",
            "Now be the DMP yourself. This adds a user:",
            "",
            curl(configuration, prepared, audience),
            "",
            f"It answers 200, and within a second {FIRST_USER} is in the audience {audience.name or audience.id!r} on {pangolin}",
            *([f"So that diy works on this state: {remarks.export}"] if remarks.export else []),
            *_feed_words(configuration),
            f"More: .venv/bin/diy status, .venv/bin/diy simulate, docs/quick-start.md. Ctrl-C ends everything; {remarks.end}.",
            "",
        ]
    )


def _feed_places(configuration: Configuration) -> list[tuple[str, str, str]]:
    if not configuration.feed_port:
        return []
    return [
        ("feeds", f"{configuration.local_url(configuration.feed_port)}/", "what mediarithmics calls (external_feed)"),
        ("gateway", f"{configuration.gateway_url}/", "where external_feed asks what a feed is; diy simulate plays it"),
    ]


def _feed_words(configuration: Configuration) -> list[str]:
    """What to try with the second source, where this run serves it."""
    if not configuration.feed_port:
        return []
    words = {"FEED_PORT": str(configuration.feed_port)}
    if configuration.gateway_port != configuration.feed_port + 1:
        words["GATEWAY_PORT"] = str(configuration.gateway_port)
    if configuration.pangolin_port != Configuration().pangolin_port:
        words["PANGOLIN_PORT"] = str(configuration.pangolin_port)
    said = " ".join(f"{name}={value}" for name, value in words.items())
    return [
        "",
        "Or be the other platform: it creates a feed, connects it and pushes users, who are then at Pangolin:",
        "",
        f"{said} .venv/bin/diy simulate --source mediarithmics",
        "",
    ]
