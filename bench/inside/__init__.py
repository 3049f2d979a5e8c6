"""What runs with Mainstay's own models, on a data directory of its own: filling a database, measuring the journal."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mainstay.settings")
django.setup()
