"""A person at a browser, for tests of pages."""

import json
import re
from typing import Any

from django.test import Client

from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import Role

HTMX = {"HX-Request": "true"}


def signed_in(role: Role = Role.ADMIN, email: str = "") -> Client:
    """Return a browser in which a person of `role` is signed in."""
    address = email or f"{role.value}@pages.example"
    user = User.objects.filter(email=address).first() or User.objects.create_user(address, None, role=role.value)
    client = Client()
    client.force_login(user)
    return client


def page(client: Client, address: str, status: int = 200, /, **given: Any) -> str:
    """Return the text of a page."""
    answer = client.get(address, given)
    assert answer.status_code == status, (answer.status_code, answer.content[:500])
    return answer.content.decode()


def title(html: str) -> str:
    """Return the sentence in a page's h1."""
    found = re.search(r"<h1>(.*?)</h1>", html, re.S)
    assert found is not None
    return re.sub(r"<[^>]+>", "", found[1]).strip()


def fragment(client: Client, address: str, part: str = "live", seen: str = "") -> Any:
    """Return the answer to htmx asking for one part of a page."""
    headers = {**HTMX, "HX-Target": part} | ({"X-Seen": seen} if seen else {})
    return client.get(address, headers=headers)


def seen_in(html: str) -> str:
    """Return which state of a live part a page holds."""
    found = re.search(r'"X-Seen": "([0-9a-f]{16})"', html)
    assert found is not None
    return found[1]


def exported(answer: Any) -> str:
    """Return the text of a streamed file."""
    return b"".join(answer.streaming_content).decode()


def lines(answer: Any) -> list[Any]:
    """Return the objects of a JSON lines file."""
    return [json.loads(line) for line in exported(answer).splitlines()]
