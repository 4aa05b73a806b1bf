"""The secrets that the simulated DMP signs with: from the environment, a file, or, on this machine, the fixed local ones."""

from __future__ import annotations

from pathlib import Path

import msgspec
import yaml

from relay.configuration import LOCAL_SECRETS, Configuration
from relay.domain.errors import ConfigurationError
from relay.simulator.dmp import is_loopback


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """basic: `user:password`; empty where the connector asks for none."""

    hmac_secret: str
    basic: str = ""


LOCAL = Credentials(LOCAL_SECRETS["pangolin-hmac"], LOCAL_SECRETS["pangolin-basic"])


def choose(url: str, configuration: Configuration, file: Path | None) -> Credentials:
    """The file's, else the environment's, else, for this machine, the local ones. Raises `ConfigurationError`."""
    if file is not None:
        return from_file(file)
    if configuration.simulate_hmac_secret:
        return Credentials(configuration.simulate_hmac_secret, configuration.simulate_basic)
    if configuration.simulate_basic:
        raise ConfigurationError("SIMULATE_BASIC is set and SIMULATE_HMAC_SECRET is not; the DMP signs every POST: set both.")
    if is_loopback(url):
        return LOCAL
    raise ConfigurationError(
        "The connector's secrets are needed: set SIMULATE_HMAC_SECRET and, where it asks for Basic auth, SIMULATE_BASIC "
        "(user:password), or name a file with --secrets-file."
    )


def from_file(file: Path) -> Credentials:
    """Reads a YAML document with `hmac_secret` and, if needed, `basic` (user:password). Raises `ConfigurationError`.

    A file that others can read is refused: a secret in it is no secret.
    """
    try:
        mode = file.stat().st_mode
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(f"The secrets file {file} cannot be read: {reason}.") from None
    if mode & 0o077:
        raise ConfigurationError(f"The secrets file {file} can be read by others on this machine. Run: chmod 600 {file}")
    try:
        return msgspec.convert(yaml.safe_load(text), Credentials)
    except (yaml.YAMLError, msgspec.ValidationError):
        raise ConfigurationError(
            f"The secrets file {file} must hold two lines: 'hmac_secret: ...' and, if the connector has Basic auth, "
            "'basic: \"user:password\"'."
        ) from None
