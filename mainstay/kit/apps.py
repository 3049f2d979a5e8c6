from django.apps import AppConfig
from django.urls import register_converter
from django.urls.converters import IntConverter

from mainstay.foundation.words.names import ID_MOST


class Id(IntConverter):
    """`<id:…>` in an address: a number that a primary key can have; with any other there is no such page."""

    def to_python(self, value: str) -> int:
        number = int(value) if len(value) < 20 else ID_MOST + 1
        if number > ID_MOST:
            raise ValueError(f"no id: {value}")
        return number


class KitConfig(AppConfig):
    name = "mainstay.kit"
    label = "kit"

    def ready(self) -> None:
        """Make `<id:…>` known before addresses are read."""
        register_converter(Id, "id")
