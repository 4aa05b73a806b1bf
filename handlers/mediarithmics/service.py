"""What the platform asks of the plugin itself: whether it is ready, what it is, how much it logs."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from handlers.mediarithmics.requests import read_object
from handlers.mediarithmics.settings import Plugin
from relay.domain.errors import Refusal
from relay.wide_log import Severity, set_threshold, threshold

PACKAGES = (
    "diy-relay", "Authlib", "Bootstrap-Flask", "click", "cryptography", "fastavro", "flask", "Flask-WTF", "functions-framework",
    "google-api-core", "google-auth", "google-cloud-firestore", "google-cloud-pubsub", "google-cloud-secret-manager", "grpcio",
    "httptools", "itsdangerous", "Jinja2", "jmespath", "joserfc", "markupsafe", "msgspec", "phonenumbers", "PyYAML", "requests",
    "starlette", "urllib3", "uvicorn", "uvloop", "werkzeug", "WTForms",
)  # fmt: skip
"""Ours, and those of requirements.txt."""

_LEVELS: Mapping[str, Severity] = {
    "silly": "DEBUG",
    "trace": "DEBUG",
    "verbose": "DEBUG",
    "debug": "DEBUG",
    "http": "INFO",
    "info": "INFO",
    "notice": "INFO",
    "warn": "WARNING",
    "warning": "WARNING",
    "error": "ERROR",
    "critical": "ERROR",
    "fatal": "ERROR",
}
"""Levels as the platform may name them."""


def log_level() -> dict[str, Any]:
    """`GET /v1/log_level`."""
    return {"level": threshold()}


def change_log_level(body: bytes) -> bool:
    """`PUT /v1/log_level`; False for a body without a level that is known."""
    try:
        given = (read_object(body) or {}).get("level")
    except Refusal:
        return False
    level = _LEVELS.get(given.strip().lower()) if isinstance(given, str) else None
    if level is None:
        return False
    set_threshold(level)
    return True


def metadata(plugin: Plugin) -> dict[str, Any]:
    """`GET /v1/metadata`."""
    return {
        "runtime": "python",
        "runtime_version": platform.python_version(),
        "group_id": plugin.group_id,
        "artifact_id": plugin.artifact_id,
        "plugin_type": plugin.type,
        "plugin_version": plugin.version,
        "plugin_build": plugin.build,
        "dependencies": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
