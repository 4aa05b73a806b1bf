#!/usr/bin/env python3
"""What firestore.indexes.json asks of the database, as gcloud commands, and what of it is not there yet. Standard library only.

    firestore.py commands DATABASE < there.json   the commands that are needed, one a line, words separated by tabs
    firestore.py lacking < there.json             what is not there or not ready, one a line; nothing: all is well

there.json is {"indexes": […], "fields": […]}: what `gcloud firestore indexes composite list` and `… fields list` say as JSON
(https://cloud.google.com/firestore/docs/reference/rest/v1/projects.databases.collectionGroups.indexes).
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WANTED = Path(__file__).with_name("firestore.indexes.json")

Json = dict[str, Any]


def main(words: list[str]) -> int:
    """The program. Exit code 2: called wrongly."""
    wanted = json.loads(WANTED.read_text())
    if words[:1] == ["commands"] and len(words) == 2:
        for command in commands(wanted, json.load(sys.stdin), words[1]):
            print("\t".join(command))
        return 0
    if words == ["lacking"]:
        for sentence in lacking(wanted, json.load(sys.stdin)):
            print(sentence)
        return 0
    print(__doc__, file=sys.stderr)
    return 2


def commands(wanted: Json, there: Json, database: str) -> Iterator[list[str]]:
    """The words behind `gcloud` of each command that brings the database from what is there to what is wanted.

    First all indexes, then all times to live: Firestore makes one change of a field at a time, and by then the changes of the
    first fields have mostly ended.
    """
    known = {_composite(index) for index in there["indexes"]}
    for index in wanted["indexes"]:
        if _composite(index) not in known:
            yield [
                *("firestore", "indexes", "composite", "create", f"--database={database}"),
                *(f"--collection-group={index['collectionGroup']}", f"--query-scope={_dashed(index['queryScope'])}"),
                *(f"--field-config=field-path={field['fieldPath']},{_how(field)}" for field in index["fields"]),
                "--async",
            ]
    fields = {_place(field): field for field in there["fields"]}
    for field in wanted["fieldOverrides"]:
        place = (field["collectionGroup"], field["fieldPath"])
        if _own_indexes(fields.get(place)) != _single(field["indexes"]):
            if any(index["queryScope"] != "COLLECTION" for index in field["indexes"]):
                raise ValueError(f"gcloud makes indexes of one field for collections only, not for groups of them: {place}")
            indexes = [f"--index={_how(index)}" for index in field["indexes"]] or ["--disable-indexes"]
            yield ["firestore", "indexes", "fields", "update", *_where(place, database), *indexes, "--async"]
    for field in wanted["fieldOverrides"]:
        place = (field["collectionGroup"], field["fieldPath"])
        if field.get("ttl") and "ttlConfig" not in fields.get(place, {}):
            yield ["firestore", "fields", "ttls", "update", *_where(place, database), "--enable-ttl", "--async"]


def lacking(wanted: Json, there: Json) -> Iterator[str]:
    """A sentence for each index and each field that is not yet as it should be."""
    states = {_composite(index): index.get("state", "") for index in there["indexes"]}
    for index in wanted["indexes"]:
        state = states.get(_composite(index), "absent")
        if state != "READY":
            fields = ", ".join(f"{field['fieldPath']} {_how(field)}" for field in index["fields"])
            yield f"The index of {index['collectionGroup']} ({fields}) is {state}, not READY."
    found = {_place(field): field for field in there["fields"]}
    for field in wanted["fieldOverrides"]:
        group, path = field["collectionGroup"], field["fieldPath"]
        one = found.get((group, path))
        if _own_indexes(one) != _single(field["indexes"]):
            yield f"The field {path} of {group} does not have the indexes that it should have."
        state = (one or {}).get("ttlConfig", {}).get("state", "absent")
        if field.get("ttl") and state != "ACTIVE":
            yield f"The time to live by {path} of {group} is {state}, not ACTIVE."


def _composite(index: Json) -> tuple[Any, ...]:
    """What makes an index the same as another. Firestore adds `__name__` at the end by itself."""
    group = index.get("collectionGroup") or index["name"].split("/collectionGroups/")[1].split("/")[0]
    fields = tuple((field["fieldPath"], _how(field)) for field in index["fields"] if field["fieldPath"] != "__name__")
    return (group, index["queryScope"], fields)


def _place(field: Json) -> tuple[str, str]:
    group, _, path = field["name"].split("/collectionGroups/")[1].partition("/fields/")
    return (group, path)


def _where(place: tuple[str, str], database: str) -> list[str]:
    return [place[1], f"--database={database}", f"--collection-group={place[0]}"]


def _own_indexes(field: Json | None) -> set[tuple[str, str]] | None:
    """Of a field as it is listed; None if it has no setting of its own, and is indexed as every field is."""
    config = (field or {}).get("indexConfig", {})
    return None if field is None or config.get("usesAncestorConfig") else _single(config.get("indexes", []))


def _single(indexes: list[Json]) -> set[tuple[str, str]]:
    """Indexes of one field. Firestore writes the order into a list of one field, the file directly."""
    return {(index["queryScope"], _how(index["fields"][0] if "fields" in index else index)) for index in indexes}


def _how(field: Json) -> str:
    return f"array-config={_dashed(field['arrayConfig'])}" if "arrayConfig" in field else f"order={_dashed(field['order'])}"


def _dashed(word: str) -> str:
    return word.lower().replace("_", "-")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
