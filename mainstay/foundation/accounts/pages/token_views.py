"""API tokens: made, shown once, revoked."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from mainstay.foundation import clock
from mainstay.foundation.accounts import actions
from mainstay.foundation.accounts.access import actor_of, needs
from mainstay.foundation.accounts.models import Token
from mainstay.foundation.accounts.pages.forms import TokenForm
from mainstay.foundation.accounts.pages.views import tabs
from mainstay.foundation.accounts.permissions import PEOPLE_EDIT, PEOPLE_VIEW, Role
from mainstay.kit.lists import columns, export, page_of
from mainstay.kit.nav import trail
from mainstay.kit.replies import done, form_page, posted, saved

COLUMNS = columns("id=pk name role hint created_by created_at expires_at last_used_at revoked_at")


@needs(PEOPLE_VIEW, "GET")
def tokens(request: HttpRequest) -> HttpResponseBase:
    """List tokens: what each is for, until when, last used."""
    file = export(request, "tokens", COLUMNS, Token.objects.order_by("-pk"))
    if file is not None:
        return file
    now = clock.now()
    page = page_of(request, Token.objects.all())
    labels = {role.value: role.label for role in Role}
    context: dict[str, Any] = {
        "tokens": [(token, labels.get(token.role, token.role), token.usable(now)) for token in page.rows],
        "usable": sum(token.usable(now) for token in page.rows),
        "page": page,
        "can_edit": actor_of(request).may(PEOPLE_EDIT),
        "tabs": tabs("tokens"),
        "place": "people",
    }
    return render(request, "accounts/tokens.html", context)


@needs(PEOPLE_EDIT, "GET", "POST")
def create(request: HttpRequest) -> HttpResponse:
    """Make a token and show it once."""
    form = TokenForm(posted(request))
    where = trail("tokens") | {"place": "people"}
    now = clock.now()

    def put() -> tuple[Token, str]:
        given = form.cleaned_data
        expires = now + timedelta(days=given["expires"]) if given["expires"] else None
        return actions.create_token(given["name"], Role(given["role"]), actor_of(request), now, expires_at=expires)

    if made := saved(form, put):
        row, secret = made
        command = f'curl -H "Authorization: Bearer {secret}" {settings.BASE_URL}/api/v1/alerts'
        context = {"token": row, "secret": secret, "command": command, **where}
        return render(request, "accounts/token_shown.html", context)
    return form_page(request, "accounts/token_form.html", form, where)


@needs(PEOPLE_EDIT, "POST")
def revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    """Make a token void."""
    token = get_object_or_404(Token, pk=token_id)
    if token.revoked_at is not None:
        return done(request, f"{token} was revoked already.", reverse("tokens"), tone="warn")
    actions.revoke_token(token, actor_of(request), clock.now())
    return done(request, f"{token} is void: programs that use it are refused from now on.", reverse("tokens"))
