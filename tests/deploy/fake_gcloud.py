#!/usr/bin/env -S python3 -I -S
"""Stands in for gcloud where only a real project could answer: remembers what was made, and says whether it is there.

Which words gcloud takes is not known here: its own parser says that. Commands of Pub/Sub go to the real gcloud, which speaks to
the emulator, except the question whether something is there, which is put to the emulator here; and except what that does not
have: rights, regions of a topic, a new time of expiry, another bucket. And it keeps messages for 7 days at most, where the
service takes 31 (`gcloud pubsub subscriptions create --help`). FAKE_GCLOUD is the directory of its memory, whose "refusals" say
how often commands that begin with certain words are still refused.
"""

from __future__ import annotations

import json
import os
import re
import sys

TYPE_CHECKING = False  # as typing's, whose import takes longer than all the rest here
if TYPE_CHECKING:
    from typing import Any

MEMORY = os.environ["FAKE_GCLOUD"]
VERBS = ("create", "update", "deploy", "describe", "delete", "list")


def main(words: list[str]) -> int:
    with open(f"{MEMORY}/ran.jsonl", "a") as file:
        file.write(json.dumps(words) + "\n")
    if words[0] == "pubsub" and words[2] == "describe" and not any(word.startswith("--format") for word in words):
        return is_in_pubsub(words)
    if words[0] == "pubsub" and words[2] != "add-iam-policy-binding" and words[1:3] != ["topics", "update"]:
        within = [word.replace("--message-retention-duration=31d", "--message-retention-duration=7d") for word in words]
        if words[2] == "update":
            within = [word for word in within if word != "--expiration-period=never" and not word.startswith("--cloud-storage")]
        os.execv(os.environ["REAL_GCLOUD"], [os.environ["REAL_GCLOUD"], *within])  # noqa: S606
    made: dict[str, Any] = {}
    if os.path.exists(f"{MEMORY}/made.json"):
        with open(f"{MEMORY}/made.json") as file:
            made = json.load(file)
    code = refuse(words, made) or answer(words, made)
    with open(f"{MEMORY}/made.json", "w") as file:
        json.dump(made, file)
    return code


def is_in_pubsub(words: list[str]) -> int:
    """Whether the emulator has it. Asked for so often that a second of the real gcloud for each would make minutes."""
    from http.client import HTTPConnection

    project = next(word.partition("=")[2] for word in words if word.startswith("--project="))
    address = os.environ["CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB"].removeprefix("http://").rstrip("/")
    connection = HTTPConnection(address, timeout=30)
    connection.request("GET", f"/v1/projects/{project}/{words[1]}/{words[3]}")
    status = connection.getresponse().status
    if status not in (200, 404):
        raise SystemExit(f"The emulator answered {status}.")
    if status == 404:
        print(f"NOT_FOUND: {words[3]}", file=sys.stderr)
    return int(status == 404)


def refuse(words: list[str], made: dict[str, Any]) -> int:
    refusals = made.get("refusals", {})
    beginning = next((text for text, left in refusals.items() if left and " ".join(words).startswith(text)), None)
    if beginning is None:
        return 0
    refusals[beginning] -= 1
    print(f"FAILED_PRECONDITION: {beginning}", file=sys.stderr)
    return 1


def is_there(key: str, made: dict[str, Any]) -> bool:
    return key in made or "everything" in made


def answer(words: list[str], made: dict[str, Any]) -> int:
    """Prints what is asked for, and notes what is made. The exit code."""
    flags = dict(word.removeprefix("--").partition("=")[::2] for word in words if word.startswith("--"))
    plain = [word for word in words if not word.startswith("--") and word not in ("alpha", "beta", "http")]
    verb = next((word for word in plain if word in VERBS), "")
    group = " ".join(plain[: plain.index(verb)]).replace("run services", "run") if verb else ""
    name = next(iter(plain[plain.index(verb) + 1 :]), "") if verb else ""
    if words[:2] == ["projects", "describe"]:
        print("123456789012")
        return 0
    if group.startswith("firestore"):
        return firestore(group, verb, name, flags, made)
    if group.startswith("monitoring"):
        return monitoring(group, verb, flags, made)
    key = f"{group} {name.partition('@')[0]}"
    if group == "storage buckets" and verb == "list":
        wanted = flags["filter"].removeprefix("name=")
        print(wanted if is_there(f"storage buckets gs://{wanted}", made) else "")
        return 0
    if group == "run" and verb == "list":
        wanted = flags["filter"].removeprefix("metadata.name=")
        print(wanted if is_there(f"run {wanted}", made) else "")
        return 0
    if verb in ("create", "deploy"):
        if verb == "create" and key in made and "identity" not in key:
            print(f"ALREADY_EXISTS: {key}", file=sys.stderr)
            return 1
        made[key] = words
    elif verb == "describe":
        if not is_there(key, made):
            print(f"NOT_FOUND: {key}", file=sys.stderr)
            return 1
        print(f"https://{name}-abc.a.run.app" if "status.url" in flags.get("format", "") else name)
    return 0


def firestore(group: str, verb: str, name: str, flags: dict[str, str], made: dict[str, Any]) -> int:
    if group == "firestore databases":
        if verb == "create":
            made[group] = True
        return 0 if is_there(group, made) else 1
    if group == "firestore backups schedules":
        schedules = made.setdefault(group, [])
        if verb == "create":
            schedules.append(flags["recurrence"])
        elif verb == "list":
            print("\n".join(one for one in schedules if (one == "weekly") == flags["filter"].startswith("weekly")))
        return 0
    indexes, fields = made.setdefault("indexes", []), made.setdefault("fields", {})
    place = f"projects/p/databases/d/collectionGroups/{flags.get('collection-group')}/fields/{name}"
    if verb == "list":
        print(json.dumps(indexes if "composite" in group else [{"name": key, **value} for key, value in fields.items()]))
    elif "composite" in group:
        raise SystemExit("firestore.indexes.json has composite indexes now: teach the stand-in to remember them")
    elif "ttls" in group:
        fields.setdefault(place, {"indexConfig": {"usesAncestorConfig": True}})["ttlConfig"] = {"state": "CREATING"}
    else:
        order = flags.get("index", "").removeprefix("order=").upper()
        own = [{"queryScope": "COLLECTION", "fields": [{"fieldPath": name, "order": order}]}] if order else []
        fields.setdefault(place, {})["indexConfig"] = {"indexes": own}
    return 0


def monitoring(group: str, verb: str, flags: dict[str, str], made: dict[str, Any]) -> int:
    known = made.setdefault(group, {})
    if verb == "create":
        file = flags.get("policy-from-file")
        title = flags.get("channel-labels", "").partition("=")[2]
        if file:
            with open(file) as policy:
                title = json.load(policy)["displayName"]
        known[title] = f"projects/p/{group.split()[1]}/{len(known)}"
    elif verb == "list":
        wanted = re.search(r'(?:displayName|email_address)="([^"]*)"', flags["filter"])
        print("\n".join(path for title, path in known.items() if not wanted or title == wanted[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
