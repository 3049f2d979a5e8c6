"""Applications as people write them: the same in a file, in the API and in the form."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mainstay.foundation.words.names import Link, Name

Text = Annotated[str, StringConstraints(max_length=5_000, pattern=r"^[^\x00]*$")]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class LinkSpec(_Spec):
    """A link shown on the application's page."""

    label: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
    url: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^https?://[^\x00\s]*$")]


class EnvironmentSpec(_Spec):
    """A place where the application runs."""

    name: Name
    url: Link = ""


class ComponentSpec(_Spec):
    """A part of the application, and the parts it cannot work without."""

    name: Name
    description: Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")] = ""
    needs: Annotated[list[Annotated[str, StringConstraints(max_length=201)]], Field(max_length=100)] = Field(
        default_factory=list, description="Components this one cannot work without: name, or application/name."
    )


class ApplicationSpec(_Spec):
    """An application, with its environments and components."""

    name: Name = Field(description="Unique; letters, digits, - and _.")
    tier: Literal["critical", "important", "standard"] = "standard"
    description: Text = ""
    owner: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = Field(
        default=None, description="Name of the team that owns it."
    )
    repository: Link = ""
    links: Annotated[list[LinkSpec], Field(max_length=50)] = Field(default_factory=list)
    environments: Annotated[list[EnvironmentSpec], Field(max_length=50)] = Field(default_factory=list)
    components: Annotated[list[ComponentSpec], Field(max_length=500)] = Field(default_factory=list)
