from django.apps import AppConfig


class KitConfig(AppConfig):
    name = "mainstay.kit"
    label = "kit"
