"""The size of a document, as Firestore calculates it: https://firebase.google.com/docs/firestore/storage-size"""

from __future__ import annotations

from typing import Any

import pytest
from google.cloud.firestore_v1 import types

from tests.emulators.document_size import document_size

NAME = "projects/p/databases/(default)/documents/"


def size(path: str, fields: dict[str, Any]) -> int:
    return document_size(types.Document.pb(types.Document(name=NAME + path, fields=fields)))


def test_the_examples_of_the_documentation() -> None:
    # The task of the page: users/jeff/tasks/my_task_id with the fields type, description, done and priority.
    fields = {
        "type": {"string_value": "Personal"},
        "done": {"boolean_value": False},
        "priority": {"integer_value": 1},
        "description": {"string_value": "Learn Cloud Firestore"},
    }
    assert size("users/jeff/tasks/my_task_id", {}) == 44 + 32
    assert size("users/jeff/tasks/my_task_id", fields) == 147


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"null_value": 0}, 1),
        ({"boolean_value": True}, 1),
        ({"integer_value": 0}, 8),
        ({"double_value": 0.5}, 8),
        ({"timestamp_value": {"seconds": 1}}, 8),
        ({"geo_point_value": {"latitude": 1}}, 16),
        ({"string_value": ""}, 1),
        ({"string_value": "ä"}, 3),
        ({"bytes_value": b"123"}, 3),
        ({"reference_value": NAME + "users/jeff"}, 6 + 5 + 16),
        ({"array_value": {"values": [{"integer_value": 1}, {"string_value": "a"}]}}, 8 + 2),
        ({"map_value": {"fields": {"ab": {"integer_value": 1}}}}, 3 + 8 + 32),
        ({"map_value": {}}, 32),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
def test_each_kind_of_value_has_its_size(value: dict[str, Any], expected: int) -> None:
    assert size("a/b", {"f": value}) - size("a/b", {}) == 2 + expected
