from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "mainstay.foundation.catalog"
    label = "catalog"

    def ready(self) -> None:
        from mainstay.foundation.catalog import facts  # noqa: F401  # declares the kinds of facts
