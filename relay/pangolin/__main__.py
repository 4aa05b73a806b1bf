"""`python -m relay.pangolin`: the test platform as a process, on the port and in the state directory of the configuration."""

from __future__ import annotations

from relay import configuration
from relay.domain.errors import ConfigurationError
from relay.pangolin.server import run


def main() -> None:
    """Serves until it is told to end. One clear line and exit code 1 if it cannot."""
    try:
        settings = configuration.read()
    except ConfigurationError as error:
        raise SystemExit(str(error)) from error
    if not settings.on_loopback:
        raise SystemExit(
            f"HOST is {settings.host!r}: Pangolin accepts a fixed token that anyone can read, so it serves this machine only. "
            "Set HOST=127.0.0.1."
        )
    token = configuration.LOCAL_SECRETS["pangolin-token"]
    run(settings.host, settings.pangolin_port, settings.state_dir / "pangolin.db", token)


if __name__ == "__main__":
    main()
