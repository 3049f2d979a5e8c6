"""A contract as people write it."""

from datetime import datetime

from pydantic import AwareDatetime, Field

from mainstay.foundation.strict import Secret, StrictModel
from mainstay.foundation.words.names import Name


class ContractSpec(StrictModel):
    """A support contract: who helps with an application from outside."""

    name: Name = Field(description="Unique; letters, digits, - and _.")
    application: Name | None = Field(default=None, description="The application that it covers; all, when left out.")
    vendor: str = Field(min_length=1, max_length=200, description="Who answers.")
    pin: Secret | None = Field(default=None, description="What the vendor asks callers for.")
    ends_at: AwareDatetime | None = Field(default=None, description="It covers nothing from then on.")

    def covers(self, now: datetime) -> bool:
        """Tell whether it is in force."""
        return self.ends_at is None or now < self.ends_at
