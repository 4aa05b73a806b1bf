"""`/health`: the queue, the back end, what runs in which version, and what went wrong by our own fault."""

from __future__ import annotations

from flask import Blueprint, render_template

from relay.console import parts
from relay.console.health_reading import health_page
from relay.console.roles import needs

pages = Blueprint("health", __name__)


@pages.get("/health")
@needs("viewer")
def show() -> str:
    return render_template("health.html", page=health_page(parts.backend(), parts.configuration(), parts.now()))
