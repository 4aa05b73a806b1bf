"""The checksum CRC-32C (Castagnoli, https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4), with which Google's services show that
a payload arrived whole. Slow, and no matter for some kilobytes."""

from __future__ import annotations

_POLYNOMIAL = 0x82F63B78


def of(data: bytes) -> int:
    """The checksum of these bytes, from 0 to 2**32 - 1."""
    rest = 0xFFFFFFFF
    for byte in data:
        rest = (rest >> 8) ^ _TABLE[(rest ^ byte) & 0xFF]
    return rest ^ 0xFFFFFFFF


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = tuple(_entry(byte) for byte in range(256))
