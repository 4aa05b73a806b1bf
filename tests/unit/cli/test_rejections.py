"""`diy rejections`: what a partner refused for good."""

from __future__ import annotations

import csv
import io

from relay.domain.outcome import VERSION, Rejection, hash_user
from tests.unit.cli.conftest import Diy


def reject(diy: Diy, *hints: str, connector: str = "pangolin", audience: str = "a.1") -> None:
    with diy.backend() as backend:
        backend.reports.add_rejections(
            Rejection(
                version=VERSION,
                connector=connector,
                audience=audience,
                request_id=f"request-{audience}-{index}",
                index=index,
                direction="joined",
                user_hash=hash_user(f"person-{index}"),
                action="Add",
                code="user_rejected",
                hint=hint,
                at=1_700_000_000.0 + index,
            )
            for index, hint in enumerate(hints)
        )


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_list_ends_with_the_newest(diy: Diy) -> None:
    diy.apply()
    reject(diy, "first", "second", "third")
    assert [one["hint"] for one in diy.json("rejections", "list", "--limit", "2")] == ["second", "third"]


def test_all_rejections_are_exported_as_csv_with_the_users_hashed(diy: Diy) -> None:
    diy.apply()
    reject(diy, *[f"hint {number}" for number in range(2_500)])
    exported = rows(diy.fine("rejections", "export"))
    assert [row["hint"] for row in exported] == [f"hint {number}" for number in range(2_500)]
    assert exported[7]["user_sha256"] == hash_user("person-7")
    assert exported[0]["at"] == "2023-11-14T22:13:20Z"


def test_an_export_can_be_limited_to_a_connector_and_an_audience(diy: Diy) -> None:
    diy.apply()
    reject(diy, "one")
    reject(diy, "two", audience="b.1")
    reject(diy, "three", connector="other")
    assert [row["hint"] for row in rows(diy.fine("rejections", "export", "pangolin", "--audience", "b.1"))] == ["two"]


def test_no_cell_of_the_export_is_a_formula(diy: Diy) -> None:
    diy.apply()
    reject(diy, '=HYPERLINK("http://example.com")', "+1", "-1", "@x", "fine")
    assert [row["hint"][0] for row in rows(diy.fine("rejections", "export"))] == ["'", "'", "'", "'", "f"]


def test_an_export_to_a_file_replaces_it_whole(diy: Diy) -> None:
    diy.apply()
    reject(diy, "two\nlines, and a comma")
    file = diy.directory / "rejections.csv"
    file.write_text("what was there before\n" * 100)
    assert diy.fine("rejections", "export", "--output", str(file)) == ""
    assert [row["hint"] for row in rows(file.read_text())] == ["two\nlines, and a comma"]
    assert list(diy.directory.glob("*.part")) == []


def test_an_export_that_cannot_be_written_is_one_clear_line(diy: Diy) -> None:
    diy.apply()
    result = diy("rejections", "export", "--quiet", "--output", str(diy.directory / "nowhere" / "rejections.csv"))
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)


def test_a_partners_text_cannot_steer_the_terminal(diy: Diy) -> None:
    diy.apply()
    reject(diy, "\x1b[2J\x07 gone\nError: fake")
    output = diy.fine("rejections", "list")
    assert "\x1b" not in output
    assert "\nError" not in output
