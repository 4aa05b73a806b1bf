"""How a document says that calls are authenticated (`auth`, `signature`): the secrets that takes, and how it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from adapters.authentication import Authentication, Secret
from adapters.contract import Account, Field
from adapters.http import tokens
from adapters.http.grammar import Names
from adapters.http.scheme import AUTHORIZATION, Make, Scheme
from relay.domain.malformed import Malformed
from relay.reading import values
from relay.reading.section import Section

_USER = Field("user", "User name", required=True)
_PASSWORD = Field("password", "Password", required=True)
_TOKEN = Field("token", "Token", required=True)
_API_KEY = Field("api_key", "API key", required=True)
_SIGNING_KEY = Field("signing_key", "Key of the signature", required=True)

_SIGNATURE_KEYS = ("algorithm", "header", "encoding", "prefix", "timestamp_header")


def read_scheme(settings: Section, names: Names) -> Scheme:
    """What `auth` and `signature` say. `names`: what the claims of a JSON Web Token can look at."""
    scheme = _read_auth(settings, names)
    if not settings.given("signature"):
        return scheme
    header, sign = _read_signature(settings.section("signature", _SIGNATURE_KEYS))
    return replace(scheme, secrets=(*scheme.secrets, _SIGNING_KEY), headers=(*scheme.headers, *header), sign=sign)


def _read_auth(settings: Section, names: Names) -> Scheme:
    if not settings.given("auth"):
        return Scheme()
    given = settings.section("auth", None)
    kind = given.require("type", values.choice(*_KINDS), "")
    if not kind:
        return Scheme()
    keys, read = _KINDS[kind]
    return read(settings.section("auth", ("type", *keys)), names)


def _none(section: Section, names: Names) -> Scheme:  # noqa: ARG001 - as the others
    return Scheme()


def _basic(section: Section, names: Names) -> Scheme:  # noqa: ARG001 - as the others
    def make(account: Account) -> Authentication:
        from adapters.authentication.static import Basic

        return Basic(Secret.of(account, _USER), Secret.of(account, _PASSWORD))

    return Scheme((_USER, _PASSWORD), AUTHORIZATION, make=make)


def _bearer(section: Section, names: Names) -> Scheme:  # noqa: ARG001 - as the others
    def make(account: Account) -> Authentication:
        from adapters.authentication.static import Bearer

        return Bearer(Secret.of(account, _TOKEN))

    return Scheme((_TOKEN,), AUTHORIZATION, make=make)


def _api_key(section: Section, names: Names) -> Scheme:  # noqa: ARG001 - as the others
    header = section.read("header", _word, "")
    query = section.read("query", _word, "")
    prefix = section.read("prefix", values.text, "")
    if section.given("header") == section.given("query"):
        section.problem("header", "A key is sent either in a `header` or in the `query`: name the one it goes into.")

    def make(account: Account) -> Authentication:
        from adapters.authentication.static import ApiKey

        return ApiKey(Secret.of(account, _API_KEY), header=header, query=query, prefix=prefix)

    return Scheme((_API_KEY,), (header,) if header else (), (query,) if query else (), make=make)


_KINDS: Mapping[str, tuple[tuple[str, ...], Callable[[Section, Names], Scheme]]] = {
    "none": ((), _none),
    "basic": ((), _basic),
    "bearer": ((), _bearer),
    "api_key": (("header", "query", "prefix"), _api_key),
    "oauth2": (tokens.OAUTH2_KEYS, tokens.read_oauth2),
    "jwt": (tokens.TOKEN_KEYS, tokens.read_jwt),
}


def _read_signature(section: Section) -> tuple[tuple[str, ...], Make]:
    digest: Any = section.read("algorithm", values.choice("sha1", "sha256", "sha512"), "sha256")
    encoding: Any = section.read("encoding", values.choice("hex", "base64"), "hex")
    header = section.require("header", _word, "")
    prefix = section.read("prefix", values.text, "")
    timestamp_header = section.read("timestamp_header", _word, "")

    def make(account: Account) -> Authentication:
        from adapters.authentication.signature import BodySignature

        return BodySignature(
            Secret.of(account, _SIGNING_KEY),
            header=header,
            clock=account.clock,
            digest=digest,
            encoding=encoding,
            prefix=prefix,
            timestamp_header=timestamp_header,
        )

    return (header,) if header else (), make


def _word(value: object) -> str:
    text = values.text(value)
    if not text or not text.isascii() or not text.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise Malformed("This must be a name of letters, digits, hyphens, underscores and dots.")
    return text
