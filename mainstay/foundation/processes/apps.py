from django.apps import AppConfig


class ProcessesConfig(AppConfig):
    name = "mainstay.foundation.processes"
    label = "processes"
