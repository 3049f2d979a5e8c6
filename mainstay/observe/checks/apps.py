from django.apps import AppConfig


class ChecksConfig(AppConfig):
    name = "mainstay.observe.checks"
    label = "checks"

    def ready(self) -> None:
        from mainstay.foundation.processes import clocks
        from mainstay.foundation.processes.setaside import LOOKUPS
        from mainstay.observe.checks import facts, listen, standing  # noqa: F401  # declares facts, hears of the catalog
        from mainstay.observe.checks.uptime.retention import result_written_last

        LOOKUPS["check"] = standing.known
        clocks.WRITTEN_LAST.append(result_written_last)
