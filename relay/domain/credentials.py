"""The form of Basic credentials, the same for the one who stores them and the one who checks them."""

from __future__ import annotations


def is_user_and_password(text: str) -> bool:
    """Whether it is `user:password` with both parts given. The password may hold colons (RFC 7617)."""
    return all(text.partition(":"))
