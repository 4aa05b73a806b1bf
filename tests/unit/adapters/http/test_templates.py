"""Templates: what they give, and what no template can do."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.http.templates import MAX_LENGTH, compile_template
from relay.domain.malformed import Malformed

ROW = {"id": "Ada", "n": 2, "none": None}
NAMES: Any = {"row": dict.fromkeys(ROW), "rows": None, "parameters": {"a": None}, "steps": {"job": {"id": None}}}
CONTEXT: dict[str, Any] = {
    "row": ROW,
    "rows": [ROW, {**ROW, "id": "Bob"}],
    "parameters": {"a": [1, {"b": "c"}]},
    "steps": {"job": {"id": "7"}},
}


def given_by(source: str) -> Any:
    return compile_template(source, NAMES).value(CONTEXT)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("", ""),
        ("plain { text } % #", "plain { text } % #"),
        ("{{ row.id }}", "Ada"),
        ("{{ row['id'] }}", "Ada"),
        ("{{ row.n }}", 2),
        ("{{ row.none }}", None),
        ("{{ row.n }}!", "2!"),
        ("<{{ row.none }}>", "<>"),
        (" {{ row.n }}", " 2"),
        ("{{ true }}/{{ 1.50 }}/{{ 2.0 }}", "true/1.5/2"),
        ("{{ parameters.a }}", [1, {"b": "c"}]),
        ("{{ parameters.a[1].b }}", "c"),
        ("{{ steps.job.id | int + 1 }}", 8),
        ("{{ (row.n + 1) * 2 / 3 - 1 // 1 % 2 }}", 1.0),
        ("{{ -row.n }}", -2),
        ("{{ 'a' ~ row.id ~ row.n ~ none }}", "aAda2"),
        ("{{ row.id if row.n > 1 and row.id is string else 'x' }}", "Ada"),
        ("{{ row.id[:2] }}", "Ad"),
        ("{{ 'd' in row.id }}", True),
        ("{{ {'k': [row.id, none]} }}", {"k": ["Ada", None]}),
        ("{{ row.id | lower }}{{ row.id | upper }}{{ ' x ' | trim }}", "adaADAx"),
        ("{{ row.none | lower }}", None),
        ("{{ row.none | default('d') }}{{ '' | default('e') }}{{ 0 | default(1) }}", "de0"),
        ("{{ row.id | replace('a', 'oo') }}", "Adoo"),
        ("{{ '12' | int }}", 12),
        ("{{ ' 1.5 ' | float }}", 1.5),
        ("{{ row.n | string }}", "2"),
        ("{{ rows | map(attribute='id') }}", ["Ada", "Bob"]),
        ("{{ rows | map(attribute='id') | map('upper') | join(', ') }}", "ADA, BOB"),
        ("{{ rows | selectattr('id', 'equalto', 'Bob') | map(attribute='n') | list }}", [2]),
        ("{{ rows | length }}", 2),
        ("{{ (rows | first).id }}{{ (rows | last).id }}", "AdaBob"),
        ("{{ [3, 1, 1] | unique | sort }}", [1, 3]),
        ("{{ parameters.a | tojson }}", '[1,{"b":"c"}]'),
        ("{{ '2027-01-15T08:00:00Z' | epoch }}", 1_800_000_000),
        ("{{ row.n }}{# a remark #}", 2),
        ("{{ '{{' }}", "{{"),
    ],
)
def test_what_a_template_gives(source: str, value: Any) -> None:
    found = given_by(source)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "source", ["{{ row.id if row.n == 3 }}", "{{ [] | first }}", "{{ row.id + 1 }}", "{{ 'x' | int }}", "{{ rows }}x"]
)
def test_what_gives_nothing_usable_is_an_error(source: str) -> None:
    with pytest.raises(Malformed):
        given_by(source)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("{{ row.idd }}", "'row' has no 'idd'. Did you mean 'id'?"),
        ("{{ row.x }}", "'row' has no 'x'. There is id, n, none."),
        ("{{ rwo.id }}", "A template here knows no 'rwo'. Did you mean 'row'?"),
        ("{{ steps.job.x }}", "'steps.job' has no 'x'. There is id."),
        ("{{ rows | map(attribute='idd') }}", "'row' has no 'idd'. Did you mean 'id'?"),
        ("{{ rows | selectattr('x') | list }}", "'row' has no 'x'. There is id, n, none."),
        ("{{ row.id", "Not a template: something inside {{ … }} cannot be read, or a bracket is not closed."),
        ("{{ row.id row.n }}", "Not a template: something inside {{ … }} cannot be read, or a bracket is not closed."),
        ("{% if row %}x{% endif %}",
         "Only {{ … }} can stand in a template, no {% … %}: {{ a if b else c }} decides between two values."),
        ("{{ row.id.upper() }}", "Nothing can be called in a template; filters change values, as in {{ row.email | lower }}."),
        ("{{ row.id | uper }}", "There is no filter 'uper'. Did you mean 'upper'?"),
        ("{{ row.id is strin }}", "There is no test 'strin'. Did you mean 'string'?"),
        ("x" * MAX_LENGTH + "{{ 1 }}", "The template is longer than 4,000 characters."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_there_are_values(source: str, sentence: str) -> None:
    with pytest.raises(Malformed) as error:
        compile_template(source, NAMES)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}", "{{ ''['__class__'] }}", "{{ row.__class__ }}", "{{ row.id.__class__.__mro__ }}",
        "{{ row['__cl' ~ 'ass__'] }}", "{{ rows.append }}", "{{ row.items }}", "{{ parameters.a.pop }}",
        "{{ rows | map(attribute='__class__') }}",
        "{{ row.id | attr('__class__') }}", "{{ 'x'.format }}", "{{ '{0.__class__}'.format(row) }}", "{{ '%s' | format(row) }}",
        "{{ self }}", "{{ self.__init__ }}", "{{ cycler }}", "{{ lipsum() }}", "{{ namespace() }}", "{{ joiner }}",
        "{{ dict() }}",
        "{{ range(3) }}", "{{ config }}", "{{ request }}", "{{ environment }}", "{{ secrets }}", "{{ caller() }}",
        "{{ super() }}",
        "{{ rows | map('attr', '__class__') }}", "{{ rows | map('map', attribute='__class__') }}",
        "{{ rows | map(*parameters.a) }}",
        "{{ rows | select('sameas', 1) }}", "{{ _x }}", "{% set x = 1 %}", "{% import 'os' as os %}", "{% include 'x' %}",
        "{% for x in rows %}{% endfor %}", "{% macro m() %}{% endmacro %}", "{{ (rows | map).gi_frame }}",
        "{{ rows | groupby('id') }}", "{{ rows | pprint }}", "{{ rows | xmlattr }}", "{{ rows | random }}",
    ],
)  # fmt: skip
def test_no_template_reaches_more_than_its_values(source: str) -> None:
    with pytest.raises(Malformed):
        given_by(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 1000000000 }}", "{{ [1] * 1000000000 }}", "{{ 9 ** 9 ** 9 ** 9 }}", "{{ 'a' ~ 'b' ** 5 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ row.id | center(1000000000) }}", "{{ row.id | indent(1000000000) }}", "{{ rows | batch(1000000000, 1) }}",
        "{{ 999999999999 * 999999999999 }}", "{{ 1e300 * 1e300 }}", "{{ 1 / 0 }}", "{{ rows | sum(start=[]) }}",
        "{{ 'aaaaaaaaaaaaaaaaaaaa' | replace('a', 'aaaaaaaaaaaaaaaaaaaa') | replace('a', 'aaaaaaaaaaaaaaaaaaaa') "
        "| replace('a', 'aaaaaaaaaaaaaaaaaaaa') | replace('a', 'aaaaaaaaaaaaaaaaaaaa') | replace('a', 'aaaaaaaaaaaaaaaaaaaa') }}",
        "{{ 'aaaaaaaaaaaaaaaaaaaa' | join('aaaaaaaaaaaaaaaaaaaa') | join('aaaaaaaaaaaaaaaaaaaa') | join('aaaaaaaaaaaaaaaaaaaa') "
        "| join('aaaaaaaaaaaaaaaaaaaa') | join('aaaaaaaaaaaaaaaaaaaa') }}",
        "{{ " + "(" * 1_500 + "1" + ")" * 1_500 + " }}", "{{ " + "not " * 900 + "1 }}", "{{ " + "[" * 300 + "]" * 300 + " }}",
        "{{ " + "-" * 1_500 + "1 }}", "{{ row" + ".id" * 1_000 + " }}", "{{ 1" + " if 1 else 1" * 300 + " }}",
    ],
)  # fmt: skip
def test_no_template_makes_more_than_there_is_room_for(source: str) -> None:
    with pytest.raises(Malformed):
        given_by(source)


def test_a_text_of_the_greatest_length_is_let_through_and_no_longer_one() -> None:
    template = compile_template("{{ row.id }}{{ row.id }}", NAMES)
    assert len(template.text({"row": {"id": "x" * 500_000}})) == 1_000_000
    with pytest.raises(Malformed):
        template.text({"row": {"id": "x" * 500_001}})
    with pytest.raises(Malformed):
        compile_template("{{ row.id }}", NAMES).value({"row": {"id": "x" * 1_000_001}})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", object(), {"a": object()}])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    for source in ("{{ row.id }}", "<{{ row.id }}>", "{{ [row.id] }}"):
        with pytest.raises(Malformed):
            compile_template(source, NAMES).value({"row": {"id": value}})


@given(st.text(st.sampled_from("{}%#-rowsid.|[]()'\"~+*1, \n"), max_size=60))
def test_no_text_breaks_the_reader(source: str) -> None:
    with suppress(Malformed):
        compile_template(source, NAMES).value(CONTEXT)


@given(st.sampled_from(["row.id", "row.n", "rows", "parameters.a", "row.none"]), st.text(max_size=20), st.integers())
def test_no_error_of_a_filled_template_holds_a_value(place: str, value: str, number: int) -> None:
    context = {"row": {"id": f"secret{value}", "n": number, "none": None}, "rows": [f"secret{value}"], "parameters": {"a": 1}}
    said = []
    for more in (" + 1", " | int", " | epoch", " | join('')", " | map('upper')", ".x", " | sort", "[row.id]", " | replace(1, 2)"):
        try:
            template = compile_template(f"{{{{ {place}{more} }}}}", {"row": None, "rows": None, "parameters": None})
            template.value(context)
        except Malformed as problem:
            said.append(str(problem))
    assert "secret" not in " ".join(said)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ 1.256 | round(2) }}", 1.26),
        ("{{ 1.2 | round }}", 1.0),
        ("{{ 1.21 | round(1, 'ceil') }}", 1.3),
        ("{{ 1.29 | round(precision=1, method='floor') }}", 1.2),
        ("{{ 1250 | round(-2, 'ceil') }}", 1300),
        ("{{ row.none | round }}", None),
    ],
)
def test_numbers_are_rounded(source: str, value: Any) -> None:
    assert given_by(source) == value


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1.5 | round(100000000, 'ceil') }}",
        "{{ row.n | round(-100000000) }}",
        "{{ row.n | round(19) }}",
        "{{ row.n | round(1.0) }}",
        "{{ row.n | round(true) }}",
        "{{ row.n | round(1, 'up') }}",
        "{{ row.id | round }}",
    ],
)
def test_rounding_is_no_way_to_calculate_for_ever(source: str) -> None:
    with pytest.raises(Malformed, match="`round`"):
        given_by(source)
