"""Addresses of the files that pages load: each carries a number made of the file, so that browsers may keep it for good."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask


def number(app: Flask) -> None:
    """From now on `url_for` says which edition of a file it means."""
    folders = {"static": app.static_folder, "bootstrap.static": app.blueprints["bootstrap"].static_folder}

    @cache
    def edition(path: Path) -> str | None:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else None

    @app.url_defaults
    def add(endpoint: str, values: dict[str, Any]) -> None:
        folder = folders.get(endpoint)
        if folder and "v" not in values and (found := edition(Path(folder) / str(values.get("filename", "")))):
            values["v"] = found
