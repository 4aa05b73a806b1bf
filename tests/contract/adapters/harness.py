"""The adapters of the suite, opened for the connectors of their case files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml

from adapters.contract import Adapter, Description, Operation, Row, Target
from adapters.registry import describe, names
from relay.domain.message import Mutation
from tests.contract.adapters.case_file import CaseFile, Given, read_case_file
from tests.contract.adapters.delivery import Delivery, document_of
from tests.contract.adapters.scripted_partner import ScriptedPartner
from worker.catalog import Running, running
from worker.plan import Pendings, make_plan


class NoTokens:
    """For adapters that use none."""

    def get(self, name: str, obtain: Callable[[str], tuple[str, float, str]], *, not_token: str = "") -> str:
        raise AssertionError("this adapter needs no tokens")

    def replace(self, name: str, obtain: Callable[[], tuple[str, float, str]]) -> bool:
        raise AssertionError("this adapter needs no tokens")


@cache
def case_file(adapter: str) -> CaseFile | None:
    """The adapter's case file; None where there is none, or none that can be read, which one test says of it."""
    try:
        return read_case_file(adapter)
    except (OSError, yaml.YAMLError, msgspec.ValidationError):
        return None


def with_case_file() -> list[str]:
    """The adapters that can be tested."""
    return [name for name in names() if case_file(name)]


def case_file_of(adapter: str) -> CaseFile:
    """The case file of one of these."""
    file = case_file(adapter)
    assert file is not None
    return file


class Opened:
    """One adapter in front of its scripted partner."""

    def __init__(self, delivery: Delivery, partner: ScriptedPartner) -> None:
        self.delivery = delivery
        self.partner = partner
        self.file = delivery.file
        self.adapter: Adapter = delivery.worker.partners.open(delivery.connector)
        self.running: Running = running(delivery.connector)

    @property
    def description(self) -> Description:
        """Of the adapter, as the connector configures it."""
        return self.adapter.description

    @property
    def target(self) -> Target:
        """The audience as it is at the partner."""
        audience = self.file.audience
        return Target(audience.id, audience.name, audience.partner_id, f"{self.delivery.connector.name}/{audience.id}")

    def mutations(self, users: int) -> tuple[Mutation, ...]:
        """So many users joined, and so many others left, where the connector has actions for them."""
        triggers = {action.trigger for action in self.delivery.connector.actions}
        joined = [Mutation(number, "joined", self.file.user_number(number)) for number in range(users)]
        left = [Mutation(number, "left", self.file.user_number(number)) for number in range(users, 2 * users)]
        return tuple(one for one in (*joined, *left) if one.direction in triggers)

    def rows(self, users: int) -> dict[Operation, list[Row]]:
        """Operation → rows for so many users, mapped and prepared; for each operation that an action for users is for."""
        message = msgspec.structs.replace(self.delivery.message, mutations=self.mutations(users))
        plan = make_plan(
            self.running,
            {},
            Pendings([message]),
            self.adapter.prepare,
            now=message.received_at,
            audience_id=self.target.id,
            audience_name=self.target.name,
            partner_id=self.target.partner_id,
        )
        assert plan.settled == (), "the file's user can be mapped"
        [together] = plan.rounds
        return {one.action.operation: list(one.rows) for one in together}


@contextmanager
def opened(
    adapter: str, state: Path, *, secrets: bool = True, document: dict[str, Any] | None = None
) -> Iterator[Opened]:
    """The adapter in front of a partner that is well. `document`: laid over the connector's document."""
    file = case_file_of(adapter)
    with ScriptedPartner(file.well, file.count) as partner:
        delivery = Delivery(state / "state", file, Given(document=document or {}), partner.url, secrets=secrets)
        try:
            yield Opened(delivery, partner)
        finally:
            delivery.close()


def description_of(adapter: str, *, configured: bool) -> Description:
    """The adapter's description, in general or as its case file configures it."""
    document = yaml.safe_load(document_of(case_file_of(adapter), "http://127.0.0.1:1"))
    description = describe(adapter, document["settings"] if configured else None)
    assert description is not None
    return description
