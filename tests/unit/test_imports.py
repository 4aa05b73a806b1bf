"""Data flows one way, and each process loads only what it needs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

RULES = {
    "relay/domain": {"relay.domain"},
    "handlers": {
        "handlers", "relay.domain", "relay.backends.interfaces", "relay.wide_log", "relay.configuration", "relay.trust",
        "relay.connector_threads",
    },
    "relay/expressions": {"relay.expressions", "relay.domain"},
    "relay/reading": {"relay.reading", "relay.domain"},
    "adapters": {"adapters", "relay.domain", "relay.expressions", "relay.reading", "relay.trust"},
    "worker": {
        "worker", "adapters", "relay.domain", "relay.backends", "relay.connectors", "relay.expressions", "relay.health",
        "relay.wide_log", "relay.configuration", "relay.connector_threads",
    },
    "relay/backends": {"relay.backends", "relay.domain", "relay.configuration", "relay.wide_log"},
    "relay/connectors": {
        "relay.connectors", "relay.domain", "relay.expressions", "relay.reading", "relay.backends.interfaces",
        "adapters.contract", "adapters.registry", "relay.configuration",
    },
    "relay/pangolin": {"relay.pangolin", "relay.domain.clock", "relay.domain.errors", "relay.configuration"},
    "relay/simulator": {"relay.simulator", "relay.domain", "relay.configuration"},
    "relay/health": {
        "relay.health", "relay.domain", "relay.backends.interfaces", "relay.connectors", "relay.expressions", "adapters.contract",
        "adapters.registry",
    },
    "relay/operating": {
        "relay.operating", "relay.health", "relay.connectors", "relay.domain", "relay.backends.interfaces", "adapters", "worker",
        "relay.expressions", "relay.reading", "handlers",
    },
    "relay/console": {
        "relay.console", "relay.health", "relay.domain", "relay.backends", "relay.configuration", "relay.wide_log",
        "relay.connectors", "relay.operating", "relay.expressions", "relay.reading", "adapters", "worker",
        "relay.__version__",
    },
}  # fmt: skip

OURS = ("main", "relay", "handlers", "worker", "adapters")


def imported_by(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: relative import"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in OURS}


def allowed(name: str, rules: set[str]) -> bool:
    return any(name == rule or name.startswith(rule + ".") or rule.startswith(name + ".") for rule in rules)


@pytest.mark.parametrize("place", RULES)
def test_each_part_imports_only_what_lies_downstream_of_it(place: str) -> None:
    files = sorted((ROOT / place).rglob("*.py"))
    assert files
    wrong = {
        f"{file.relative_to(ROOT)}: {name}" for file in files for name in imported_by(file) if not allowed(name, RULES[place])
    }
    assert not wrong


def test_nothing_but_the_configuration_reads_the_environment() -> None:
    sources = [file for part in OURS[1:] for file in (ROOT / part).rglob("*.py")] + [ROOT / "main.py"]
    readers = {
        str(file.relative_to(ROOT)) for file in sources if "os.environ" in file.read_text() or "getenv" in file.read_text()
    }
    assert readers <= {"relay/configuration.py"}


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("handlers.mapp.receiver", ["adapters", "worker", "relay.connectors", "sqlite3", "requests", "flask"]),
        ("handlers.mediarithmics.receiver", ["adapters", "worker", "relay.connectors", "sqlite3", "flask"]),
        ("relay.functions", ["adapters", "worker", "relay.connectors", "requests", "handlers.mediarithmics"]),
        ("relay.simulator.mediarithmics.traffic", ["adapters", "worker", "handlers", "relay.backends", "relay.connectors"]),
        ("worker.turn", ["handlers", "starlette", "flask", "phonenumbers"]),
        ("relay.health.survey", ["click", "flask", "sqlite3", "requests", "worker", "handlers"]),
        ("relay.pangolin.application", ["adapters", "worker", "handlers", "flask"]),
    ],
)
def test_a_process_loads_only_what_it_needs(module: str, never: list[str]) -> None:
    program = f"import {module}, sys; print([n for n in {never!r} if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def loaded_ahead_by(function: str, prefix: str) -> list[str]:
    """The modules with this prefix in the process that serves the function, before its first request."""
    program = f"import main, sys; print([n for n in sys.modules if (n + '.').startswith({prefix + '.'!r})])"
    environment = {"PATH": "/usr/bin:/bin", "FUNCTION_TARGET": function, "BACKEND": "google", "GOOGLE_CLOUD_PROJECT": "nowhere"}
    emulators = {"PUBSUB_EMULATOR_HOST": "127.0.0.1:9", "FIRESTORE_EMULATOR_HOST": "127.0.0.1:9"}
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env={**environment, **emulators}, capture_output=True, text=True, check=True
    )
    found: list[str] = ast.literal_eval(run.stdout.strip())
    return found


@pytest.mark.parametrize("function", ["diy", "create", "deliver", "tick", "console"])
def test_the_second_source_is_loaded_by_its_own_function_only(function: str) -> None:
    assert loaded_ahead_by(function, "handlers.mediarithmics") == []
    assert loaded_ahead_by(function, "worker.feeds") == []


def test_the_feeds_function_loads_ahead_what_its_first_request_needs() -> None:
    assert "handlers.mediarithmics.receiver" in loaded_ahead_by("external_feed", "handlers")
    assert "worker.feeds" in loaded_ahead_by("external_feed", "worker")
    assert loaded_ahead_by("external_feed", "handlers.mapp") == []
    assert loaded_ahead_by("external_feed", "relay.console") == []
