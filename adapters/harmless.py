"""Names and values that stand in the requests and answers of many APIs: nobody is told of by them. See `adapters.masking`."""

from __future__ import annotations

_NAMES = """
    accepted account action active added api attributes audience audience_id audiences batch body category cause code content
    count created created_at cursor cursors data deleted description detail details duplicate duplicates entries entry error
    error_code error_description error_subcode errors event events failed failure failures fault field fields has_more http_code
    id identifiers ids ignored import include index indexes info invalid is_transient item items job job_id level limit limits
    line links list list_id lists location matched members message messages meta metadata missing more name names next next_page
    num_invalid num_received number object offset ok operation operations options page page_size pages paging param parameter
    parameters params partial path payload pending position previous problem processed processing profile profiles progress query
    queued reason received record records ref reference rejected remaining removed request request_id requests required resource
    response result results retry retry_after row rows schema score segment segment_id segments service session size skipped
    source state status status_code statuscode subcode subscriber subscribers succeeded success successful summary target time
    timestamp title total total_count trace trace_id traceid type unchanged unprocessed update updated updated_at updates url user
    users valid value values version warning warnings
"""
NAMES = frozenset(_NAMES.split())
"""Names that stand in many answers; compared without case."""

_STATES = """
    accepted access_denied active added already_exists bad_request completed conflict created deleted disabled done duplicate
    enabled error failed failure fatal forbidden ignored in_progress internal_error internal_server_error invalid
    invalid_parameter invalid_request invalid_value limit_exceeded no_content not_found ok partial pending processed processing
    queued rate_limited received rejected removed server_error service_unavailable skipped succeeded success successful too_large
    too_many_requests unauthorized unchanged unprocessable unprocessed updated valid validation_error warning
"""
STATES = frozenset(_STATES.split())
"""Values that say in many answers what came of something; compared without case."""

_COUNTS = """
    accepted added code count created deleted duplicate duplicates error_code error_subcode failed failures http_code ignored
    index indexes invalid limit line matched num_invalid num_invalid_entries num_received offset page page_size position processed
    queued received rejected remaining removed retry_after row size skipped status status_code statuscode subcode succeeded
    successful total total_count unchanged unprocessed updated
"""
COUNTS = frozenset(_COUNTS.split())
"""Of these an answer's small numbers are shown."""

_FLAGS = "accepted done error failed has_more is_transient ok retry success successful valid"
FLAGS = frozenset(_FLAGS.split())
"""Of these an answer's true or false is shown."""

_MEDIA_TYPES = """
    application/json application/problem+json application/vnd.api+json text/json application/x-www-form-urlencoded text/csv
    text/plain text/html application/xml text/xml multipart/form-data application/octet-stream
"""
MEDIA_TYPES = frozenset(_MEDIA_TYPES.split())
"""Kinds of bodies."""
