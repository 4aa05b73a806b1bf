"""Stacks for the tests, on each back end: one shared by those that leave it as it was, and fresh ones for those that break it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.google_stack import GoogleStack
from tests.end_to_end.stack import Stack


@pytest.fixture(params=["embedded", pytest.param("google", marks=pytest.mark.once)])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    made = _make(request, tmp_path)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module", params=["embedded", pytest.param("google", marks=pytest.mark.once)])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = _make(request, tmp_path_factory.mktemp("stack"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def _make(request: pytest.FixtureRequest, directory: Path) -> Stack:
    if request.param == "embedded":
        return Stack(directory)
    return GoogleStack(directory, request.getfixturevalue("emulators"))
