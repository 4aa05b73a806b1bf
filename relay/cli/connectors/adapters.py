"""`diy connectors adapters`: the partners that a document can be written for, and what each needs."""

from __future__ import annotations

import click

from adapters.contract import Description, Field, Operation
from relay.cli.output import show_fields, show_json, show_table, whole
from relay.cli.session import json_option
from relay.domain.errors import NotFound
from relay.reading.quantities import format_duration, format_size

_COLUMNS = ("what it is", "type", "required", "default", "values", "help")


@click.command()
@click.argument("name", required=False)
@json_option
def adapters(name: str | None, as_json: bool) -> None:
    """The adapters, or everything about one. That is: its settings, secrets, operations and limits. Needs no state.

    \b
    Examples:
      diy connectors adapters
      diy connectors adapters pangolin
    """
    from adapters import registry
    from relay.domain.malformed import suggestion

    names = registry.names()
    if name is not None:
        description = registry.describe(name)
        if description is None:
            raise NotFound(f"There is no adapter named '{name}'; there is {', '.join(names)}.{suggestion(name, names)}")
        if as_json:
            show_json(whole(description))
        else:
            _show(description)
        return
    found = [description for each in names if (description := registry.describe(each))]
    if as_json:
        show_json(whole(found))
    else:
        rows = [[each.name, each.title, each.summary] for each in found]
        show_table(["name", "title", "what it is"], rows, empty="There are no adapters.")


def _show(description: Description) -> None:
    limits = description.limits
    show_fields(
        [
            ("adapter", description.name),
            ("title", description.title),
            ("what it is", description.summary),
            ("our page", description.our_page),
            ("the partner's page", description.partner_page),
            ("needs actions on", ", ".join(description.required_triggers)),
            (
                "limits.batch",
                f"max_items {limits.max_items:,}, max_bytes {format_size(limits.max_bytes)}, "
                f"max_age {format_duration(limits.max_age_s)}",
            ),
        ]
    )
    for title, fields in (("settings", description.settings), ("secrets", description.secrets)):
        click.echo(f"\n{title}")
        show_table(["name", *_COLUMNS], _rows(fields), empty="none")
    for operation in description.operations:
        click.echo(f"\noperation {operation.name}: {operation.title}, {_nature(operation)}")
        if operation.help:
            click.echo(operation.help)
        show_table(["field", *_COLUMNS], _rows(operation.fields), empty="no fields")
    for what, sentence in description.unsupported.items():
        click.echo(f"\nnot offered: {what}: {sentence}")


def _rows(fields: tuple[Field, ...]) -> list[list[object]]:
    return [
        [field.name, field.title, field.type, field.required, field.default, _choices(field), field.help] for field in fields
    ]


def _choices(field: Field) -> str:
    return "asked of the partner: diy connectors options" if field.dynamic else ", ".join(field.choices)


def _nature(operation: Operation) -> str:
    kind = {"create": "makes the audience", "set": "the last change of a user counts", "event": "every change is sent"}
    keys = f", a user is known by {', '.join(operation.key_fields)}" if operation.key_fields else ""
    return f"on {' or '.join(operation.triggers)}; {kind[operation.kind]}{keys}; at most {operation.max_items:,} a call"
