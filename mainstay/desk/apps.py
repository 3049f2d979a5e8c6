from django.apps import AppConfig


class DeskConfig(AppConfig):
    name = "mainstay.desk"
    label = "desk"
