from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "mainstay.config"
    label = "config"
