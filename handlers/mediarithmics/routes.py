"""The plugin's routes: what each is called, what it answers with which HTTP status, and what trouble is called there."""

from __future__ import annotations

import msgspec

from relay.domain.errors import Refusal

_OK = {"ok": 200, "error": 500}
_OPTIONAL = {**_OK, "not_implemented": 400}


class Route(msgspec.Struct, frozen=True):
    """statuses: as the contract lists them. error, passing: the status for trouble that stays, and for such as passes.
    hurried: never told to come again for overload. has_visibility: trouble says who may read it."""

    name: str
    statuses: dict[str, int] = {}
    error: str = "error"
    passing: str = "error"
    hurried: bool = False
    has_visibility: bool = False


_ROUTES: dict[str, dict[str, Route]] = {
    "/v1/external_segment_creation": {
        "POST": Route(
            "creation",
            {"ok": 200, "error": 500, "retry": 500, "no_eligible_identifier": 500},
            passing="retry",
            has_visibility=True,
        )
    },
    "/v1/external_segment_connection": {
        "POST": Route(
            "connection",
            {**_OK, "external_segment_not_ready_yet": 502},
            passing="external_segment_not_ready_yet",
            has_visibility=True,
        )
    },
    "/v1/user_segment_update": {
        "POST": Route("update", {"ok": 200, "error": 500, "retry": 429, "no_eligible_identifier": 400}, passing="retry")
    },
    "/v1/batch_update": {
        "POST": Route("batch_update", {"OK": 200, "ERROR": 400, "RETRY": 503, "error": 500}, error="ERROR", passing="RETRY")
    },
    "/v1/troubleshoot": {"POST": Route("troubleshoot", _OPTIONAL)},
    "/v1/authentication_status_queries": {
        "POST": Route(
            "authentication_status", {"authenticated": 200, "not_authenticated": 200, "error": 500, "not_implemented": 400}
        )
    },
    "/v1/authentication": {"POST": Route("authentication", _OPTIONAL)},
    "/v1/logout": {"POST": Route("logout", _OPTIONAL)},
    "/v1/dynamic_property_values_queries": {"POST": Route("dynamic_values", {**_OPTIONAL, "empty": 200})},
    "/v1/test_authentication": {"POST": Route("test_authentication", {**_OPTIONAL, "invalid_credentials": 401})},
    "/v1/oauth_redirect_url": {"POST": Route("oauth_redirect_url", _OK)},
    "/v1/init": {"POST": Route("init", hurried=True)},
    "/v1/status": {"GET": Route("status", hurried=True)},
    "/v1/log_level": {"GET": Route("log_level", hurried=True), "PUT": Route("set_log_level", hurried=True)},
    "/v1/metadata": {"GET": Route("metadata")},
}

ASKED_OFTEN = frozenset({"init", "status", "log_level", "metadata"})
"""By the platform's own watching: an answer with success is worth no line at the usual level."""


def route_of(path: str, method: str) -> Route:
    """Refuses (404, 405) what is no route."""
    methods = _ROUTES.get(path.rstrip("/"))
    if methods is None:
        raise Refusal(404, "There is nothing at this address.", code="unknown_path")
    route = methods.get(method)
    if route is None:
        allowed = ", ".join(sorted(methods))
        raise Refusal(405, f"Only {allowed} is accepted here.", {"Allow": allowed}, code="method")
    return route
