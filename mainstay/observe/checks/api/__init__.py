"""The API of checks, maintenance, and the state and uptime of applications."""

from ninja import Router

from mainstay.observe.checks.api import applications, checks, maintenance

router = Router()
router.add_router("", checks.router)
router.add_router("", maintenance.router)
router.add_router("", applications.router)
