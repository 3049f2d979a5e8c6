"""Tokens by which Mainstay's own processes know each other; all follow from the secret key."""

import hashlib
import hmac


def inner_token(secret_key: str) -> str:
    """Return the token by which Mainstay's own processes know each other at the monitor's port."""
    return hmac.new(secret_key.encode(), b"mainstay monitor port", hashlib.sha256).hexdigest()


def scrape_token(secret_key: str) -> str:
    """Return the token by which the monitor scrapes Mainstay itself. It opens nothing but `/metrics`."""
    return hmac.new(secret_key.encode(), b"mainstay own metrics", hashlib.sha256).hexdigest()


def bears(authorization: str, token: str) -> bool:
    """Tell whether an Authorization header holds that token."""
    return hmac.compare_digest(authorization.encode("utf-8", "replace"), f"Bearer {token}".encode())
