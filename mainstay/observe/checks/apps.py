from django.apps import AppConfig


class ChecksConfig(AppConfig):
    name = "mainstay.observe.checks"
    label = "checks"

    def ready(self) -> None:
        from mainstay.foundation.processes import clocks
        from mainstay.observe.checks import facts, listen  # noqa: F401  # declares facts, hears of the catalog
        from mainstay.observe.checks.keep import result_written_last

        clocks.WRITTEN_LAST.append(result_written_last)
