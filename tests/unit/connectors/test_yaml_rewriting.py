"""A document's text changes only where its values do; whatever happens to it, it says what it should."""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from relay.connectors import yaml_rewriting
from relay.connectors.yaml_rewriting import rewritten
from relay.connectors.yaml_text import load
from relay.connectors.yaml_writing import written
from relay.domain.errors import DocumentError

ROOT = Path(__file__).parents[3]
TEXTS = [path.read_text() for path in sorted([*(ROOT / "connectors").glob("*.yaml"), *(ROOT / "docs/examples").glob("*.yaml")])]

TEXT = """\
# first
name: shop  # the name
title: The shop

# about settings
settings:
  # where it is
  base_url: http://127.0.0.1:1
  empty:
actions:
  # the one that adds
  - {name: Add, trigger: joined, operation: add}
  - name: Remove
    trigger: left   # always
    operation: remove
limits: {batch: {max_items: 5}}
# last
"""

Change = Callable[[dict[str, Any]], object]

CASES: list[tuple[str, Change, list[str], list[str]]] = [
    ("one value", lambda v: v.update(title="New: one"), ["title: The shop"], ["title: 'New: one'"]),
    ("the value before a comment", lambda v: v.update(name="store"), ["name: shop  # the name"], ["name: store  # the name"]),
    ("a value inside", lambda v: v["settings"].update(base_url="http://x"),
     ["  base_url: http://127.0.0.1:1"], ["  base_url: http://x"]),
    ("a value where there was none", lambda v: v["settings"].update(empty="x"), ["  empty:"], ["  empty: x"]),
    ("another key inside", lambda v: v["settings"].update(more=True), [], ["  more: true"]),
    ("another key", lambda v: v.update(notes="x"), [], ["notes: x"]),
    ("a key taken away", lambda v: v.pop("title"), ["title: The shop"], []),
    ("a value of an action in lines", lambda v: v["actions"][1].update(trigger="joined"),
     ["    trigger: left   # always"], ["    trigger: joined   # always"]),
    ("another action", lambda v: v["actions"].append({"name": "X", "trigger": "left"}), [], ["  - {name: X, trigger: left}"]),
    ("an action taken out", lambda v: v["actions"].pop(0), ["  - {name: Add, trigger: joined, operation: add}"], []),
    ("a value in braces", lambda v: v["limits"]["batch"].update(max_items=7),
     ["limits: {batch: {max_items: 5}}"], ["limits:", "  batch: {max_items: 7}"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "gone", "new"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_only_the_lines_concerned_change(change: Change, gone: list[str], new: list[str]) -> None:
    values = load(TEXT)
    change(values)
    text = rewritten(TEXT, values)
    assert load(text) == values
    before, after = TEXT.splitlines(), text.splitlines()
    assert [line for line in before if line not in after] == gone
    assert [line for line in after if line not in before] == new


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {b: 1}\nc: *x\n",
        "a: &x {b: 1}\nc:\n  <<: *x\n  d: 2\n",
        "a: |\n  lines\n  of text\nb: 1\n",
        "a: >-\n  folded\n  text\nb: 1\n",
        "{a: 1, b: 2}\n",
        "a: 1",
        "? a\n: 1\nb: 2\n",
        "a:\n- 1\n- 2\n\n\n\n# end",
    ],
)
def test_unusual_forms_say_what_they_should(text: str) -> None:
    for change in ({"a": 5}, {"c": {"b": 2}}, {"b": [1]}, {"z": "x"}):
        values = {**load(text), **change}
        assert load(rewritten(text, values)) == values


@pytest.mark.parametrize("seed", range(150))
def test_whatever_is_changed_the_text_says_it(seed: int) -> None:
    chance = random.Random(seed)
    text = chance.choice([*TEXTS, TEXT])
    values = load(text)
    for _ in range(chance.randint(1, 4)):
        values = _changed(values, chance)
    again = rewritten(text, values)
    assert load(again) == values
    assert rewritten(again, values) == again


_TRAPS = ["yes", "012", "1e5", "~", "", " x ", "a: b", "# x", "2020-01-01", "a\nb", "grün", "'", '"', "<<", "-"]


@pytest.mark.parametrize("text", _TRAPS)
def test_text_stays_text(text: str) -> None:
    values = {"a": text, "b": [text], "c": {text or "k": text, "d": {"e": {"f": [text]}}}}
    assert load(written(values)) == values


def _changed(values: Any, chance: random.Random) -> Any:
    new = chance.choice(["text", "a: b", 5, True, 1.5, ["x", "y"], {"k": "v"}, {"long": {"deep": ["z" * 60, "y" * 60]}}])
    if isinstance(values, dict) and values:
        changed = deepcopy(values)
        key = chance.choice(list(changed))
        match chance.randrange(4):
            case 0:
                changed.pop(key)
            case 1:
                changed[f"new{chance.randrange(9)}"] = new
            case _:
                changed[key] = _changed(changed[key], chance)
        return changed
    if isinstance(values, list) and values:
        items = deepcopy(values)
        place = chance.randrange(len(items))
        match chance.randrange(4):
            case 0:
                items.pop(place)
            case 1:
                items.insert(place, new)
            case _:
                items[place] = _changed(items[place], chance)
        return items
    return new


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("around", ["a{}b", "{}", "a\n{}b\n", " {} ", "- {}"])
def test_a_text_with_an_end_of_line_of_old_machines_stays_what_it_is(end: str, around: str) -> None:
    text = around.format(end)
    values = {"name": "shop", "title": text, "settings": {"a": text, text: [text, {"b": text}]}}
    assert load(written(values)) == values
    assert load(rewritten("name: shop\ntitle: x\nsettings: {}\n", values)) == values
    assert load(rewritten("name: shop\nsettings: {}\ntitle: x\n", {**values, "settings": {}})) == {**values, "settings": {}}


def test_what_cannot_be_written_as_it_is_is_said_and_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_rewriting, "written", lambda _: "name: another\n")
    with pytest.raises(DocumentError):
        rewritten("name: {a: 1}\n", {"name": "shop", "more": {"a": 1}})
