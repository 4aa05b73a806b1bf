"""What waits carries the names of the actions already settled for each user: they must fit beside the batch into one document."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from relay.connectors.document import expand
from relay.domain.errors import DocumentError
from relay.domain.message import MAX_BYTES, MAX_MUTATIONS, Message, Mutation, encode
from tests.unit.connectors.example import DOCUMENT, describe

LARGEST_DOCUMENT = 1024 * 1024
"""Of Firestore: https://firebase.google.com/docs/firestore/quotas"""


def document(*names: str, trigger: str = "joined") -> str:
    """With event actions of these names beside those that there are."""
    whole: dict[str, Any] = yaml.safe_load(DOCUMENT)
    whole["actions"] += [
        {"name": name, "trigger": trigger, "operation": "track", "mapping": {"id": "user.id"}} for name in names
    ]
    return yaml.safe_dump(whole, allow_unicode=True)


def numbered(count: int, length: int, fill: str = "x") -> list[str]:
    return [f"{number:02}".ljust(length, fill) for number in range(count)]


def problems(text: str) -> list[tuple[str, str]]:
    with pytest.raises(DocumentError) as caught:
        expand(text, describe=describe)
    return caught.value.problems


@pytest.mark.parametrize("trigger", ["joined", "left"])
def test_names_that_are_too_long_together_are_refused_with_what_to_do(trigger: str) -> None:
    [(place, sentence)] = problems(document(*numbered(9, 60), trigger=trigger))
    assert place == "actions"
    assert f"'{trigger}'" in sentence
    assert "567 bytes, and at most 400" in sentence
    assert "Shorten them" in sentence


@pytest.mark.parametrize(
    ("names", "fit"),
    [
        (numbered(4, 97), True),
        ([*numbered(3, 97), "x" * 98], False),
        (numbered(6, 60), True),
        (["ü" * 100, "ä" * 98], False),
        (["ü" * 97, "ä" * 97], True),
        (["\U0001f600" * 100], False),
        (["\U0001f600" * 99], True),
        (['"' * 98, "\\" * 99], True),
        (['"' * 98, "\\" * 100], False),
    ],
    ids=range(9),
)  # fmt: skip
def test_four_hundred_bytes_fit_as_they_are_stored(names: list[str], fit: bool) -> None:
    if fit:
        expand(document(*names), describe=describe)
    else:
        assert [place for place, _ in problems(document(*names))] == ["actions"]


def test_the_actions_on_each_trigger_count_by_themselves() -> None:
    joined, left = numbered(6, 60, "x"), numbered(6, 60, "y")
    whole = yaml.safe_load(document(*joined))
    whole["actions"] += yaml.safe_load(document(*left, trigger="left"))["actions"][-len(left) :]
    expand(yaml.safe_dump(whole), describe=describe)


def test_a_full_batch_of_which_all_but_one_action_is_settled_fits_into_a_document() -> None:
    names = numbered(4, 97)  # and `Add`, the shortest, is left
    expand(document(*names), describe=describe)
    message = Message(1, "change", "acme-eu", "a1", "r1", 1.0)
    mutations = tuple(Mutation(index, user={"id": "u" * 485}) for index in range(MAX_MUTATIONS))
    full = replace(message, mutations=mutations)
    assert 0.98 * MAX_BYTES < len(encode(full)) <= MAX_BYTES
    settled = replace(full, mutations=tuple(replace(mutation, done=tuple(names)) for mutation in mutations))
    assert len(encode(settled)) < LARGEST_DOCUMENT - 100 * 1024, "beside what else the document holds"
