from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "mainstay.foundation.api"
    label = "api"
