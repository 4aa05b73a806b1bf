"""Options of the whole suite."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "diy",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
settings.load_profile("diy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cases", type=int, default=0, help="how many random cases the promise is tried with (0: some hundred)")
    parser.addoption(
        "--nothing-left-out", action="store_true", help="a test that is skipped because something is not installed fails"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and item.config.getoption("--nothing-left-out") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"left out, and nothing may be: {report.longrepr}"
    return report
