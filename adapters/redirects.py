"""Where a redirect leads, for connectors that follow them (RFC 9110, 15.4: https://www.rfc-editor.org/rfc/rfc9110#section-15.4).

What was meant for one place is not carried to another: credentials and bodies, which hold users, stay within the origin (scheme,
host and port) that was configured.
"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from relay.domain.errors import Misconfigured

MAX_HOPS = 5
"""Most redirects that are followed for one call."""

_SAME_CALL = (307, 308)
_READING = (301, 302, 303, 307, 308)


def onward(url: str, status: int, location: str | None, *, hops: int, reading: bool, confidential: bool) -> str | None:
    """The address to call next; None if the answer is no redirect that this call follows.

    url           whole, of the call that was answered so
    hops          redirects that have been followed already
    reading       a GET or HEAD without a body; everything else follows only 307 and 308, which do not change the call
    confidential  the call carries credentials or a body

    Raises `Misconfigured`: `bad_redirect` (no usable address), `plain_http` (from https to http), `redirect_elsewhere` (a
    confidential call to another origin), `too_many_redirects`.
    """
    if status not in (_READING if reading else _SAME_CALL):
        return None
    if hops >= MAX_HOPS:
        raise _refused(f"redirects more than {MAX_HOPS} times", "too_many_redirects", status)
    try:
        # Headers are read as Latin-1; what is not ASCII is meant as UTF-8.
        target = urljoin(url, (location or "").encode("latin-1").decode())
        before, after = origin(url), origin(target)
    except ValueError:
        raise _refused("redirects to an address that cannot be used", "bad_redirect", status) from None
    if not location or after[0] not in ("http", "https") or not after[1] or "@" in urlsplit(target).netloc:
        raise _refused("redirects to an address that cannot be used", "bad_redirect", status)
    if before[0] == "https" and after[0] == "http":
        raise _refused("redirects to an address without encryption", "plain_http", status)
    if confidential and before != after:
        raise _refused("redirects to another place, where credentials and users are not sent", "redirect_elsewhere", status)
    return target


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port. Raises `ValueError` for what is no URL."""
    parts = urlsplit(url)
    port = parts.port
    if port is None:
        port = 80 if parts.scheme == "http" else 443
    return parts.scheme, (parts.hostname or "").removesuffix("."), port


def _refused(what: str, code: str, status: int) -> Misconfigured:
    return Misconfigured(f"The partner {what}; check the connector's address (status {status}).", code=code, status=status)
