"""What the feeds' function is told when it starts."""

from __future__ import annotations

from typing import Literal

import msgspec

Access = Literal["", "internal", "iam", "secret"]
"""Who keeps strangers away: nobody, so that only programs on this machine are answered; the network that it can be reached from;
Google Cloud's IAM; or a secret in a header of each request."""


class Gateway(msgspec.Struct, frozen=True):
    """The platform's gateway, and as whom it is asked. A worker without its ID or token is not ready."""

    url: str
    worker_id: str = ""
    token: str = ""

    @property
    def is_known(self) -> bool:
        """Whether there is somebody to ask as."""
        return bool(self.worker_id and self.token)

    def __repr__(self) -> str:
        return f"Gateway({self.url})"


class Plugin(msgspec.Struct, frozen=True):
    """What the plugin says of itself (`/v1/metadata`)."""

    group_id: str = ""
    artifact_id: str = ""
    type: str = ""
    version: str = ""
    build: str = ""


class FeedSettings(msgspec.Struct, frozen=True):
    """secret: what a request must carry, where the access is `secret`. redirect_url: where a partner sends the browser back to
    that allowed an access: a page of the platform's."""

    gateway: Gateway
    access: Access = ""
    secret: str = ""
    redirect_url: str = ""
    plugin: Plugin = Plugin()

    def __repr__(self) -> str:
        return f"FeedSettings({self.gateway!r}, {self.access!r})"
