"""What the relay may send to a partner fits into Pangolin's fields."""

from __future__ import annotations

from handlers.values import MAX_AUDIENCE, MAX_NAME
from relay.domain.audience import Audience
from relay.pangolin.reading import MAX_TEXT
from relay.reading import values
from tests.unit.pangolin.conftest import Customer

LONGEST = values.name("c" * 63)


def test_the_longest_name_and_the_longest_audience_that_the_receiver_takes_make_an_audience(customer: Customer) -> None:
    audience = Audience(version=1, connector=f"{LONGEST}@{LONGEST}", id="ü" * MAX_AUDIENCE)
    made = customer.call("POST", "/api/audiences", {"name": "ü" * MAX_NAME, "reference": audience.reference})
    assert made.status_code == 201, made.text
    assert made.json()["reference"] == audience.reference


def test_a_longer_text_is_refused(customer: Customer) -> None:
    for field in ("name", "reference"):
        body = {"name": "n", "reference": "r", field: "x" * (MAX_TEXT + 1)}
        refused = customer.call("POST", "/api/audiences", body)
        assert (refused.status_code, f"{field}: at most" in refused.json()["error"]) == (400, True)
