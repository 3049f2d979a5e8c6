"""What a valid YAML file may get wrong: every mistake is told, at its line and column, with its path and a mend."""

from datetime import datetime

import pytest

from mainstay.config.apply import Outcome, apply_text, plan_text
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.journal.models import Entry

pytestmark = pytest.mark.django_db

SHOP = """\
applications:
  - name: shop
    environments: [{name: production}]
    components: [{name: database}, {name: web, needs: [database]}]
    checks:
      - name: storefront
        environment: production
        http: {url: "http://127.0.0.1:9001/"}
channels:
  - name: ops
    webhook: {url: "http://127.0.0.1:9999/hook"}
routes:
  - match: {severity: critical}
    notify: [ops]
"""


def told(outcome: Outcome) -> list[str]:
    return [problem.shown(outcome.file) for problem in outcome.problems]


def check(text: str, me: Actor, noon: datetime, **environ: str) -> list[str]:
    planned = told(plan_text(text, "f", me, noon, environ=environ))
    before = Entry.objects.count()
    assert told(apply_text(text, "f", me, noon, environ=environ)) == planned  # both say the same …
    assert Entry.objects.count() == before  # … and nothing happens
    return planned


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "    environments:",
            "    enviroments:",
            "f:3:5: applications[shop].enviroments: is not known here. Did you mean environments?",
        ),
        (
            "http: {url:",
            "htpp: {url:",
            "f:8:9: applications[shop].checks[storefront].htpp: is not known here. Did you mean http?",
        ),
        (
            "http: {url:",
            "http: {uri:",
            "f:8:16: applications[shop].checks[storefront].http.uri: is not known here. Did you mean url?",
        ),
        ("name: shop", "nane: shop", "f:2:5: applications[0].name: is missing; add it"),
        ("name: shop", "name: my shop", "f:2:11: applications[my shop].name: letters, digits, - and _ only"),
        ("name: shop", "name: 5", "f:2:11: applications[0].name: must be text; put it in quotes"),
        ("name: shop", "name: [a]", "f:2:11: applications[0].name: must be text"),
        (
            "        environment: production",
            "        environment: staging",
            "f:7:22: applications[shop].checks[storefront].environment: shop has no environment named staging;"
            " it has production",
        ),
        (
            "        environment: production",
            "        component: cache",
            "f:7:20: applications[shop].checks[storefront].component: shop has no component named cache;"
            " it has database, web",
        ),
        (
            "        environment: production",
            "        severity: crtical",
            "f:7:19: applications[shop].checks[storefront].severity"
            ": must be critical, major or minor. Did you mean critical?",
        ),
        (
            "        environment: production",
            "        every: 100ms",
            "f:7:16: applications[shop].checks[storefront].every: must be at least 1s",
        ),
        (
            "        environment: production",
            "        fail_after: 0",
            "f:7:21: applications[shop].checks[storefront].fail_after: must be at least 1",
        ),
        (
            "        environment: production",
            "        labels: [a]",
            "f:7:17: applications[shop].checks[storefront].labels: must be a mapping: {key: value}",
        ),
        (
            "        environment: production",
            "        paused: perhaps",
            "f:7:17: applications[shop].checks[storefront].paused: must be true or false",
        ),
        (
            "        environment: production",
            "        needs: [nothing]",
            "f:7:17: applications[shop].checks[storefront].needs[0]: no check named shop/nothing exists;"
            " add it under checks, or correct the name",
        ),
        (
            "        environment: production",
            "        needs: [storefront]",
            "f:7:16: applications[shop].checks[storefront].needs: the dependencies form a cycle:"
            " shop/storefront → shop/storefront; remove one of them",
        ),
        (
            "        environment: production",
            "        heartbeat: {every: 1d}",
            "f:6:9: applications[shop].checks[storefront]: a check has exactly one kind of",
        ),
        ("    checks:\n      - name", "    checks:\n        name", "f:6:9: applications[shop].checks: must be a list"),
        (
            "{name: database}",
            "database",
            "f:4:18: applications[shop].components[0]: must be a mapping: {key: value}",
        ),
        (
            "{name: database}",
            "{name: web}",
            "f:4:38: applications[shop].components[web].name: the name web is given twice, first on line 4; rename one",
        ),
        (
            "{name: database}",
            "{name: database, needs: [web]}",
            "the dependencies form a cycle: shop/database → shop/web → shop/database; remove one of them",
        ),
        (
            "needs: [database]",
            "needs: [databse]",
            "f:4:56: applications[shop].components[web].needs[0]: no component named shop/databse exists;"
            " Did you mean shop/database?",
        ),
        (
            "    environments:",
            "    owner: Shop\n    environments:",
            "f:3:12: applications[shop].owner: no team named Shop exists",
        ),
        (
            "notify: [ops]",
            "notify: [opps]",
            "f:14:14: routes[0].notify[0]: no channel named opps exists; Did you mean ops?",
        ),
        ("notify: [ops]", "notify: ops", "f:14:13: routes[0].notify: must be a list"),
        (
            "match: {severity: critical}",
            "match: {severity: {}}",
            "f:13:23: routes[0].match.severity: must be text, or must be a list",
        ),
        ("routes:", "rotes:", "f:12:1: rotes: is not known here. Did you mean routes?"),
        ("routes:\n  -", "routes:\n    x:\n    -", "f:"),
        ("webhook: {url:", "webhook: {method: GET, url:", "f:11:23: channels[ops].webhook.method: must be POST or PUT"),
        ("name: ops", "name: ops\n    paused: 3", "f:11:13: channels[ops].paused: must be true or false"),
        (
            "applications:\n",
            "managed_as: ''\napplications:\n",
            "f:1:1: managed_as: must be a name of 1 to 200 characters",
        ),
        ("applications:\n", "applications: 5\nx-old:\n", "f:1:15: applications: must be a list"),
        ("channels:\n", "channels:\nx-old:\n", "channels: is empty; write channels: [] for none"),
        ("    checks:\n", "    checks: ~\n    links:\n", "applications[shop].checks: is empty; write checks: [] for"),
        (
            "http://127.0.0.1:9999/hook",
            "********",
            "f:11:20: channels[ops].webhook.url: ******** keeps the stored secret, and there is none",
        ),
    ],
)
def test_a_mistake_is_told_at_its_place(old: str, new: str, said: str, me: Actor, noon: datetime) -> None:
    assert old in SHOP
    problems = check(SHOP.replace(old, new, 1), me, noon)
    assert [problem for problem in problems if problem.startswith(said) or said in problem], problems


def test_all_mistakes_are_told_at_once_in_order_of_their_lines(me: Actor, noon: datetime) -> None:
    text = (
        SHOP.replace("name: shop", "name: shop\n    tier: top")
        .replace("http: {url", "htp: {url")
        .replace("[ops]", "[opz]")
    )
    text += "maintenance:\n  - {name: night, cron: '99 * * * *', duration: 1h}\n"
    problems = check(text, me, noon)
    assert [problem.partition(": ")[0] for problem in problems] == ["f:3:11", "f:9:9", "f:15:14", "f:17:25"]


def test_what_is_named_twice_is_refused_with_both_lines(me: Actor, noon: datetime) -> None:
    text = SHOP + (
        "  - {match: {severity: [critical]}, notify: [ops]}\n"
        "maintenance:\n"
        "  - {name: night, cron: '0 3 * * *', duration: 1h}\n"
        "  - {name: night, cron: '0 4 * * *', duration: 1h}\n"
    )
    text = text.replace(
        "channels:\n", "      - name: storefront\n        heartbeat: {every: 1d}\n  - name: shop\nchannels:\n"
    )
    assert check(text, me, noon) == [
        "f:9:15: applications[shop].checks[storefront].name: the name storefront is given twice, first on line 6;"
        " rename one of them",
        "f:11:11: applications[shop].name: the name shop is given twice, first on line 2; rename one of them",
        "f:18:5: routes[1]: is named severity-critical after what it matches, as is the route on line 16;"
        " give one of them a name of its own",
        "f:21:12: maintenance[night].name: the name night is given twice, first on line 20; rename one of them",
    ]


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ("{name: n}", "a one-off window needs starts_at, ends_at (or cron, duration)"),
        ("{name: n, cron: '0 3 * * *'}", "a recurring window needs a duration such as 2h"),
        ("{name: n, cron: 'often', duration: 1h}", "cron expression"),
        ("{name: n, cron: '0 3 * * *', duration: 1h, timezone: Mars/Base}", "no time zone"),
        ("{name: n, starts_at: 2026-08-02, ends_at: 2026-08-01}", "ends_at: must be after starts_at"),
        ("{name: n, starts_at: 5, ends_at: 2026-08-01}", "starts_at: must be a time such as 2026-08-01T22:00:00+02:00"),
        ("{name: n, starts_at: 0001-01-01T00:00+14:00, ends_at: 2026-08-01}", "lies beyond the calendar"),
        ("{name: n, duration: 1h, starts_at: 2026-08-01, ends_at: 2026-08-02}", "duration belongs to cron"),
        ("{name: n, application: nosuch, cron: '0 3 * * *', duration: 1h}", "no application named nosuch exists"),
        ("{name: '  ', cron: '0 3 * * *', duration: 1h}", "maintenance[  ].name"),
    ],
)
def test_a_window_that_cannot_be_is_refused(window: str, said: str, me: Actor, noon: datetime) -> None:
    (problem,) = check(f"maintenance:\n  - {window}\n", me, noon)
    assert said in problem
    assert problem.startswith("f:2:")


def test_a_member_who_is_nobody_is_refused_with_the_command_that_helps(me: Actor, noon: datetime) -> None:
    (problem,) = check("teams:\n  - {name: Shop, members: [sam@example.org]}\n", me, noon)
    assert problem == (
        "f:2:28: teams[Shop].members[0]: no person named sam@example.org exists;"
        " add them first: mainstay user create sam@example.org --role support"
    )


def test_a_mistake_in_one_thing_brings_no_complaints_about_what_refers_to_it(me: Actor, noon: datetime) -> None:
    text = SHOP.replace("webhook: {url", "webhook: {uri").replace("name: shop", "name: shop\n    tier: top")
    text += "maintenance:\n  - {name: night, application: shop, cron: '0 3 * * *', duration: 1h}\n"
    paths = [problem.split(": ")[1] for problem in check(text, me, noon)]
    assert paths == ["applications[shop].tier", "channels[ops].webhook.url", "channels[ops].webhook.uri"]


SECRET = "Tr0ub4dor-and-3"


@pytest.mark.parametrize(
    "text",
    [
        'channels:\n  - {name: a, webhook: {url: "ftp://u:SECRET@h/"}}\n',
        'channels:\n  - {name: a, webhook: {url: "http://h/", secret: [SECRET]}}\n',
        'channels:\n  - {name: a, webhook: {url: "http://h/", headers: {Authorization: {x: SECRET}}}}\n',
        'channels:\n  - {name: a, webhook: {url: "http://h/", headers: {Host: SECRET}}}\n',
        'channels:\n  - {name: a, slack: {bot_token: "SECRET\\n", channel: "#ops"}}\n',
        'channels:\n  - {name: a, apprise: {url: "file://SECRET"}}\n',
        'channels:\n  - {name: a, email: {url: "smtp://u:SECRET@h/path", from: "a@b.c", to: ["a@b.c"]}}\n',
        'applications:\n  - {name: a, checks: [{name: c, http: {url: "http://u:SECRET@h/ x"}}]}\n',
        'applications:\n  - {name: a, checks: [{name: c, http: {url: "http://u:SECRET@h/"}}]}\n',
        'applications:\n  - {name: a, checks: [{name: c, http: {url: "http://h/", bearer: "SECRET\\n"}}]}\n',
        'applications:\n  - {name: a, checks: [{name: c, http: {url: "http://h/", password: SECRET}}]}\n',
        'applications:\n  - {name: a, checks: [{name: c, http: {url: "http://h/", secret_form: SECRET}}]}\n',
        'applications:\n  - {name: a, checks: [{name: c, http: {url: "${URL}"}}]}\n',
        'applications:\n  - {name: a, checks: [{name: c, http: {url: "http://h/", expect: {status: "${TOKEN}"}}}]}\n',
        'applications:\n  - {name: a, checks: [{name: c, every: "${TOKEN}", http: {url: "http://h/"}}]}\n',
        'channels:\n  - {name: a, webhook: {secret: "SECRET, url: 5}}\n',
    ],
)
def test_no_message_repeats_a_secret(text: str, me: Actor, noon: datetime) -> None:
    environ = {"TOKEN": SECRET, "URL": f"gopher://h/{SECRET}"}
    problems = check(text.replace("SECRET", SECRET), me, noon, **environ)
    assert problems
    assert SECRET not in "\n".join(problems)


def test_what_another_file_manages_is_refused(me: Actor, noon: datetime) -> None:
    assert apply_text(SHOP, "conf/shop.yaml", me, noon).fine
    (problem, *_) = told(plan_text(SHOP, "other.yaml", me, noon))
    assert problem == (
        "other.yaml:2:11: applications[shop]: the application shop is managed by the file shop.yaml; remove it from one"
        " of the two, or apply this file as that one: managed_as: shop.yaml"
    )
    assert plan_text(f"managed_as: shop.yaml\n{SHOP}", "other.yaml", me, noon).changes_nothing


@pytest.mark.parametrize("path", ["/dev/zero", "/proc/self/environ", "/etc/shadow", "../../etc/passwd", "/nonexistent"])
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("applications: [{name: a, checks: [{name: c, http: {url: 'https://h/', ca: PATH}}]}]", "http.ca"),
        (
            "applications: [{name: a, checks: [{name: c, http: {url: 'https://h/', client_certificate: PATH}}]}]",
            "http.client_certificate",
        ),
        (
            "applications: [{name: a, checks: [{name: c, http: {url: 'https://h/', client_certificate: x.pem,"
            " client_key: PATH}}]}]",
            "http.client_key",
        ),
        *(
            (f"applications: [{{name: a, checks: [{{name: c, {kind}}}]}}]", f"{kind.partition(':')[0]}.{field}")
            for kind, field in (
                ("tls: {host: h, ca: PATH}", "ca"),
                ("tcp: {host: h, port: 1, tls: true, ca: PATH}", "ca"),
                ("redis: {host: h, tls: true, ca: PATH}", "ca"),
                ("smtp: {host: h, ca: PATH}", "ca"),
                ("mysql: {host: h, username: u, ca: PATH}", "ca"),
                ("websocket: {url: 'wss://h/', ca: PATH}", "ca"),
                ("postgresql: {host: h, ca_file: PATH}", "ca_file"),
            )
        ),
        ("channels: [{name: a, webhook: {url: 'https://h/', ca_file: PATH}}]", "webhook.ca_file"),
        ("channels: [{name: a, email: {url: 'smtp://h/', from: a@b.c, to: [a@b.c], ca_file: PATH}}]", "email.ca_file"),
        ("scrapes: [{name: s, targets: ['h:1'], ca: PATH}]", "ca"),
        ("scrapes: [{name: s, targets: ['h:1'], client_certificate: x.pem, client_key: PATH}]", "client_key"),
        ("scrapes: [{name: s, targets: ['h:1'], tls_config: {ca_file: PATH}}]", "ca"),
        ("scrapes: [{name: s, file: PATH.yml}]", "file"),
        ("scrapes: [{name: s, file_sd_configs: [{files: [PATH/*.json]}]}]", "file"),
    ],
)
def test_no_setting_names_a_file_that_is_not_for_it(
    text: str, place: str, path: str, me: Actor, noon: datetime
) -> None:
    problems = check(text.replace("PATH", path), me, noon)
    assert len(problems) == 1
    assert f"{place}" in problems[0]
    assert "MAINSTAY_FILES" in problems[0]
    assert "cannot be read as a " in problems[0]
