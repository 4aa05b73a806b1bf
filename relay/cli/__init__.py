"""The command `diy`. Each verb lives in a module of its own, loaded only when it is called."""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "connectors": "relay.cli.connectors:connectors",
    "actions": "relay.cli.actions:actions",
    "secrets": "relay.cli.secrets:secrets",
    "audiences": "relay.cli.audiences:audiences",
    "holds": "relay.cli.holds:holds",
    "rejections": "relay.cli.rejections:rejections",
    "queue": "relay.cli.queue:queue",
    "status": "relay.cli.status:status",
    "simulate": "relay.cli.simulate:simulate",
    "worker": "relay.cli.worker:worker",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """DIY Relay: audience changes from a DMP to any partner's API."""
