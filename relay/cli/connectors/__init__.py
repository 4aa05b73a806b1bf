"""`diy connectors`: documents, versions, switches, and trying a connector out."""

from __future__ import annotations

import click

from relay.cli.lazy import LazyGroup

VERBS = {
    "adapters": "relay.cli.connectors.adapters:adapters",
    "validate": "relay.cli.connectors.documents:validate",
    "apply": "relay.cli.connectors.documents:apply",
    "publish": "relay.cli.connectors.documents:publish",
    "rollback": "relay.cli.connectors.documents:rollback",
    "delete": "relay.cli.connectors.documents:delete",
    "list": "relay.cli.connectors.looking:list_",
    "show": "relay.cli.connectors.looking:show",
    "versions": "relay.cli.connectors.looking:versions",
    "diff": "relay.cli.connectors.looking:diff",
    "enable": "relay.cli.connectors.switches:enable",
    "disable": "relay.cli.connectors.switches:disable",
    "default": "relay.cli.connectors.switches:default",
    "activation": "relay.cli.connectors.activation:activation",
    "options": "relay.cli.connectors.partner:options",
    "check": "relay.cli.connectors.partner:check",
    "connect": "relay.cli.connectors.connect:connect",
    "preview": "relay.cli.connectors.preview:preview",
    "test": "relay.cli.connectors.trial:test",
    "notify": "relay.cli.connectors.notify:notify",
}


@click.group(cls=LazyGroup, table=VERBS)
def connectors() -> None:
    """Pipes from the DMP to a partner: documents and versions. Each connector comes from a YAML document.

    \b
    From a document to a running connector:
      diy connectors adapters pangolin
      diy connectors validate connector.yaml
      diy connectors apply connector.yaml
      diy secrets set pangolin-token
      diy connectors check pangolin
      diy connectors preview pangolin
      diy connectors activation pangolin
    """
