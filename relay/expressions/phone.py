"""Telephone numbers as people write them, in the international form E.164 (https://www.itu.int/rec/T-REC-E.164)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.domain.malformed import Malformed

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber


def digits_of(number: str | float) -> str:
    """Text as it is; a number as its digits, without the `.0` or the power of ten that a whole one can come with."""
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    return str(number)


def country_of(text: str | None) -> str | None:
    """The country as the library names it, from two letters of ISO 3166 in either case; None where there are none. Raises
    `Malformed` for a country that does not exist."""
    from phonenumbers import SUPPORTED_REGIONS  # takes 20 to 30 ms, which only those pay who need it

    country = (text or "").strip().upper()
    if country and country not in SUPPORTED_REGIONS:
        raise Malformed("e164() takes a country by its two letters of ISO 3166, such as DE or GB.")
    return country or None


def e164(number: str, country: str | None) -> str | None:
    """`+491701234567`, or None where this is no possible number.

    `country`: where the number is dialled as it is written (two letters); without one, only numbers with a country code and `+`
    are understood. One that has the code of `country` though no `+` is understood, too. Raises `Malformed`: see `country_of`.
    """
    from phonenumbers import PhoneNumberFormat, format_number, is_valid_number

    region = country_of(country)
    text = number.strip()
    found = _possible(text, region)
    certain = found is not None and is_valid_number(found)
    if region and text[:1].isdigit() and not (certain and _is_dialled(text, region)):
        abroad = _possible(f"+{text}", None)
        if abroad is not None and is_valid_number(abroad) and abroad.country_code == _code(region):
            found, certain = abroad, True
    # The library takes letters for the keys they are on, so words around a number would lengthen it.
    if found is None or (not certain and any(sign.isalpha() for sign in text)):
        return None
    made = format_number(found, PhoneNumberFormat.E164)
    # Some impossible numbers lose a zero at each reading.
    return made if certain or _possible(made, None) == found else None


def _is_dialled(text: str, region: str) -> bool:
    """Whether the digits begin as they must within the country: with its trunk prefix, such as the 0 of Germany, if it has one.
    In Germany 491701234567 could be number 701234567 of Leer (0491), and is much rather a mobile of +49."""
    from phonenumbers import ndd_prefix_for_region

    return text.startswith(ndd_prefix_for_region(region, True) or "")


def _possible(text: str, region: str | None) -> PhoneNumber | None:
    from phonenumbers import NumberParseException, ValidationResult, is_possible_number_with_reason, parse

    try:
        number = parse(text, region)
    except NumberParseException:
        return None
    # A number that is possible only within one town has no international form.
    return number if is_possible_number_with_reason(number) == ValidationResult.IS_POSSIBLE else None


def _code(region: str) -> int:
    from phonenumbers import country_code_for_region

    return country_code_for_region(region)
