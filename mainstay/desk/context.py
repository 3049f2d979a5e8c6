"""What every page needs: the places and the number of open alerts."""

from typing import Any

from django.http import HttpRequest


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return the shell's context; counts are read only when a template asks for them."""
    return {"open_alerts": _open_alerts}


def _open_alerts() -> int:
    from mainstay.respond.alerts.models import Alert

    return Alert.objects.filter(ended_at=None).count()
