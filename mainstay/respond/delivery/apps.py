from django.apps import AppConfig


class DeliveryConfig(AppConfig):
    name = "mainstay.respond.delivery"
    label = "delivery"

    def ready(self) -> None:
        from mainstay.foundation.processes.setaside import LOOKUPS
        from mainstay.respond.delivery import facts, outbox  # noqa: F401  # declares the kinds of facts

        LOOKUPS["delivery"] = outbox.known
