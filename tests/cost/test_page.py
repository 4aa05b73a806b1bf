"""What docs/operations.md says of months, sizes, alerts and log lines is what the formula, the clients and the code say."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cost import page
from tests.cost.given import MUTATIONS, request
from tests.cost.month import MONTHS, Page, Traffic, bill, heading, lines
from tests.cost.world import World
from tests.emulators.document_size import document_size, name_size, path_of

ROOT = Path(__file__).parents[2]

ABOUT = 0.05
"""IDs and times differ in length."""

_INDEX_ENTRY = 32
_DIRECTIONS = 2


@pytest.mark.parametrize("mutations", MONTHS)
def test_a_month_costs_what_the_formula_says(mutations: int) -> None:
    stated = page.block(heading(mutations))

    assert stated == lines(mutations, Page()), "python -m tests.cost.month prints the tables as they should be"


def test_every_price_has_its_quantity() -> None:
    given = Page()
    items = bill(Traffic("", 1_000_000, 100, 1), given)

    assert [item.name for item in items] == list(page.table("Prices"))
    assert all(item.units > 0 for item in items)


def test_twice_the_price_of_reads_makes_twice_their_cost_and_nothing_else_dearer() -> None:
    text = page.PAGE.read_text()
    dearer = text.replace("| Firestore: reads | 0.033 |", "| Firestore: reads | 0.066 |")
    traffic = Traffic("", 1_000_000, 100, 10)

    before, after = bill(traffic, Page(text)), bill(traffic, Page(dearer))

    factors = {one.name: other.cost / one.cost for one, other in zip(before, after, strict=True)}
    assert factors.pop("Firestore: reads") == pytest.approx(2)
    assert set(factors.values()) == {1.0}


@pytest.mark.parametrize("audiences", [1, 10])
def test_a_message_is_as_large_as_the_months_assume(make_world: Callable[..., World], audiences: int) -> None:
    given = Page().given
    world = make_world()
    request(world, audiences)

    world.begin_counting()
    request(world, audiences)

    assumed = given["bytes of a message"] + given["bytes of a mutation in it"] * MUTATIONS / audiences
    assert world.used().throughput / 2 / audiences == pytest.approx(assumed, rel=ABOUT)


def test_an_attempt_is_stored_and_logged_in_as_many_bytes_as_the_months_assume(
    make_world: Callable[..., World], capsys: pytest.CaptureFixture[str]
) -> None:
    given = Page().given
    world = make_world()
    request(world)
    known = {document.name for document in world.expiring()}
    capsys.readouterr()

    request(world)

    [attempt] = [document for document in world.expiring() if document.name not in known]
    [line] = [one for one in capsys.readouterr().err.splitlines() if msgspec.json.decode(one)["event"] == "attempt"]
    assert document_size(attempt) + index_size(attempt) == pytest.approx(given["bytes stored for an attempt"], rel=ABOUT)
    assert len(line) == pytest.approx(given["bytes of an attempt's log line"], rel=ABOUT)


def index_size(document: Any) -> int:
    """Bytes of its index entries: https://firebase.google.com/docs/firestore/storage-size#single-field_index_entry_size"""
    collection = path_of(document.name)[-2]
    indexes = msgspec.json.decode((ROOT / "deploy" / "firestore.indexes.json").read_bytes())
    exempt = {
        one["fieldPath"] for one in indexes["fieldOverrides"] if one["collectionGroup"] == collection and not one["indexes"]
    }
    names = name_size(document.name) + name_size("")
    return _DIRECTIONS * sum(
        names + len(field) + 1 + len(value.string_value) + 1 + _INDEX_ENTRY
        for field, value in document.fields.items()
        if field not in exempt
    )


def test_every_alert_is_explained() -> None:
    policies = {file.stem for file in (ROOT / "deploy" / "monitoring" / "policies").glob("*.json")}

    assert {name.strip("`") for name in page.table("What to watch")} == policies


def test_every_event_of_the_log_is_explained() -> None:
    stated = {name.strip().strip("`") for cell in page.table("Log lines") for name in cell.split(",")}

    assert stated == set(events())


def events() -> Iterator[str]:
    """Names that are logged by what runs on Google."""
    for directory in ("handlers", "worker", "relay/functions", "relay/backends/google", "relay/console"):
        for file in (ROOT / directory).rglob("*.py"):
            if file != ROOT / "worker" / "process.py":  # the embedded worker's
                for node in ast.walk(ast.parse(file.read_text())):
                    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "log":
                        name = node.args[0]
                        assert isinstance(name, ast.Constant), f"{file}:{node.lineno}"
                        yield str(name.value)
