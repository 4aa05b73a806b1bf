"""`python -m relay.console`: the page on HOST and CONSOLE_PORT, served as Google serves it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import relay.configuration
from relay.console import create_app
from relay.domain.errors import ConfigurationError

_MAIN = Path(__file__).resolve().parents[2] / "main.py"


def command(configuration: relay.configuration.Configuration) -> list[str]:
    """The process that serves it. Raises `ConfigurationError` where it must not be served."""
    create_app(configuration)
    host = relay.configuration.bracketed(configuration.host)
    options = {"--target": "console", "--source": str(_MAIN), "--host": host, "--port": str(configuration.console_port)}
    return [sys.executable, "-m", "functions_framework", *(word for option in options.items() for word in option)]


def main() -> None:
    """Becomes that process, or ends with one clear line."""
    try:
        words = command(relay.configuration.read())
    except ConfigurationError as error:
        sys.exit(str(error))
    os.execv(words[0], words)  # noqa: S606 - our own command


if __name__ == "__main__":
    main()
