"""Rules: alerts and recordings by PromQL."""

from mainstay.foundation.wing import Action, Command, Look, Place, SubjectPage, Wing

WING = Wing(
    app="mainstay.respond.rules",
    urls="mainstay.respond.rules.pages.urls",
    routers=("mainstay.respond.rules.api.router",),
    places=(Place("Rules", "rules", "Respond", 20, "rules", "u", "alerting recording promql thresholds"),),
    actions=(
        Action("Add rule", "rule_new", "new alert recording promql"),
        Action("Starter rules", "rule_starter", "add new examples"),
    ),
    states={
        "inactive": Look("inactive", "quiet", "○", "the condition does not hold"),
        "pending": Look("pending", "warn", "△", "the condition holds, not yet for long enough"),
    },
    subjects={"rule": SubjectPage("rule", by="id"), "rules": SubjectPage("rules")},
    resources=("mainstay.respond.rules.resource.RULE_GROUPS",),
    cycles={
        "monitor": "mainstay.respond.rules.engine.evaluating.Evaluating",
        "worker": "mainstay.respond.rules.cycles.worker",
    },
    commands={
        "rules": Command(
            "mainstay.respond.rules.commands.rules", "check alert rules, run their unit tests", django=False
        )
    },
    slow=(r"/rules/", r"/api/v1/rules"),
)
