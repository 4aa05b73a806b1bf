"""The forms by which audiences are made, linked and filled again by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import request
from wtforms import BooleanField, HiddenField, RadioField, SelectField, StringField
from wtforms.validators import DataRequired, InputRequired, Length, Optional, ValidationError

from relay.console.forms import Form
from relay.console.linking import Offer
from relay.console.resyncing_reading import ResyncPage

_ID = [DataRequired("Type the DMP's ID of the audience."), Length(max=500)]


def _stripped(text: str | None) -> str | None:
    return text.strip() if text else text


class CreateForm(Form):
    """An audience that is to be at the partner."""

    connector = SelectField("Connector", validators=[InputRequired("Choose a connector.")])
    audience = StringField("ID in the DMP", validators=_ID, filters=[_stripped])
    audience_name = StringField(
        "Name", validators=[DataRequired("It needs a name at the partner."), Length(max=200)], filters=[_stripped],
        description="What it is called at the partner.",
    )  # fmt: skip
    customer = StringField(
        "Customer", validators=[Optional(), Length(max=100)], filters=[_stripped],
        description="The DMP's customer that it belongs to, if the DMP names one.",
    )  # fmt: skip

    def __init__(self, connectors: Sequence[str], **options: Any) -> None:
        super().__init__(data=_given("connector", "audience"), **options)
        self.connector.choices = _choices(connectors)


class LinkForm(Form):
    """An audience of the DMP, and which of the partner's it is."""

    connector = SelectField("Connector", validators=[InputRequired("Choose a connector.")])
    audience = StringField("ID in the DMP", validators=_ID, filters=[_stripped])
    audience_name = StringField(
        "Name", validators=[Optional(), Length(max=200)], filters=[_stripped],
        description="To be shown here. Empty: as it is now.",
    )  # fmt: skip
    listed = SelectField("At the partner", choices=[], validators=[Optional()], validate_choice=False)
    typed = StringField("Its ID at the partner", validators=[Length(max=500)], filters=[_stripped])
    ask = HiddenField()
    find = HiddenField()

    def __init__(self, connectors: Sequence[str], **options: Any) -> None:
        super().__init__(data=_given("connector", "audience"), **options)
        self.connector.choices = _choices(connectors)

    def offer(self, offer: Offer) -> None:
        """Lets one be chosen of what the partner has. What was sent is checked when it is linked."""
        self.listed.choices = [("", "Choose one"), *((one.value, _label(one.value, one.label)) for one in offer.shown)]

    @property
    def chosen(self) -> str:
        """The partner's ID."""
        return self.typed.data or self.listed.data or ""

    def validate_typed(self, field: StringField) -> None:
        """One of the two must say which."""
        if field.data and self.listed.data and field.data != self.listed.data:
            raise ValidationError("Choose one from the list, or type one: not both.")
        if not self.chosen:
            raise ValidationError("Say which audience of the partner it is.")


class ResyncForm(Form):
    """How an audience is filled again, and that what is lacking is known."""

    how = RadioField("What happened?", validators=[InputRequired("Say what happened.")])
    partial = BooleanField("Send what there is, knowing what is lacking")

    def __init__(self, page: ResyncPage, *, may_create: bool, **options: Any) -> None:
        super().__init__(data={"how": "anew" if page.gone and may_create and page.anew.possible else "same"}, **options)
        self._page = page
        ways = [("same", "The partner has the list, and lost members of it: fill it again.", page.same.possible)]
        if may_create:
            ways.append(("anew", "The partner lost the list: create another one there, and fill that.", page.anew.possible))
        self.how.choices = [(value, label) for value, label, possible in ways if possible]

    def validate_partial(self, field: BooleanField) -> None:
        """What is lacking must be known."""
        way = self._page.anew if self.how.data == "anew" else self._page.same
        if way.lacks and not field.data:
            raise ValidationError("Read what is lacking, and say that you know it.")


def _given(*names: str) -> dict[str, str]:
    """What the address says, for a form that nobody has filled in yet."""
    return {name: request.args[name] for name in names if request.args.get(name)}


def _choices(connectors: Sequence[str]) -> list[tuple[str, str]]:
    return [("", "Choose a connector"), *((name, name) for name in connectors)]


def _label(value: str, label: str) -> str:
    return value if label in ("", value) else f"{label} ({value})"
