"""What a connector offers to feeds."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec.structs import replace

from adapters.registry import called
from relay.connectors.completeness import in_a_row, missing_settings
from relay.domain.connector import ConnectorState
from relay.domain.feed import Offered, OfferedSetting
from worker.catalog import Running, RunningAction

_REALM = re.compile(
    r'user\.(?:"agent\.(?P<whole>(?:[^"\\]|\\.)+)"|agent\.(?:"(?P<quoted>(?:[^"\\]|\\.)+)"|(?P<word>[A-Za-z_]\w*)))'
)
"""`user.agent.x`, `user.agent."x"` and `user."agent.x"`."""


def offered(state: ConnectorState, running: Running) -> Offered:
    """The connector as feeds may use it. Settings that only a feed sets are not missing."""
    connector, description = running.connector, running.description
    fields = [field for field in description.settings if field.name in connector.inbound.feed_settings]
    settings = tuple(
        OfferedSetting(
            field.name,
            field.title,
            required=field.required and connector.settings.get(field.name) in (None, "", []),
            choices=field.choices,
            dynamic=field.dynamic,
        )
        for field in fields
    )
    left_to_feeds = {in_a_row([one]) for one in missing_settings(connector, replace(description, settings=tuple(fields)))}
    served = [one for one in running.actions if one.action.trigger in ("joined", "left")]
    return Offered(
        name=connector.name,
        title=connector.title or called(connector),
        audience_id=connector.inbound.audience_id,
        journal_days=connector.retention.journal_days,
        settings=settings,
        connectable=description.connect,
        columns={one.action.name: tuple(one.action.mapping) for one in served},
        realms=tuple(dict.fromkeys(realm for one in served for realm in _realms(one))),
        running=state.enabled and not state.paused,
        missing=tuple(one for one in running.missing if one not in left_to_feeds),
    )


def _realms(one: RunningAction) -> Iterator[str]:
    for expression in one.action.mapping.values():
        for match in _REALM.finditer(expression) if isinstance(expression, str) else ():
            quoted = match["whole"] or match["quoted"]
            yield re.sub(r"\\(.)", r"\1", quoted) if quoted else match["word"]
