"""Configuration from environment variables. Nothing else of ours reads the environment."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

import msgspec

from relay.domain.errors import ConfigurationError

LOCAL_SECRETS: Mapping[str, str] = {
    "pangolin-hmac": "local-hmac-secret",
    "pangolin-basic": "mapp:local:password",
    "pangolin-token": "local-pangolin-token",
}
"""The fixed secrets of a local run, by name. They are printed, and refused on any address but loopback."""

LOCAL_CONSOLE_PASSWORD = "local-console-password"  # noqa: S105 - printed on purpose, refused outside of loopback

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Configuration(msgspec.Struct, frozen=True):
    """What the variables say, checked."""

    backend: str = "embedded"
    state_dir: Path = Path(".state")
    host: str = "127.0.0.1"
    receiver_port: int = 8080
    console_port: int = 8081
    pangolin_port: int = 8082
    traffic: bool = True
    public_url: str = ""
    console_password: str = LOCAL_CONSOLE_PASSWORD
    google_cloud_project: str = ""
    on_cloud_run: bool = False
    function: str = ""
    user: str = ""
    simulate_hmac_secret: str = ""
    simulate_basic: str = ""

    @property
    def on_loopback(self) -> bool:
        """Whether the processes bind a loopback address."""
        return self.host in LOOPBACK

    @property
    def receiver_url(self) -> str:
        """Where the DMP reaches the receiver."""
        return (self.public_url or self.local_url(self.receiver_port)).rstrip("/")

    def local_url(self, port: int) -> str:
        """Where the process on this port of `host` is reached, without a final slash."""
        return f"http://{bracketed(self.host)}:{port}"


def read(environment: Mapping[str, str] | None = None) -> Configuration:
    """The configuration from the process's environment (or the given one). Raises `ConfigurationError`."""
    given = os.environ if environment is None else environment
    backend = given.get("BACKEND", "embedded")
    if backend not in ("embedded", "google"):
        raise ConfigurationError(f"BACKEND is {backend!r}; it can be 'embedded' or 'google'.")
    if given.get("K_SERVICE") and backend != "google":
        raise ConfigurationError(
            f"Refusing to start on Cloud Run with BACKEND={backend}: its database would vanish with the instance and accepted "
            "changes with it. Set BACKEND=google."
        )
    return Configuration(
        backend=backend,
        state_dir=Path(given.get("STATE_DIR") or ".state"),
        host=given.get("HOST") or "127.0.0.1",
        receiver_port=_port(given, "RECEIVER_PORT", 8080),
        console_port=_port(given, "CONSOLE_PORT", 8081),
        pangolin_port=_port(given, "PANGOLIN_PORT", 8082),
        traffic=given.get("TRAFFIC", "1") not in ("0", "no", "false"),
        public_url=given.get("PUBLIC_URL", ""),
        console_password=given.get("CONSOLE_PASSWORD") or LOCAL_CONSOLE_PASSWORD,
        google_cloud_project=given.get("GOOGLE_CLOUD_PROJECT", ""),
        on_cloud_run=bool(given.get("K_SERVICE")),
        function=given.get("FUNCTION_TARGET", ""),
        user=given.get("USER") or given.get("LOGNAME") or _login_name(),
        simulate_hmac_secret=given.get("SIMULATE_HMAC_SECRET", ""),
        simulate_basic=given.get("SIMULATE_BASIC", ""),
    )


def refuse_known_console_password(configuration: Configuration) -> None:
    """Raises `ConfigurationError` where the console could be reached from elsewhere with the password that everybody knows."""
    elsewhere = configuration.on_cloud_run or not configuration.on_loopback
    if elsewhere and configuration.console_password == LOCAL_CONSOLE_PASSWORD:
        raise ConfigurationError(
            "The console can be reached from elsewhere and has the password that everybody knows: set CONSOLE_PASSWORD."
        )


def _login_name() -> str:
    """Whose process this is, where the environment does not say so, as under cron; a user without a name is given by number."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _port(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name) or str(default)
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ConfigurationError(f"{name} is {text!r}; it must be a port number from 1 to 65535.")
    return int(text)


def bracketed(host: str) -> str:
    """The host as it stands in an address: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
