"""What a log line says of the problem that a request met. Shared by all sources."""

from __future__ import annotations

import traceback
from pathlib import Path

from relay.domain.errors import Refusal, StoreUnavailable

_ROOT = Path(__file__).resolve().parents[1]


def described(problem: Exception | None) -> dict[str, str]:
    """A refusal's code, and what the store said where that is why. Of anything else the type and the place, not the text: it
    could hold a value of the request."""
    if problem is None:
        return {}
    if isinstance(problem, Refusal):
        cause = problem.__cause__
        return {"error": problem.code, **({"hint": str(cause)} if isinstance(cause, StoreUnavailable) else {})}
    frames = traceback.extract_tb(problem.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_ROOT)] or frames
    return {
        "error": "unexpected",
        "exception": type(problem).__name__,
        "where": f"{Path(ours[-1].filename).name}:{ours[-1].lineno} {ours[-1].name}",
    }
