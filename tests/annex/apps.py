from django.apps import AppConfig


class AnnexConfig(AppConfig):
    name = "tests.annex"
    label = "annex"

    def ready(self) -> None:
        from tests.annex import facts  # noqa: F401  # declares them
