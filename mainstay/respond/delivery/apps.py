from django.apps import AppConfig


class DeliveryConfig(AppConfig):
    name = "mainstay.respond.delivery"
    label = "delivery"

    def ready(self) -> None:
        from mainstay.respond.delivery import facts  # noqa: F401  # declares the kinds of facts
