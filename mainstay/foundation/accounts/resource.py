"""Teams, as files and the API have them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mainstay.foundation.accounts import actions
from mainstay.foundation.accounts.models import Team, User
from mainstay.foundation.accounts.spec import TeamSpec
from mainstay.foundation.resource import By, Resource, Use, Written, shortened


class Teams(Resource[TeamSpec]):
    """People who own applications."""

    kind, section, order, spec = "team", "teams", 10, TeamSpec
    title, listed = "Teams", "list of [teams](#teams)"
    about = "People must be users already: `mainstay user create`."
    examples = ({"name": "Payments", "email": "payments@example.com", "members": ["lee@example.com"]},)

    def rows(self) -> Iterable[Team]:
        return Team.objects.order_by("name").prefetch_related("members")

    def find(self, name: str) -> Team | None:
        return Team.objects.filter(name=name).first()

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

    def put(self, name: str, spec: TeamSpec, by: By, position: int | None = None) -> bool:
        members = list(User.objects.filter(email__in=spec.members))
        actions.put_team(name, spec.email or "", members, by.actor, by.at, existing=self.find(name), by_file=by.file)
        return False

    def remove(self, name: str, by: By) -> None:
        if (row := self.find(name)) is not None:
            actions.remove_team(row, by.actor, by.at, by_file=by.file)


TEAMS = Teams()
