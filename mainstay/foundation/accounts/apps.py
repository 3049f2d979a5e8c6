from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "mainstay.foundation.accounts"
    label = "accounts"

    def ready(self) -> None:
        # Declares the kinds of facts; hears of signing in.
        from mainstay.foundation.accounts import facts, signals  # noqa: F401
