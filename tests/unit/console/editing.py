"""What tests of editing do alike: a draft, its steps, its revision."""

from __future__ import annotations

import re
from typing import Any

from werkzeug.test import TestResponse

from relay.backends.interfaces import Backend
from relay.connectors.drafts import decoded
from tests.unit.console.conftest import Browser


class Editor:
    """A draft as somebody edits it in the browser."""

    def __init__(self, browser: Browser, backend: Backend, answer: TestResponse) -> None:
        assert answer.status_code == 303, (answer.status_code, answer.text[:2000])
        self.browser = browser
        self.backend = backend
        self.key = answer.headers["Location"].split("/")[2]

    @classmethod
    def new(cls, browser: Browser, backend: Backend, adapter: str = "pangolin", name: str = "acme") -> Editor:
        return cls(browser, backend, browser.post("/edit/new", {"adapter": adapter, "name": name}))

    @classmethod
    def of(cls, browser: Browser, backend: Backend, name: str, **form: str) -> Editor:
        return cls(browser, backend, browser.post("/edit/start", {"name": name, "how": "edit", **form}))

    @property
    def values(self) -> dict[str, Any]:
        """The document so far."""
        return decoded(self.backend.drafts.get(self.key).content).values

    @property
    def revision(self) -> int:
        return self.backend.drafts.get(self.key).revision

    def see(self, step: str, **query: str) -> str:
        """The page of a step, with single blanks."""
        more = "&".join(f"{name}={value}" for name, value in query.items())
        return self.browser.text(f"/edit/{self.key}/{step}?{more}")

    def send(self, step: str, **form: str) -> TestResponse:
        """Sends the step's form; `__` in a name stands for a dot."""
        data = {name.replace("__", "."): value for name, value in form.items()}
        return self.type(step, data)

    def shown(self) -> str:
        """What the review, as it is now, has for the form that publishes."""
        found = re.search(r'name="shown" value="([^"]+)"', self.see("review"))
        return found.group(1) if found else ""

    def publish(self, **form: str) -> TestResponse:
        """Looks at the review, and publishes. `shown`: of a review that was seen before."""
        data = {"revision": str(self.revision), "shown": form.pop("shown", "") or self.shown(), **form}
        return self.browser.post(f"/edit/{self.key}/publish", data)

    def type(self, step: str, form: dict[str, str]) -> TestResponse:
        answer = self.browser.post(f"/edit/{self.key}/{step}", {"revision": str(self.revision), "do": "save", **form})
        assert answer.status_code < 500, answer.text
        return answer
