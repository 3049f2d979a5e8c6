from pydantic import BaseModel, SecretStr

from mainstay.foundation.secrets import MASK
from mainstay.foundation.strict import Secret, reveal, secret_fields
from mainstay.observe.checks.kinds import KINDS


class _Inner(BaseModel):
    key: Secret


class _Outer(BaseModel):
    plain: str
    password: Secret | None = None
    by_name: dict[str, Secret] = {}
    inner: _Inner | None = None
    many: list[_Inner] = []


def test_secret_fields_are_found_wherever_they_are() -> None:
    assert secret_fields(_Outer) == (("password",), ("by_name", "*"), ("inner", "key"), ("many", "*", "key"))


def test_secrets_are_masked_unless_revealed() -> None:
    model = _Outer(plain="a", password=SecretStr("p"), by_name={"x": SecretStr("q")})
    assert model.model_dump(mode="json")["password"] == MASK
    assert reveal(model) == {"plain": "a", "password": "p", "by_name": {"x": "q"}}
    assert _Outer.model_validate(reveal(model)) == model


def test_every_kind_marks_what_is_secret() -> None:
    found = {name: secret_fields(kind.Settings) for name, kind in KINDS.items()}
    assert ("bearer",) in found["http"]
    assert ("secret_headers", "*") in found["http"]
    for name in ("postgresql", "mysql", "redis", "smtp"):
        assert found[name] == (("password",),)
    suspicious = ("password", "secret", "bearer", "key", "token")
    for kind, paths in found.items():
        fields = KINDS[kind].Settings.model_fields
        named = {name for name in fields if any(word in name for word in suspicious)}
        named -= {"key"} if kind == "heartbeat" else set()  # the ping address, which people must be able to read
        assert named == {path[0] for path in paths}
