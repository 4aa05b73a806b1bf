"""One way to authenticate, as a document describes it, before there are secrets."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from adapters.authentication import Authentication, NoAuthentication
from adapters.contract import Account, Field

Make = Callable[[Account], Authentication]


class Scheme(msgspec.Struct, frozen=True):
    """How calls are authenticated.

    headers     those that carry credentials
    query       parameters of the query that do
    app         the installation's app whose secrets may serve
    by_consent  somebody has to allow the access in a browser: what `make` gives is an `OAuth2AuthorizationCode`
    sign        a signature of the body beside it
    """

    secrets: tuple[Field, ...] = ()
    headers: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    app: str = ""
    make: Make = lambda _: NoAuthentication()
    by_consent: bool = False
    sign: Make | None = None


AUTHORIZATION = ("Authorization",)
