"""Two doors that every page passes: a sign-in unless it is marked public, and headers that confine the browser."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from mainstay.foundation.accounts.actor import NotAllowed
from mainstay.foundation.http.pool import vouch

GetResponse = Callable[[HttpRequest], HttpResponseBase]

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
PUBLIC_PREFIXES = ("/static/", "/api/", "/ping/")


class SecurityHeaders:
    """Adds the headers; scripts, styles and pictures come from this host only, and nothing else is kept by anybody.

    Whoever comes to the same browser or proxy later must not find what was shown to somebody before.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
        if not request.path_info.startswith(settings.STATIC_URL):
            response.headers["Cache-Control"] = "no-store"
        if settings.SECURE_HSTS_SECONDS:  # the proxy in front speaks TLS, even if it does not say so
            response.headers["Strict-Transport-Security"] = f"max-age={settings.SECURE_HSTS_SECONDS}"
        return response


class SignInRequired:
    """Refuses a page without sign-in, and one that declares neither a permission nor that it is public."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], _args: list[Any], _kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        if getattr(view, "public", False) or request.path_info.startswith(PUBLIC_PREFIXES):
            return None
        if not request.user.is_authenticated:
            if request.headers.get("HX-Request"):
                return HttpResponse(status=204, headers={"HX-Redirect": reverse("account_login")})
            return redirect_to_login(request.get_full_path())
        vouch(request.META)
        if not hasattr(view, "permission"):
            raise NotAllowed(f"{view.__module__}.{view.__qualname__} declares no permission.")
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, NotAllowed) and not request.path_info.startswith("/api/"):
            return render(request, "errors/403.html", {"reason": str(exception)}, status=403)
        return None
