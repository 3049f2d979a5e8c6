"""Teams, as files and the API have them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from mainstay.foundation.accounts import actions
from mainstay.foundation.accounts.models import Team, User
from mainstay.foundation.accounts.spec import TeamSpec
from mainstay.foundation.refusal import Refused
from mainstay.foundation.resource import By, Resource, Use, Written, shortened


class Teams(Resource[TeamSpec]):
    """People who own applications."""

    kind, section, order, spec = "team", "teams", 10, TeamSpec
    title, listed = "Teams", "list of [teams](#teams)"
    about = "People must be users already: `mainstay user create`."
    examples = ({"name": "Payments", "email": "payments@example.com", "members": ["lee@example.com"]},)

    def rows(self) -> QuerySet[Team]:
        return Team.objects.order_by("name").prefetch_related("members")

    def read(self, row: Any) -> TeamSpec:
        members = [user.email for user in row.members.all()]
        return TeamSpec.model_construct(name=row.name, email=row.email or None, members=members)

    def document(self, spec: TeamSpec, of: str = "") -> Written:
        return shortened(spec, members=sorted(spec.members))

    def uses(self, name: str, spec: TeamSpec) -> Iterator[Use]:
        for number, member in enumerate(spec.members):
            mend = f"add them first: mainstay user create {member} --role support"
            yield Use("person", member, ("members", number), mend=mend)

    def known(self) -> Mapping[str, Iterable[str]]:
        return {"person": User.objects.values_list("email", flat=True)}

    def in_use(self, users: Sequence[str]) -> str:
        return f"it still owns {', '.join(users)}; give these another owner first"

    def save(self, spec: TeamSpec, by: By, existing: Any | None = None) -> Team:
        found = {row.email: row for row in User.objects.filter(email__in=spec.members)}
        for number, address in enumerate(spec.members):
            if address not in found:
                raise Refused(f"there is no user {address}", f"members.{number}")
        people, email = list(found.values()), spec.email or ""
        return actions.put_team(spec.name, email, people, by.actor, by.at, existing=existing, by_file=by.file)

    def delete(self, row: Any, by: By) -> None:
        actions.remove_team(row, by.actor, by.at, by_file=by.file)


TEAMS = Teams()
