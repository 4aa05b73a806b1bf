"""The page at `/`: audiences, members as they arrive, calls and faults. Rendered here; the script only asks for it again.

It shows members without asking for a token, so it is served to browsers on this machine alone: the client must be a loopback
address and must have asked for one, which a foreign site that points its name at 127.0.0.1 has not.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from datetime import UTC, datetime
from importlib.resources import files
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from relay.pangolin import faults as fault
from relay.pangolin.storage import Storage, StoredAudience, StoredCall

_AUDIENCES = 30
_CARD_MEMBERS = 40
_PAGE_MEMBERS = 300
_CALLS = 15

_STYLE = files(__package__).joinpath("page.css").read_text("utf-8")
_SCRIPT = files(__package__).joinpath("page.js").read_text("utf-8")
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='9' "
    "fill='%23c2571a'/%3E%3Cpath d='M7 22c0-8 5-13 11-13 4 0 7 3 7 6 0 2-2 4-4 4h-3c-2 0-3 3-6 3z' fill='%23fff'/%3E%3C/svg%3E"
)


class Page:
    """Shows what `storage` holds."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._start = secrets.token_hex(4)

    async def show(self, request: Request) -> Response:
        """The whole page, complete without the script."""
        if not _asked_on_this_machine(request):
            return _refusal()
        path = request.url.path
        status, main = self._main(path, request.query_params.get("before"))
        return Response(_document(main), status, _headers("text/html; charset=utf-8"))

    async def live(self, request: Request) -> Response:
        """`{"main": HTML}` for the page at `path`, or 304 if nothing has changed since the given ETag."""
        if not _asked_on_this_machine(request):
            return _refusal()
        tag = f'"{self._start}.{self._storage.revision()}"'
        headers = {**_headers("application/json"), "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(None, 304, headers)
        _, main = self._main(request.query_params.get("path", "/"), request.query_params.get("before"))
        return Response(msgspec.json.encode({"main": str(main)}), 200, headers)

    def _main(self, path: str, before_text: str | None) -> tuple[int, Markup]:
        before = int(before_text) if before_text and re.fullmatch("[0-9]{1,18}", before_text) else None
        if path.startswith("/audiences/"):
            audience = self._storage.audience(path.removeprefix("/audiences/"))
            if audience is None:
                return 404, Markup('<p class="empty">There is no audience with this ID. <a href="/">All audiences</a></p>')
            return 200, self._audience_page(audience, before)
        return 200, self._overview(before)

    def _overview(self, before: int | None) -> Markup:
        audiences, members, calls = self._storage.totals()
        found = self._storage.newest_audiences(before=before, limit=_AUDIENCES + 1)
        shown = found[:_AUDIENCES]
        cards = Markup("").join(self._card(one) for one in shown)
        if not audiences:
            cards = Markup('<p class="empty">No audiences yet. They appear here as soon as somebody creates one.</p>')
        more = Markup("")
        if len(found) > _AUDIENCES:
            more = Markup('<p class="more"><a href="/?before={}">Older audiences</a></p>').format(shown[-1].number)
        if before is not None:
            more = Markup('<p class="more"><a href="/">Newest audiences</a></p>') + more
        tiles = Markup("").join(_tile(*tile) for tile in (("Audiences", audiences), ("Members", members), ("Calls", calls)))
        return Markup('<section class="tiles">{}</section>{}<section class="cards">{}</section>{}{}').format(
            tiles, self._faults(), cards, more, _call_table(self._storage.calls(limit=_CALLS))
        )

    def _card(self, audience: StoredAudience) -> Markup:
        members = self._storage.newest_members(audience, before=None, limit=_CARD_MEMBERS)
        return Markup(
            '<article class="card" data-key="a{number}"><header><div><h2><a href="/audiences/{id}"><bdi>{name}</bdi></a></h2>'
            "{names}</div>{size}</header>{chips}</article>"
        ).format(
            number=audience.number,
            id=audience.id,
            name=audience.name,
            names=_names(audience),
            size=_size(audience),
            chips=_chips(members, _more(audience, len(members), f"/audiences/{audience.id}")),
        )

    def _audience_page(self, audience: StoredAudience, before: int | None) -> Markup:
        found = self._storage.newest_members(audience, before=before, limit=_PAGE_MEMBERS + 1)
        shown = found[:_PAGE_MEMBERS]
        links = [Markup('<a href="/">All audiences</a>')]
        if before is not None:
            links.append(Markup('<a href="/audiences/{}">Last arrived</a>').format(audience.id))
        if len(found) > _PAGE_MEMBERS:
            links.append(Markup('<a href="/audiences/{}?before={}">Arrived before these</a>').format(audience.id, shown[-1][0]))
        return Markup(
            '<article class="card"><header><div><h2><bdi>{}</bdi></h2>{}</div>{}</header>{}</article><p class="more">{}</p>{}'
        ).format(
            audience.name, _names(audience), _size(audience), _chips(shown, Markup("")), Markup(" · ").join(links), self._faults()
        )

    def _faults(self) -> Markup:
        stored = self._storage.faults()
        if not stored:
            return Markup("")
        items = Markup("").join(
            Markup("<li><b>{}</b> {}</li>").format(name.replace("_", " "), _fault_value(value))
            for name, value in fault.document(fault.parse(stored)).items()
        )
        return Markup('<section class="faults"><h2>Faults in force</h2><ul>{}</ul></section>').format(items)


def _fault_value(value: object) -> str:
    if value is True:
        return "on"
    return f"{len(value)} users" if isinstance(value, list | tuple) else str(value)


def _tile(title: str, number: int) -> Markup:
    return Markup('<div class="tile"><strong data-number="{}">{:,}</strong><span>{}</span></div>').format(title, number, title)


def _size(audience: StoredAudience) -> Markup:
    return Markup('<p class="size"><strong data-number="s{}">{:,}</strong><span>{}</span></p>').format(
        audience.number, audience.size, "member" if audience.size == 1 else "members"
    )


def _names(audience: StoredAudience) -> Markup:
    reference = Markup(" · reference <code>{}</code>").format(audience.reference) if audience.reference else Markup("")
    return Markup('<p class="names">ID <code>{}</code>{}</p>').format(audience.id, reference)


def _more(audience: StoredAudience, shown: int, link: str) -> Markup:
    if audience.size <= shown:
        return Markup("")
    return Markup('<li class="rest"><a href="{}">and {:,} more</a></li>').format(link, audience.size - shown)


def _chips(members: list[tuple[int, str]], rest: Markup) -> Markup:
    if not members:
        return Markup('<p class="empty">Nobody here yet.</p>')
    chips = Markup("").join(
        Markup('<li data-key="m{0}" title="{1}"><bdi>{1}</bdi></li>').format(number, user) for number, user in members
    )
    return Markup('<ul class="chips">{}{}</ul>').format(chips, rest)


def _call_table(calls: list[StoredCall]) -> Markup:
    if not calls:
        return Markup("")
    rows = Markup("").join(
        Markup(
            '<tr><td><time>{}</time></td><td><b class="{}">{}</b></td><td><code>{}</code></td><td class="n">{}</td>'
            '<td><b class="s{}">{}</b></td></tr>'
        ).format(
            datetime.fromtimestamp(call.time, UTC).strftime("%H:%M:%S"),
            call.method.lower(),
            call.method,
            call.path,
            call.count or "",
            call.status // 100,
            call.status or "no answer",
        )
        for call in reversed(calls)
    )
    return Markup(
        '<section class="calls"><h2>Last calls</h2><div class="scroll"><table><thead><tr><th>Time (UTC)</th><th>Method</th>'
        '<th>Path</th><th class="n">Users</th><th>Answer</th></tr></thead><tbody>{}</tbody></table></div></section>'
    ).format(rows)


def _document(main: Markup) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Pangolin</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="{_ICON}">'
        f'<noscript><meta http-equiv="refresh" content="3"></noscript><style>{_STYLE}</style></head><body>'
        f'<header class="top"><img src="{_ICON}" alt="" width="36" height="36"><h1><a href="/">Pangolin</a></h1>'
        f'<p>the test platform: what it has been told</p><span id="live" role="status"></span></header>'
        f"<main>{main}</main><script>{_SCRIPT}</script></body></html>"
    )


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


_POLICY = (
    f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _headers(media_type: str) -> dict[str, str]:
    return {
        "Content-Type": media_type,
        "Content-Security-Policy": _POLICY,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def _asked_on_this_machine(request: Request) -> bool:
    try:
        asked_for = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return False
    if request.client is None or not _is_loopback(request.client.host):
        return False
    return asked_for == "localhost" or _is_loopback(asked_for)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _refusal() -> Response:
    text = "This page shows members without asking for a token, so it is only served to a browser on the same machine.\n"
    return Response(text, 403, _headers("text/plain; charset=utf-8"))
