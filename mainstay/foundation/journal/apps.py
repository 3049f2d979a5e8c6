from django.apps import AppConfig


class JournalConfig(AppConfig):
    name = "mainstay.foundation.journal"
    label = "journal"
