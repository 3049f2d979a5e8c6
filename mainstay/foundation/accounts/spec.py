"""A team as people write it: the same in a file, in the API and in the form."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mainstay.foundation.words.names import Address, ShortTitle


class TeamSpec(BaseModel):
    """People who own applications."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: ShortTitle = Field(description="Unique.")
    email: Address | None = Field(default=None, description="Address of the team.")
    members: Annotated[list[Address], Field(max_length=1000)] = Field(
        default_factory=list, description="E-mail addresses of people who are users already."
    )

    @field_validator("members")
    @classmethod
    def _each_once(cls, members: list[str]) -> list[str]:
        return list(dict.fromkeys(member.lower() for member in members))
