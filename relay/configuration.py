"""Configuration from environment variables. Nothing else of ours reads the environment."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import msgspec
from msgspec.structs import replace

from relay.domain.errors import ConfigurationError
from relay.domain.mail_server import is_mail_address, mail_server

LOCAL_SECRETS: Mapping[str, str] = {
    "pangolin-hmac": "local-hmac-secret",
    "pangolin-basic": "mapp:local:password",
    "pangolin-token": "local-pangolin-token",
}
"""The fixed secrets of a local run, by name. They are printed, and refused on any address but loopback."""

LOCAL_CONSOLE_PASSWORD = "local-console-password"  # noqa: S105 - printed on purpose, refused outside of loopback

SHORTEST_FEED_SECRET = 16
"""Characters: it is all that keeps strangers away."""

LOCAL_PLUGIN = ("local-worker", "local-plugin-token")
"""As whom the feeds' function of a local run asks the simulated gateway: worker ID and token. Printed, too."""

GATEWAY_PORT = 8080
"""Of the platform's own gateway."""

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

    Those of the feeds' function: feed_access and feed_secret (see `handlers.mediarithmics.settings.Access`), feed_redirect_url,
    gateway_host, gateway_port (0: the platform's own, `GATEWAY_PORT`) and plugin_* (as the platform names them), feed_port (where
    a local run serves it; 0: it does not).

    And those of the embedded back end: smtp_url, a mail server that notices are handed to (`domain.mail_server`; empty: none),
    and smtp_from, the address that they come from.
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
    feed_port: int = 0
    feed_access: Literal["", "internal", "iam", "secret"] = ""
    feed_secret: str = ""
    feed_redirect_url: str = ""
    gateway_host: str = "plugin-gateway.platform"
    gateway_port: int = 0
    plugin_worker_id: str = ""
    plugin_authentication_token: str = ""
    plugin_group_id: str = ""
    plugin_artifact_id: str = ""
    plugin_type: str = ""
    plugin_version: str = ""
    plugin_build: str = ""
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

    @property
    def gateway_url(self) -> str:
        """Where the feeds' function asks for what a feed is, without a final slash."""
        return f"http://{bracketed(self.gateway_host)}:{self.gateway_port or GATEWAY_PORT}"

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
        feed_port=_port(given, "FEED_PORT", 0) if given.get("FEED_PORT") else 0,
        feed_access=_feed_access(given),
        feed_secret=given.get("FEED_SECRET", ""),
        feed_redirect_url=given.get("FEED_REDIRECT_URL", ""),
        gateway_host=given.get("GATEWAY_HOST") or "plugin-gateway.platform",
        gateway_port=_port(given, "GATEWAY_PORT", 0) if given.get("GATEWAY_PORT") else 0,
        plugin_worker_id=given.get("PLUGIN_WORKER_ID", ""),
        plugin_authentication_token=given.get("PLUGIN_AUTHENTICATION_TOKEN", ""),
        plugin_group_id=given.get("PLUGIN_GROUP_ID", ""),
        plugin_artifact_id=given.get("PLUGIN_ARTIFACT_ID", ""),
        plugin_type=given.get("PLUGIN_TYPE", ""),
        plugin_version=given.get("PLUGIN_VERSION", ""),
        plugin_build=given.get("PLUGIN_BUILD", ""),
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
        "FEED_PORT": str(configuration.feed_port or ""),
        "FEED_ACCESS": configuration.feed_access,
        "FEED_SECRET": configuration.feed_secret,
        "FEED_REDIRECT_URL": configuration.feed_redirect_url,
        "GATEWAY_HOST": configuration.gateway_host,
        "GATEWAY_PORT": str(configuration.gateway_port or ""),
        "PLUGIN_WORKER_ID": configuration.plugin_worker_id,
        "PLUGIN_AUTHENTICATION_TOKEN": configuration.plugin_authentication_token,
        "PLUGIN_GROUP_ID": configuration.plugin_group_id,
        "PLUGIN_ARTIFACT_ID": configuration.plugin_artifact_id,
        "PLUGIN_TYPE": configuration.plugin_type,
        "PLUGIN_VERSION": configuration.plugin_version,
        "PLUGIN_BUILD": configuration.plugin_build,
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


def refuse_open_feeds(configuration: Configuration) -> None:
    """Raises `ConfigurationError` where the feeds' function could be reached by strangers: the platform signs nothing."""
    if configuration.feed_access == "secret" and len(configuration.feed_secret) < SHORTEST_FEED_SECRET:
        raise ConfigurationError(f"FEED_ACCESS=secret needs FEED_SECRET, of at least {SHORTEST_FEED_SECRET} characters.")
    elsewhere = configuration.on_cloud_run or not configuration.on_loopback
    if elsewhere and not configuration.feed_access:
        raise ConfigurationError(
            "The feeds' function can be reached from elsewhere, and nobody signs what it is sent. Set FEED_ACCESS: 'internal' "
            "where only the platform's own network reaches it, 'iam' where Google Cloud's IAM lets nobody else through, 'secret' "
            "where each request carries FEED_SECRET in the header X-Feed-Secret."
        )
    if configuration.feed_access == "iam" and not configuration.on_cloud_run and not configuration.on_loopback:
        raise ConfigurationError(
            "FEED_ACCESS=iam, and nothing of Google Cloud's stands in front here: everybody could reach the feeds' function. Set "
            "it to 'internal' where only the platform's own network reaches it, or to 'secret'."
        )


def with_local_feeds(configuration: Configuration) -> Configuration:
    """The configuration of a local run whose feeds' function asks the simulated gateway, on the port after its own unless another
    one is given, as the worker that everybody knows unless another one is given. Raises `ConfigurationError`."""
    port = configuration.gateway_port or configuration.feed_port + 1
    if port > 65535:
        raise ConfigurationError("The simulated gateway takes the port after FEED_PORT, and there is none: set GATEWAY_PORT.")
    worker_id, token = LOCAL_PLUGIN
    return replace(
        configuration,
        gateway_host="127.0.0.1",
        gateway_port=port,
        plugin_worker_id=configuration.plugin_worker_id or worker_id,
        plugin_authentication_token=configuration.plugin_authentication_token or token,
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


def _feed_access(given: Mapping[str, str]) -> Literal["", "internal", "iam", "secret"]:
    match given.get("FEED_ACCESS", ""):
        case "":
            return "secret" if given.get("FEED_SECRET") else ""
        case "internal":
            return "internal"
        case "iam":
            return "iam"
        case "secret":
            return "secret"
    raise ConfigurationError(f"FEED_ACCESS is {given['FEED_ACCESS']!r}; it can be 'internal', 'iam' or 'secret'.")


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
