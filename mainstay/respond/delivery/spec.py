"""A channel as people write it: the same in a file, in the API and in the form."""

from typing import Any, Self

from django.conf import settings
from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from mainstay.foundation.words.names import Name
from mainstay.respond.delivery.kinds import CHANNELS


class Common(BaseModel):
    """What every channel has, whatever its kind."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Name = Field(description="Unique; letters, digits, - and _.")
    paused: bool = Field(default=False, description="Messages wait until it is resumed.")

    @model_validator(mode="before")
    @classmethod
    def _default_mail_server(cls, given: Any) -> Any:
        """An e-mail channel without `url` sends through SMTP_URL."""
        if isinstance(given, dict) and isinstance(given.get("email"), dict) and "url" not in given["email"]:
            smtp_url = settings.ENVIRONMENT.smtp_url
            if smtp_url:
                return given | {"email": given["email"] | {"url": smtp_url}}
        return given

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [name for name in CHANNELS if getattr(self, name, None) is not None]
        if len(given) != 1:
            found = f"{' and '.join(given)} are given" if given else "none is given"
            raise ValueError(f"a channel has exactly one kind of {', '.join(CHANNELS)}; {found}")
        return self

    @property
    def kind(self) -> str:
        """The name of the kind that is given."""
        return next(name for name in CHANNELS if getattr(self, name, None) is not None)

    @property
    def settings(self) -> BaseModel:
        """The kind's settings."""
        found: BaseModel = getattr(self, self.kind)
        return found


_fields: dict[str, Any] = {
    name: (kind.Settings | None, Field(default=None, description=f"{kind.label} channel."))
    for name, kind in CHANNELS.items()
}
ChannelSpec: type[Common] = create_model(
    "ChannelSpec", __base__=Common, __doc__="One channel as people write it.", **_fields
)
