"""Configuration from environment variables. Nothing else of ours reads the environment."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from relay.domain.errors import ConfigurationError
from relay.domain.mail_server import is_mail_address, mail_server

LOCAL_SECRETS: Mapping[str, str] = {
    "pangolin-hmac": "local-hmac-secret",
    "pangolin-basic": "mapp:local:password",
    "pangolin-token": "local-pangolin-token",
}
"""The fixed secrets of a local run, by name. They are printed, and refused on any address but loopback."""

LOCAL_CONSOLE_PASSWORD = "local-console-password"  # noqa: S105 - printed on purpose, refused outside of loopback

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Configuration(msgspec.Struct, frozen=True):
    """What the variables say, checked. Those of the google back end:

    google_cloud_region  where the functions and the topic are: messages keep their order within one region
    topic                Pub/Sub topic of the queue
    ack_deadline_s       acknowledgement deadline of its push subscription, in seconds
    secret_prefix        before the name of each secret in Secret Manager
    inbound_file         where the inbound document is mounted, in the receiver; empty: it is read from Secret Manager
    iap_audience         how Identity-Aware Proxy names the console in what it signs; empty: the console asks for its password
    console_roles        which address has which role in the console, behind Identity-Aware Proxy (`console.roles.RoleList`)
    create_url           address of the private function `create`; empty: audiences are created in this process
    journal_bucket       Cloud Storage bucket of the journal; empty: there is none
    journal_batch_s      seconds after which the journal's subscriptions finish an object at the latest
    *_emulator           host:port of an emulator instead of the service; empty: the service

    And those of the embedded one: smtp_url, a mail server that notices are handed to (`domain.mail_server`; empty: none), and
    smtp_from, the address that they come from.
    """

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
    google_cloud_region: str = ""
    firestore_database: str = "(default)"
    topic: str = "diy-relay"
    ack_deadline_s: float = 300.0
    secret_prefix: str = "diy-relay-"  # noqa: S105 - of names
    inbound_file: str = ""
    create_url: str = ""
    iap_audience: str = ""
    console_roles: str = ""
    journal_bucket: str = ""
    journal_batch_s: float = 60.0
    pubsub_emulator: str = ""
    firestore_emulator: str = ""
    secret_manager_emulator: str = ""
    storage_emulator: str = ""
    smtp_url: str = ""
    smtp_from: str = ""
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
        google_cloud_region=given.get("GOOGLE_CLOUD_REGION", ""),
        firestore_database=given.get("FIRESTORE_DATABASE") or "(default)",
        topic=given.get("TOPIC") or "diy-relay",
        ack_deadline_s=_seconds(given, "ACK_DEADLINE_S", 300.0),
        secret_prefix=given.get("SECRET_PREFIX") or "diy-relay-",
        inbound_file=given.get("INBOUND_FILE", ""),
        create_url=given.get("CREATE_URL", ""),
        iap_audience=given.get("IAP_AUDIENCE", ""),
        console_roles=given.get("CONSOLE_ROLES", ""),
        journal_bucket=given.get("JOURNAL_BUCKET", ""),
        journal_batch_s=_seconds(given, "JOURNAL_BATCH_S", 60.0),
        pubsub_emulator=given.get("PUBSUB_EMULATOR_HOST", ""),
        firestore_emulator=given.get("FIRESTORE_EMULATOR_HOST", ""),
        secret_manager_emulator=given.get("SECRET_MANAGER_EMULATOR_HOST", ""),
        storage_emulator=given.get("STORAGE_EMULATOR_HOST", ""),
        smtp_url=_smtp_url(given),
        smtp_from=given.get("SMTP_FROM", ""),
        on_cloud_run=bool(given.get("K_SERVICE")),
        function=given.get("FUNCTION_TARGET", ""),
        user=given.get("USER") or given.get("LOGNAME") or _login_name(),
        simulate_hmac_secret=given.get("SIMULATE_HMAC_SECRET", ""),
        simulate_basic=given.get("SIMULATE_BASIC", ""),
    )


def environment(configuration: Configuration, more: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """The environment of a process that this one starts: ours, with the variables that say what the configuration says (`read`
    finds it again), and `more`."""
    return {
        **os.environ,
        "BACKEND": configuration.backend,
        "STATE_DIR": str(configuration.state_dir),
        "HOST": configuration.host,
        "RECEIVER_PORT": str(configuration.receiver_port),
        "CONSOLE_PORT": str(configuration.console_port),
        "PANGOLIN_PORT": str(configuration.pangolin_port),
        "TRAFFIC": "1" if configuration.traffic else "0",
        "PUBLIC_URL": configuration.public_url,
        "CONSOLE_PASSWORD": configuration.console_password,
        "GOOGLE_CLOUD_PROJECT": configuration.google_cloud_project,
        "GOOGLE_CLOUD_REGION": configuration.google_cloud_region,
        "FIRESTORE_DATABASE": configuration.firestore_database,
        "TOPIC": configuration.topic,
        "ACK_DEADLINE_S": f"{configuration.ack_deadline_s:g}",
        "SECRET_PREFIX": configuration.secret_prefix,
        "INBOUND_FILE": configuration.inbound_file,
        "CREATE_URL": configuration.create_url,
        "IAP_AUDIENCE": configuration.iap_audience,
        "CONSOLE_ROLES": configuration.console_roles,
        "JOURNAL_BUCKET": configuration.journal_bucket,
        "JOURNAL_BATCH_S": f"{configuration.journal_batch_s:g}",
        "PUBSUB_EMULATOR_HOST": configuration.pubsub_emulator,
        "FIRESTORE_EMULATOR_HOST": configuration.firestore_emulator,
        "SECRET_MANAGER_EMULATOR_HOST": configuration.secret_manager_emulator,
        "STORAGE_EMULATOR_HOST": configuration.storage_emulator,
        "SMTP_URL": configuration.smtp_url,
        "SMTP_FROM": configuration.smtp_from,
        "USER": configuration.user,
        "SIMULATE_HMAC_SECRET": configuration.simulate_hmac_secret,
        "SIMULATE_BASIC": configuration.simulate_basic,
        **more,
    }


def refuse_known_console_password(configuration: Configuration) -> None:
    """Raises `ConfigurationError` where the console could be reached from elsewhere with the password that everybody knows."""
    elsewhere = configuration.on_cloud_run or not configuration.on_loopback
    if elsewhere and configuration.console_password == LOCAL_CONSOLE_PASSWORD and not configuration.iap_audience:
        raise ConfigurationError(
            "The console can be reached from elsewhere and has the password that everybody knows: set CONSOLE_PASSWORD, or "
            "IAP_AUDIENCE behind Identity-Aware Proxy."
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


def _smtp_url(given: Mapping[str, str]) -> str:
    url = given.get("SMTP_URL", "")
    if url:
        mail_server(url)
        if not is_mail_address(given.get("SMTP_FROM", "")):
            raise ConfigurationError("SMTP_URL needs SMTP_FROM: the address that mails come from, such as diy-relay@example.com.")
    return url


def _seconds(given: Mapping[str, str], name: str, default: float) -> float:
    text = given.get(name) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ConfigurationError(f"{name} is {text!r}; it must be a number of seconds above 0.")
    return seconds


def bracketed(host: str) -> str:
    """The host as it stands in an address: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
