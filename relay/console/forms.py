"""The base of our forms: Flask-WTF's, with its types said."""

from __future__ import annotations

from typing import Any

from flask_wtf import FlaskForm


class Form(FlaskForm):
    """A form with its token against cross-site requests."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]

    def was_sent(self) -> bool:
        """Whether it was sent and is valid; what is wrong stands at its fields."""
        return bool(self.validate_on_submit())  # type: ignore[no-untyped-call]
