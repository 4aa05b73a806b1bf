"""A small Salesforce: Contacts with checkboxes, written by jobs of the Bulk API 2.0.

https://developer.salesforce.com/docs/platform/api-asynch/guide/bulk-api-2-0-ingest.html
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from tests.partners.serving import Answer, Call, Serving

CLIENT_ID = "3MVG9-the-consumer-key"
CLIENT_SECRET = "the-consumer-secret"
VERSION = "v66.0"

_DATA = f"/services/data/{VERSION}"
_JOB = re.compile(rf"{_DATA}/jobs/ingest/(?P<id>[A-Za-z0-9]{{18}})(?P<rest>/.*)?")
_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
_ONCE_CLOSED = {"UploadComplete": "InProgress", "InProgress": "JobComplete"}
_MAY_SAY = {"object", "operation", "externalIdFieldName", "contentType", "lineEnding", "columnDelimiter"}


class Job:
    """One job. `failed`: sf__Error and line, for each that could not be written."""

    def __init__(self, number: int, external_id: str, line_ending: str) -> None:
        self.id = f"750R0000000{number:04}AAA"
        self.external_id = external_id
        self.line_ending = line_ending
        self.state = "Open"
        self.content: str | None = None
        self.columns: list[str] = []
        self.lines: list[dict[str, str]] = []
        self.failed: list[tuple[str, dict[str, str]]] = []
        self.error = ""

    @property
    def shown(self) -> dict[str, Any]:
        """As Salesforce answers about it."""
        known = {
            "id": self.id,
            "operation": "upsert",
            "object": "Contact",
            "state": self.state,
            "externalIdFieldName": self.external_id,
            "contentType": "CSV",
            "apiVersion": float(VERSION.removeprefix("v")),
            "lineEnding": self.line_ending,
            "columnDelimiter": "COMMA",
        }
        if self.state == "Open":
            known["contentUrl"] = f"services/data/{VERSION}/jobs/ingest/{self.id}/batches"
        if self.state in ("JobComplete", "Failed"):
            known |= {"numberRecordsProcessed": len(self.lines), "numberRecordsFailed": len(self.failed)}
        return {**known, **({"errorMessage": self.error} if self.error else {})}


class SmallSalesforce(Serving):
    """contacts  external ID → the checkboxes that are ticked
    checkboxes   the custom fields that Contacts have
    locked       external IDs of Contacts that somebody else is writing: the next job cannot
    busy         with other jobs: none goes on
    out_of_calls the calls of the day are used up
    """

    def __init__(self, contacts: set[str], checkboxes: set[str]) -> None:
        super().__init__()
        self.contacts: dict[str, set[str]] = {contact: set() for contact in contacts}
        self.checkboxes = checkboxes
        self.locked: set[str] = set()
        self.busy = False
        self.out_of_calls = False
        self.jobs: list[Job] = []
        self.tokens_given = 0
        self._token = ""

    def expire_token(self) -> None:
        """The session is over, as when somebody revokes it."""
        self._token = ""

    def answer(self, call: Call) -> Answer:
        """What Salesforce says."""
        if call.line == "POST /services/oauth2/token":
            return self._give_token(call)
        if not self._token or call.headers.get("authorization") != f"Bearer {self._token}":
            return _refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if self.out_of_calls:
            return _refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        match call.line:
            case "GET /services/data/v66.0/sobjects/Contact":
                return Answer(200, {"objectDescribe": {"name": "Contact"}})
            case "GET /services/data/v66.0/sobjects/Contact/describe":
                return Answer(200, {"name": "Contact", "fields": list(self._fields())})
            case "POST /services/data/v66.0/jobs/ingest":
                return self._make_job(call)
        named = _JOB.fullmatch(call.path)
        job = next((one for one in self.jobs if named and one.id == named["id"]), None)
        if named is None or job is None:
            return _refused(404, "NOT_FOUND", "The requested resource does not exist")
        match call.method, named["rest"]:
            case "PUT", "/batches":
                return _upload(job, call)
            case "PATCH", None:
                return _close(job, call)
            case "GET", None:
                self._go_on(job)
                return Answer(200, job.shown)
            case "GET", "/failedResults/":
                return _failed_results(job, call)
        return _refused(405, "METHOD_NOT_ALLOWED", "HTTP Method not allowed.")

    def _give_token(self, call: Call) -> Answer:
        wanted = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        if call.form != wanted:
            return Answer(400, {"error": "invalid_client", "error_description": "invalid client credentials"})
        self.tokens_given += 1
        self._token = f"00D!session-{self.tokens_given}"
        # How long it is good for is not said.
        return Answer(200, {"access_token": self._token, "instance_url": self.url, "token_type": "Bearer", "scope": "api"})

    def _fields(self) -> Iterator[dict[str, Any]]:
        yield {"name": "External_ID__c", "label": "External ID", "type": "string", "custom": True}
        yield {"name": "HasOptedOutOfEmail", "label": "Email Opt Out", "type": "boolean", "custom": False}
        for name in sorted(self.checkboxes):
            yield {"name": name, "label": name.removesuffix("__c").replace("_", " "), "type": "boolean", "custom": True}

    def _make_job(self, call: Call) -> Answer:
        asked = call.json
        if not isinstance(asked, dict) or not asked.keys() <= _MAY_SAY:
            return _refused(400, "JSON_PARSER_ERROR", "The body is not what makes a job.")
        if (asked.get("object"), asked.get("operation"), asked.get("contentType", "CSV")) != ("Contact", "upsert", "CSV"):
            return _refused(400, "INVALIDJOB", "Unsupported object, operation or content type")
        if asked.get("externalIdFieldName") != "External_ID__c":
            return _refused(400, "INVALIDJOB", "InvalidJob : Field name provided does not match an External ID")
        line_ending = asked.get("lineEnding", "LF")
        if line_ending not in _ENDINGS:
            return _refused(400, "JSON_PARSER_ERROR", "lineEnding")
        job = Job(len(self.jobs) + 1, "External_ID__c", line_ending)
        self.jobs.append(job)
        return Answer(200, job.shown)

    def _go_on(self, job: Job) -> None:
        """One step further, each time that somebody asks."""
        if self.busy:
            return
        job.state = _ONCE_CLOSED.get(job.state, job.state)
        if job.state == "JobComplete" and not job.lines:
            self._process(job)

    def _process(self, job: Job) -> None:
        content = job.content or ""
        lines = content.split(_ENDINGS[job.line_ending])
        if any("\n" in line or "\r" in line for line in lines):
            setting = f"Current LineEnding setting is {job.line_ending}"
            return _fail(job, f"ClientInputError : LineEnding is invalid on user data. {setting}")
        read = csv.DictReader(io.StringIO(content, newline=""), strict=True)
        job.columns = list(read.fieldnames or [])
        for column in job.columns:
            if column not in {job.external_id, *self.checkboxes}:
                return _fail(job, f"InvalidBatch : Field name not found : {column}")
        if job.external_id not in job.columns:
            return _fail(job, f"InvalidBatch : Field name not found : {job.external_id}")
        job.lines = list(read)
        for line in job.lines:
            if error := self._write(line, job.external_id):
                job.failed.append((error, line))
        return None

    def _write(self, line: dict[str, str], external_id: str) -> str:
        """The error; empty if it was written."""
        ticks = {name: value for name, value in line.items() if name != external_id}
        if not line[external_id]:
            return f"MISSING_ARGUMENT:{external_id} not specified:--"
        if not set(ticks.values()) <= {"true", "false"}:
            return "INVALID_TYPE_ON_FIELD_IN_RECORD:invalid boolean:--"
        ticked = self.contacts.get(line[external_id])
        if ticked is None:
            return "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"
        if line[external_id] in self.locked:
            self.locked.remove(line[external_id])
            return "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--"
        for name, value in ticks.items():
            (ticked.add if value == "true" else ticked.discard)(name)
        return ""


def _upload(job: Job, call: Call) -> Answer:
    if call.kind != "text/csv":
        return _refused(415, "UNSUPPORTED_MEDIA_TYPE", "Content type not supported")
    if job.state != "Open" or job.content is not None:
        return _refused(400, "INVALIDJOBSTATE", "Found multiple contents for job, or it is closed")
    job.content = call.content.decode()
    return Answer(201)


def _close(job: Job, call: Call) -> Answer:
    if call.json == {"state": "Aborted"} and job.state in ("Open", "UploadComplete", "InProgress"):
        job.state = "Aborted"
        return Answer(200, job.shown)
    if call.json != {"state": "UploadComplete"} or job.state != "Open" or job.content is None:
        return _refused(400, "INVALIDJOBSTATE", "Invalid job state transition")
    job.state = "UploadComplete"
    return Answer(200, job.shown)


def _failed_results(job: Job, call: Call) -> Answer:
    if call.headers.get("accept") not in ("text/csv", "*/*"):
        return _refused(406, "NOT_ACCEPTABLE", "No acceptable content type")
    if job.state not in ("JobComplete", "Failed"):
        return _refused(400, "INVALIDJOBSTATE", "Results are not available yet")
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["sf__Id", "sf__Error", *job.columns])
    # Not in the order in which they were sent.
    for error, line in reversed(job.failed):
        writer.writerow(["", error, *line.values()])
    return Answer(200, text.getvalue().encode(), {"Content-Type": "text/csv; charset=UTF-8"})


def _fail(job: Job, error: str) -> None:
    job.state, job.error = "Failed", error


def _refused(status: int, code: str, message: str) -> Answer:
    return Answer(status, [{"errorCode": code, "message": message}])
