"""firestore.indexes.json and the commands that are made of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deploy import firestore

ASCENDING = {"order": "ASCENDING", "queryScope": "COLLECTION"}
COMPOSITE = {
    "collectionGroup": "attempts",
    "queryScope": "COLLECTION",
    "fields": [{"fieldPath": "connector", "order": "ASCENDING"}, {"fieldPath": "at", "order": "DESCENDING"}],
}
EXEMPT = {"collectionGroup": "attempts", "fieldPath": "record", "indexes": []}
EXPIRES = {"collectionGroup": "attempts", "fieldPath": "expire_at", "ttl": True, "indexes": [ASCENDING]}
WANTED = {"indexes": [COMPOSITE], "fieldOverrides": [EXPIRES, EXEMPT]}
NOTHING: dict[str, Any] = {"indexes": [], "fields": []}


def composite(state: str) -> dict[str, Any]:
    """As gcloud lists it: Firestore has added the document's name."""
    name = {"fieldPath": "__name__", "order": "DESCENDING"}
    return {
        "name": "projects/p/databases/diy-relay/collectionGroups/attempts/indexes/CICAgOi36pgK",
        "queryScope": "COLLECTION",
        "fields": [*COMPOSITE["fields"], name],
        "state": state,
    }


def field(path: str, **settings: Any) -> dict[str, Any]:
    return {"name": f"projects/p/databases/diy-relay/collectionGroups/attempts/fields/{path}", **settings}


def single(order: str) -> dict[str, Any]:
    return {"indexes": [{"queryScope": "COLLECTION", "fields": [{"fieldPath": "expire_at", "order": order}], "state": "READY"}]}


READY = {
    "indexes": [composite("READY")],
    "fields": [
        field("record", indexConfig={"ancestorField": "projects/p/databases/diy-relay/collectionGroups/__default__/fields/*"}),
        field("expire_at", indexConfig=single("ASCENDING"), ttlConfig={"state": "ACTIVE"}),
    ],
}


def commands(there: dict[str, Any]) -> list[str]:
    return [" ".join(words) for words in firestore.commands(WANTED, there, "diy-relay")]


def test_an_empty_database_gets_all_indexes_and_then_all_times_to_live() -> None:
    place = "--database=diy-relay --collection-group=attempts"
    assert commands(NOTHING) == [
        f"firestore indexes composite create {place} --query-scope=collection "
        "--field-config=field-path=connector,order=ascending --field-config=field-path=at,order=descending --async",
        f"firestore indexes fields update expire_at {place} --index=order=ascending --async",
        f"firestore indexes fields update record {place} --disable-indexes --async",
        f"firestore fields ttls update expire_at {place} --enable-ttl --async",
    ]


def test_what_is_there_is_left_alone() -> None:
    assert commands(READY) == []
    assert commands({**READY, "indexes": [composite("CREATING")]}) == []


def test_only_what_differs_is_changed() -> None:
    other = field("expire_at", indexConfig=single("DESCENDING"), ttlConfig={"state": "ACTIVE"})
    inherited = field("record", indexConfig={"usesAncestorConfig": True})

    assert [line.split()[2:5] for line in commands({**READY, "fields": [inherited, other]})] == [
        ["fields", "update", "expire_at"],
        ["fields", "update", "record"],
    ]


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (READY, []),
        ({**READY, "indexes": [composite("CREATING")]}, ["CREATING, not READY"]),
        ({**READY, "indexes": []}, ["absent, not READY"]),
        ({**READY, "fields": READY["fields"][:1]}, ["expire_at of attempts does not have", "absent, not ACTIVE"]),
        ({**READY, "fields": READY["fields"][1:]}, ["record of attempts does not have"]),
    ],
)
def test_what_is_lacking_is_said(there: dict[str, Any], said: list[str]) -> None:
    lacking = list(firestore.lacking(WANTED, there))

    assert len(lacking) == len(said)
    assert all(part in sentence for part, sentence in zip(said, lacking, strict=True))


def test_an_index_that_gcloud_cannot_make_is_refused() -> None:
    groups = {"collectionGroup": "versions", "fieldPath": "x", "indexes": [{**ASCENDING, "queryScope": "COLLECTION_GROUP"}]}

    with pytest.raises(ValueError, match="collections only"):
        list(firestore.commands({"indexes": [], "fieldOverrides": [groups]}, NOTHING, "diy-relay"))


def test_everything_that_expires_has_a_time_to_live() -> None:
    wanted = json.loads(firestore.WANTED.read_text())

    living = {one["collectionGroup"] for one in wanted["fieldOverrides"] if one.get("ttl")}
    assert living == {"attempts", "audit", "counters", "days", "rejections", "replies", "versions"}
    assert {one["fieldPath"] for one in wanted["fieldOverrides"] if one.get("ttl")} == {"expire_at"}


def test_the_empty_inbound_document_is_one_that_the_receiver_reads() -> None:
    from relay.backends.records import INBOUND
    from tests.deploy.scripts import ROOT

    document = INBOUND.read((ROOT / "deploy" / "empty-inbound.json").read_bytes())

    assert document.connectors == ()
    assert document.default == ""
