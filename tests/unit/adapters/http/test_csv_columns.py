"""The names of the columns of CSV can be templates."""

from __future__ import annotations

import pytest

from adapters.http import Http
from relay.domain.errors import DocumentError
from tests.unit.adapters.http.conftest import TARGET, Opening, settings_of, users
from tests.unit.adapters.http.partner import Partner

SETTINGS = """
parameters: {key: Key}
operations:
  add:
    effect: add
    fields: {id: {}}
    request:
      method: POST
      path: /rows
      csv: {"{{ parameters.key }}": "{{ row.id }}", "{{ audience.partner_id }}, ticked": "true"}
"""


def test_a_column_can_be_named_by_the_audience(open_http: Opening, partner: Partner) -> None:
    open_http(SETTINGS).send("add", TARGET, users(["a", "b"]))
    assert partner.calls[0].body == b'Key,"p/1, ticked"\r\na,true\r\nb,true\r\n'


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        ("{{ row.id }}", "'row' is of one user"),
        ("{{ audience.size }}", "'audience' has no 'size'."),
        ("{{ audience.id", "Not a template"),
    ],
)
def test_a_columns_name_that_is_no_template_for_all_users_is_a_problem_at_its_place(column: str, sentence: str) -> None:
    settings = settings_of(SETTINGS)
    settings["operations"]["add"]["request"]["csv"] = {"Id": "{{ row.id }}", column: "true"}
    with pytest.raises(DocumentError) as caught:
        Http.describe(settings)
    [(place, said)] = caught.value.problems
    assert place == f"operations.add.request.csv.{column}"
    assert said.startswith(sentence)
