"""The pages, in the order of the navigation."""

from __future__ import annotations

from flask import Blueprint

from relay.console.pages import (
    activity,
    audiences,
    audit,
    connect,
    connector,
    edit,
    health,
    holds,
    home,
    rejections,
    search,
    secrets,
    users,
    versions,
)

PAGES: tuple[Blueprint, ...] = (
    home.pages,
    connector.pages,
    secrets.pages,
    connect.pages,
    versions.pages,
    edit.pages,
    activity.pages,
    rejections.pages,
    users.pages,
    audiences.pages,
    holds.pages,
    health.pages,
    audit.pages,
    search.pages,
)
