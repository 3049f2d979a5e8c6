"""The request that the settings of a check ask for."""

from urllib.parse import urlencode

import orjson
from pydantic import SecretStr

from mainstay.net.request import Request, authorization
from mainstay.observe.checks.kinds.http.settings import HttpSettings


def request_of(settings: HttpSettings) -> Request:
    """Return it, secrets revealed."""
    secret_headers = {name: secret.get_secret_value() for name, secret in settings.secret_headers.items()}
    password, bearer = _revealed(settings.password) or "", _revealed(settings.bearer)
    body, content_type = _body(settings)
    return Request(
        url=settings.whole_url,
        method=settings.method,
        headers=settings.headers,
        secret_headers=secret_headers | authorization(settings.username, password, bearer),
        body=body,
        content_type=content_type,
        user_agent=settings.user_agent,
        client_certificate=settings.client_certificate,
        client_key=_revealed(settings.client_key),
        ca=settings.ca,
        verify=settings.verify,
        http2=settings.http2,
        encodings="" if settings.compressed else None,
        follow_redirects=settings.follow_redirects,
        max_redirects=settings.max_redirects,
        max_body_bytes=settings.max_body_bytes,
        ip_version=settings.ip_version,
        resolve=settings.resolve,
        proxy=settings.proxy,
        proxy_username=settings.proxy_username,
        proxy_password=_revealed(settings.proxy_password) or "",
    )


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def _body(settings: HttpSettings) -> tuple[bytes | None, str]:
    if settings.body is not None:
        return settings.body.encode(), "text/plain; charset=utf-8"
    if settings.json_body is not None:
        return orjson.dumps(settings.json_body), "application/json"
    if settings.form or settings.secret_form:
        fields = settings.form | {name: secret.get_secret_value() for name, secret in settings.secret_form.items()}
        return urlencode(fields).encode(), "application/x-www-form-urlencoded"
    return None, ""
