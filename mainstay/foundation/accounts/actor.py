"""Who does a thing: a person, a token, the command line, or the program itself."""

from dataclasses import dataclass

from mainstay.foundation.accounts.permissions import Permission, Role


class NotAllowed(Exception):
    """The actor's role lacks a permission; the message says which and who has it."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `key` is how the journal stores it (`user:3`, `token:5`, `program:monitor`)."""

    key: str
    name: str
    role: Role | None = None  # None: the program itself, which acts only where a person's wish is on record

    def may(self, permission: Permission) -> bool:
        """Tell whether this actor holds `permission`."""
        return self.role is None or self.role in permission.roles

    def need(self, permission: Permission) -> None:
        """Raise `NotAllowed` unless this actor holds `permission`."""
        if not self.may(permission):
            having = ", ".join(sorted(role.value for role in permission.roles))
            raise NotAllowed(f"The role {self.role} may not do this: it needs {permission}, which {having} have.")


def program(part: str) -> Actor:
    """Return the program itself as an actor: `program("monitor")`."""
    return Actor(key=f"program:{part}", name=part)


COMMAND_LINE = Actor(key="program:cli", name="command line", role=Role.ADMIN)
