"""The layout holds: wings import only upwards, pure engines know no Django, time comes from the edges."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.urls import get_resolver, resolve

from mainstay.foundation.environment import VARIABLES
from mainstay.wings import WINGS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mainstay"

# Each floor may import those before it; the order of the wings is that of the list. What is not named (cli, role,
# prepare) puts processes together.
UPPER = tuple(app for app in (wing.app.removeprefix("mainstay.") for wing in WINGS) if not app.startswith("foundation"))
FLOORS = (
    "foundation",
    "net",
    "kit",
    "foundation pages",  # how accounts, the catalog and the journal show themselves
    *UPPER,
)

PURE = (
    "observe/metrics/pages/browse.py",
    "observe/metrics/pages/completion.py",
    "observe/metrics/durations.py",
    "observe/metrics/pages/explore.py",
    "observe/metrics/exposition",
    "observe/metrics/pages/golden.py",
    "observe/metrics/pages/scan.py",
    "observe/metrics/host",
    "observe/metrics/promql",
    "observe/metrics/pages/units.py",
    "observe/metrics/scrape",
    "observe/metrics/store",
    "foundation/clock.py",
    "foundation/foreign.py",
    "foundation/words/durations.py",
    "foundation/environment.py",
    "foundation/yaml",
    "foundation/secrets.py",
    "foundation/processes/supervise.py",
    "foundation/graph.py",
    "observe/checks/probe",
    "observe/checks/kinds",
    "observe/checks/cron.py",
    "observe/checks/decide.py",
    "observe/checks/heartbeats.py",
    "observe/checks/parents.py",
    "observe/checks/windows.py",
    "respond/alerts/decide.py",
    "respond/delivery/sending/group_message.py",
    "respond/delivery/sending/grouping.py",
    "net",
    "respond/delivery/kinds",
    "respond/delivery/sending/lanes.py",
    "respond/delivery/message.py",
    "respond/rules/files/fields.py",
    "respond/rules/files/read.py",
    "respond/rules/engine/growing.py",
    "respond/rules/engine/outcome.py",
    "respond/rules/files/series_notation.py",
    "respond/rules/files/starter_pack.py",
    "respond/rules/engine/state.py",
    "respond/rules/template",
    "respond/rules/files/unit_files.py",
    "respond/rules/files/unit_tests.py",
    "respond/rules/pages/comparison.py",
    "respond/rules/engine/verdict.py",
    "respond/rules/files/write.py",
)

# The edges: where a request, a signal, a packet or a command comes in, and where the clock is read.
EDGES = (
    r"^(backup|cli|monitor|worker|prepare)\.py$",
    r"/(api|command)\.py$",
    r"/(api|commands|pages)/",
    r"^(kit|desk)/",
    r"^foundation/(clock|gaps)\.py$",
    r"^foundation/processes/(run|supervise|doctor)\.py$",
    r"^foundation/processes/unreadable\.py$",  # a notice says since when; who reads rows has no time at hand
    r"^foundation/accounts/(signin|signals|sessions)\.py$",  # called by libraries, which give no time
    r"^observe/checks/pings\.py$",  # intake, ASGI
    r"^net/transfer\.py$",  # a transfer measures when it began
    r"^observe/checks/(probe|kinds)/",  # a probe measures when it began and how long it took
    r"^respond/delivery/sending/send\.py$",  # so does a send
    r"^respond/delivery/kinds/",  # a signature and a letter are dated when they leave
)
CLOCKS = {"now", "utcnow", "today"}

LINES_MOST, LINES_OF_TESTS_MOST = 600, 700  # tables of cases may be longer than thoughts
VAGUE = re.compile(r"^(utils?|helpers?|common|misc|service|services|manager|managers)$")


def sources(*, tests: bool = False) -> Iterator[Path]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if "migrations" not in path.parts and (tests or "tests" not in path.parts):
            yield path


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> frozenset[str]:
    return frozenset(map(name_of, sources(tests=True)))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, wherever in the file, with the line."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:  # `from mainstay.kit import charts` imports the module mainstay.kit.charts
                whole = f"{node.module}.{alias.name}"
                yield (whole if whole in modules() else node.module), node.lineno


def floor(module: str) -> int:
    parts = module.split(".")[1:]
    if parts[:1] == ["foundation"] and "pages" in parts:
        return FLOORS.index("foundation pages")
    names = {".".join(parts[:2]), *parts[:1]} | ({"config"} if parts == ["wings"] else set())
    return next((number for number, name in enumerate(FLOORS) if name in names), len(FLOORS))


def found(problems: list[str]) -> str:
    return "\n" + "\n".join(problems)


def test_wings_import_only_lower_ones() -> None:
    """Lower ones know nothing of higher ones. The list of wings is as low as what composes first: the file."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name_of(path)} imports {module}"
        for path in sources()
        for module, line in imports(path)
        if module.startswith("mainstay.") and floor(module) > floor(name_of(path)) and path.name != "wings.py"
    ]
    assert not wrong, found(wrong)


def names_of_wings(path: Path) -> Iterator[tuple[str, int]]:
    """Every module of a wing above the ground that a file names, as an import or as a dotted path in a text."""
    named = [(text.value, text.lineno) for text in ast.walk(tree(path)) if isinstance(text, ast.Constant)]
    for name, line in [*imports(path), *named]:
        if isinstance(name, str) and re.match(r"mainstay\.(observe|respond)\b", name):
            yield name, line


def test_a_wing_is_named_by_its_own_folder_by_higher_wings_and_by_the_list() -> None:
    """The ground, and what composes all wings, name none of them."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sources()
        if path.relative_to(PACKAGE).parts[0] not in {"observe", "respond", "wings.py"}
        for name, line in names_of_wings(path)
    ]
    assert not wrong, found(wrong)


LINK = re.compile(r"""\{%\s*url\s+['"](\w+)['"]""")


def test_templates_link_only_to_pages_of_the_same_wing_of_lower_ones_and_of_the_desk() -> None:
    """Of higher wings, they draw the parts."""
    order, homes = [wing.app for wing in WINGS], {}
    for wing in WINGS:
        for pattern in import_module(wing.urls).urlpatterns if wing.urls else ():
            homes[getattr(pattern, "name", "")] = wing.app
    places = {wing.app: {place.url for place in wing.places} for wing in WINGS}  # its own, whoever draws them
    wrong = []
    for template in sorted(PACKAGE.rglob("*.html")):
        own = ".".join(template.relative_to(ROOT).parts).partition(".templates.")[0]
        rank = order.index(own) if own in order else -1  # the kit is below all of them
        for name in LINK.findall(template.read_text(encoding="utf-8")):
            home = homes.get(name, "")
            ground = not home or home.startswith("mainstay.foundation")
            if not ground and name not in places.get(own, ()) and order.index(home) > rank:
                wrong.append(f"{template.relative_to(ROOT)}: {name} of {home}")
    assert not wrong, found(wrong)


def in_bare_python(code: str, *flags: str, role: str = "") -> str:
    """What some code prints in an interpreter of its own."""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "mainstay.settings"}
    command = [sys.executable, *flags, "-c", code, *([role] if role else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    return done.stdout.strip()


LIST = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
began = time.process_time()
import mainstay.wings
print(time.process_time() - began, *sys.modules)
"""
CODE_OF_WINGS = re.compile(r"mainstay\..*\b(models|views|forms|pages|templatetags)\b|mainstay\..*_(views|pages)$")


def test_the_list_of_wings_is_read_without_django_and_without_their_code() -> None:
    _, *loaded = in_bare_python(LIST, "-I").split()
    assert "mainstay.wings" in loaded
    assert [name for name in loaded if name.split(".")[0] in {"django", "ninja", "pydantic"}] == []
    assert [name for name in loaded if CODE_OF_WINGS.match(name)] == []


@pytest.mark.timing
def test_the_list_of_wings_is_read_at_once() -> None:
    """In time of the processor: others may be at work on the machine."""
    assert min(float(in_bare_python(LIST, "-I").split()[0]) for _ in range(5)) < 0.05


ROLE = """
import sys, django
django.setup()
from mainstay.foundation import environment as env
from mainstay.role import works_of
role, home = sys.argv[1].split(":", 1)
works_of(role, env.read({"MAINSTAY_HOME": home, "METRICS_URL": "http://127.0.0.1:9"}))
print(*sys.modules)
"""


@pytest.mark.parametrize("role", ["monitor", "worker"])
def test_processes_without_pages_load_none(role: str, tmp_path: Path) -> None:
    """Neither pages nor forms, nor anything that draws a template."""
    loaded = set(in_bare_python(ROLE, role=f"{role}:{tmp_path}").split())
    assert {wing.cycles[role].rpartition(".")[0] for wing in WINGS if role in wing.cycles} <= loaded
    pages = {name for name in loaded if re.search(r"\.pages\b|forms$|views$|templatetags", name) and "mainstay" in name}
    draw = {
        name_of(path)
        for path in sources()
        if name_of(path) in loaded and any(DRAWS.match(module) for module, _ in imports(path))
    }
    assert (pages, draw) == (set(), set())
    assert role == "worker" or "ninja" not in loaded, "the worker forgets kept answers of the API; the monitor has none"


DRAWS = re.compile(r"django\.(shortcuts|template|forms|views)\b")


def written_out(path: Path) -> Iterator[str]:
    """What a file has of addresses as texts, with 1 for what is filled in; a query is left out."""
    nodes = [node for node in ast.walk(tree(path)) if isinstance(node, ast.JoinedStr | ast.Constant)]
    inner = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "1" for part in parts)
        if id(node) not in inner and (match := re.fullmatch(r"1?(/[a-z-]+/[a-z0-9/-]*)(?:[?#].*)?", text)):
            yield match[1]


def test_addresses_are_written_out_only_where_no_page_may_be_loaded() -> None:
    """Pages ask `reverse`. It loads all of them, so what the monitor and the worker tell has its addresses as texts."""
    firsts = {one[0][0][0].partition("/")[0] for one in get_resolver().reverse_dict.values()}
    there = re.compile(f"/({'|'.join(sorted(firsts - {'', 'api', 'prometheus'}))})/")
    files = [path for path in sources() if not {"urls", "asgi", "wing", "api"} & {path.stem, *path.parts}]
    named = [(path, address) for path in files for address in written_out(path) if there.match(address)]
    wrong = [f"{path.relative_to(ROOT)}: {address}" for path, address in named if {"pages", "kit"} & {*path.parts}]
    assert not wrong, found(wrong)
    assert len(named) > 5
    for path, address in named:
        assert resolve(address), path


def pure_files() -> Iterator[Path]:
    for entry in PURE:
        path = PACKAGE / entry
        assert path.exists(), f"{entry} is named here and does not exist"
        yield from (path.rglob("*.py") if path.is_dir() else [path])


def test_pure_modules_import_no_django() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in pure_files()
        if "tests" not in path.parts
        for module, line in imports(path)
        if module.split(".")[0] in {"django", "allauth", "ninja"} or module.endswith(".models")
    ]
    assert not wrong, found(wrong)


def test_pages_come_up_without_numpy() -> None:
    """The evaluator's arrays are the monitor's; the web process asks it, and stays small."""
    code = (
        "import sys, django; django.setup(); import mainstay.desk.urls, mainstay.respond.rules.engine.state;"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'numpy', 'duckdb'}))"
    )
    assert in_bare_python(code) == "[]"


@pytest.mark.parametrize(
    "module",
    [
        "observe.metrics.scrape.engine", "observe.metrics.host.collect", "observe.metrics.spec",
        "observe.checks.probe.engine", "observe.checks.decide", "respond.alerts.decide",
        "respond.rules.files.unit_tests",
        "foundation.processes.supervise", "observe.metrics.servers", "observe.metrics.backup",
    ],
)  # fmt: skip
def test_pure_modules_load_without_django(module: str) -> None:
    """Not only by their own lines, but with all that they bring along."""
    code = f"import sys, mainstay.{module}; print(any(name.split('.')[0] == 'django' for name in sys.modules))"
    assert in_bare_python(code) == "False"


def clock_calls(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in CLOCKS:
            yield ast.unparse(function), node.lineno
        elif isinstance(function, ast.Name) and (function.id in CLOCKS or function.id == "clock_now"):
            yield function.id, node.lineno
        elif isinstance(function, ast.Attribute) and ast.unparse(function) in {"time.time", "time.time_ns"}:
            yield ast.unparse(function), node.lineno


def is_edge(path: Path) -> bool:
    relative = path.relative_to(PACKAGE).as_posix()
    return any(re.search(pattern, relative) for pattern in EDGES)


def test_below_the_edges_time_is_an_argument() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {call}()"
        for path in sources()
        if not is_edge(path)
        for call, line in clock_calls(path)
    ]
    assert not wrong, found(wrong)


def test_every_edge_that_is_named_exists() -> None:
    files = [path.relative_to(PACKAGE).as_posix() for path in sources()]
    unused = [pattern for pattern in EDGES if not any(re.search(pattern, file) for file in files)]
    assert not unused, found(unused)


def test_no_file_is_too_long_to_be_one_thought() -> None:
    long = []
    for path in [*sources(tests=True), *sorted((ROOT / "tests").rglob("*.py"))]:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > (LINES_OF_TESTS_MOST if "tests" in path.parts else LINES_MOST):
            long.append(f"{path.relative_to(ROOT)}: {lines} lines")
    assert not long, found(long)


def test_imports_are_absolute_and_names_say_something() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}: relative import"
        for path in sources(tests=True)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    wrong += [
        f"{path.relative_to(ROOT)}: a vague name"
        for path in sorted(PACKAGE.rglob("*"))
        if "__pycache__" not in path.parts and VAGUE.match(path.stem)
    ]
    assert not wrong, found(wrong)


def test_the_migrations_say_what_the_models_say(db: None) -> None:
    said = StringIO()
    try:
        call_command("makemigrations", check=True, dry_run=True, verbosity=1, stdout=said)
    except SystemExit:
        pytest.fail(said.getvalue())


def upper_bounds(function: ast.FunctionDef) -> Iterator[int]:
    """The lines that refuse what took longer than a few seconds of wall-clock time."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare):
            taken = {"time.monotonic()", "time.perf_counter()"} & {
                ast.unparse(part.left) for part in ast.walk(node.test) if isinstance(part, ast.BinOp)
            }
            most = node.test.comparators[-1]
            short = isinstance(most, ast.Constant) and isinstance(most.value, int | float) and most.value <= 10
            if taken and short and isinstance(node.test.ops[-1], ast.Lt):
                yield node.lineno


def test_who_measures_time_is_tested_alone() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {function.name} is not marked `timing`"
        for path in [*PACKAGE.rglob("test_*.py"), *ROOT.glob("examples/**/test_*.py"), *ROOT.glob("tests/test_*.py")]
        for function in tree(path).body
        if isinstance(function, ast.FunctionDef) and function.name.startswith("test_")
        for line in upper_bounds(function)
        if not any(ast.unparse(mark) == "pytest.mark.timing" for mark in function.decorator_list)
    ]
    assert not wrong, found(wrong)


def test_every_variable_of_the_environment_is_documented() -> None:
    document = ROOT / "docs" / "configuration.md"
    if not document.exists():
        pytest.skip("docs/configuration.md is not written yet")
    text = document.read_text(encoding="utf-8")
    missing = [variable.name for variable in VARIABLES if f"`{variable.name}`" not in text]
    assert not missing, found(missing)
    named = set(re.findall(r"`(MAINSTAY_[A-Z_]+)`", text))
    unknown = sorted(named - {variable.name for variable in VARIABLES})
    assert not unknown, f"documented, but not a variable: {unknown}"
