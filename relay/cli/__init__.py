"""The command `diy`. Each verb lives in a module of its own, loaded only when it is called."""

from __future__ import annotations

import click

from relay.cli.lazy import RootGroup

COMMANDS = {
    "connectors": "relay.cli.connectors:connectors",
    "actions": "relay.cli.actions:actions",
    "secrets": "relay.cli.secrets:secrets",
    "audiences": "relay.cli.audiences:audiences",
    "holds": "relay.cli.holds:holds",
    "rejections": "relay.cli.rejections:rejections",
    "users": "relay.cli.users:users",
    "queue": "relay.cli.queue:queue",
    "status": "relay.cli.status:status",
    "audit": "relay.cli.audit:audit",
    "replay": "relay.cli.replay:replay",
    "simulate": "relay.cli.simulate:simulate",
    "worker": "relay.cli.worker:worker",
}


@click.group(cls=RootGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """DIY Relay: audience changes from a DMP to any partner's API.

    \b
    A first look:
      diy connectors apply connector.yaml   apply a connector
      diy secrets set pangolin-token        give it the secrets that it names
      diy connectors activation pangolin    what to paste into the DMP
      diy status                            what needs someone, and what to do

    The state is found by the environment: BACKEND (embedded), STATE_DIR (.state). Every command names it on standard error;
    --quiet and --json leave that out.

    Exit codes: 0 fine; 1 someone must act, or it failed; 2 the command line, the environment or a document is wrong.
    """
