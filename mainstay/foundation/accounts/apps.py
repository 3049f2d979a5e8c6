from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "mainstay.foundation.accounts"
    label = "accounts"

    def ready(self) -> None:
        from mainstay.foundation.accounts import facts  # noqa: F401  # declares the kinds of facts
