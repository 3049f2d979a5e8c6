"""`mainstay rules`: check rule files, run their unit tests, print the starter pack. Needs no database."""

import argparse
import sys
from pathlib import Path

from mainstay.foundation.terminal import Paint, clean, example, say, say_json
from mainstay.foundation.yaml.problems import Problem
from mainstay.foundation.yaml.read import read_data
from mainstay.respond.rules.files.fields import MOST_BYTES
from mainstay.respond.rules.files.read import BadRules, RuleFile, read_rules
from mainstay.respond.rules.files.starter_pack import packs
from mainstay.respond.rules.files.unit_tests import Failure, Report, run_file
from mainstay.respond.rules.files.write import write_rules

STDIN = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    commands = parser.add_subparsers(dest="rules_command", metavar="COMMAND", required=True)
    check = commands.add_parser("check", help="tell what is wrong with rule files", description="Check rule files.")
    check.add_argument("files", nargs="+", metavar="FILE", help="Prometheus rule files; - reads standard input")
    test = commands.add_parser("test", help="run unit tests of rules", description="Run promtool's unit-test files.")
    test.add_argument("files", nargs="+", metavar="FILE", help="unit-test files as promtool has them")
    starter = commands.add_parser("starter", help="print starter rules", description="Print the starter pack.")
    starter.add_argument("names", nargs="*", metavar="NAME", help="packs to print as a rule file; without: list them")
    for command, lines in (
        (check, ["mainstay rules check rules/*.yml", "mainstay rules check - < hosts.yml"]),
        (test, ["mainstay rules test rules/tests/*.yml", "mainstay rules test --json hosts_test.yml"]),
        (starter, ["mainstay rules starter hosts http > starter.yml", "mainstay apply starter.yml"]),
    ):
        command.add_argument("--json", action="store_true", help="print the result for a program")
        example(command, lines)


def run(args: argparse.Namespace) -> int:
    """Check or test; exit status 1 when something is wrong."""
    return {"check": _check, "test": _test, "starter": _starter}[args.rules_command](args)


def _starter(args: argparse.Namespace) -> int:
    known = {pack.name: pack for pack in packs()}
    if not args.names:
        if args.json:
            say_json([{"name": each.name, "title": each.title, "needs": each.needs} for each in known.values()])
        else:
            for each in known.values():
                say(f"{each.name:<12}{each.title}; needs {each.needs}")
        return 0
    unknown = [name for name in args.names if name not in known]
    if unknown:
        sys.stderr.write(f"mainstay: there is no pack {', '.join(unknown)}; there are {', '.join(known)}\n")
        return 1
    wanted = [known[name] for name in dict.fromkeys(args.names)]
    groups = [group for each in wanted for group in each.groups]
    text = write_rules(groups)
    if args.json:
        say_json(read_data(text))
    else:
        say(text.rstrip())
    return 0


def _check(args: argparse.Namespace) -> int:
    documents = []
    fine = True
    for name in args.files:
        found = _read(name)
        problems = found.problems if isinstance(found, BadRules) else ()
        warnings = found.warnings if isinstance(found, RuleFile) else ()
        rules = sum(len(group.rules) for group in found.groups) if isinstance(found, RuleFile) else 0
        fine = fine and not problems
        documents.append(
            {
                "file": name,
                "valid": not problems,
                "rules": rules,
                "problems": [problem.document() for problem in problems],
                "warnings": [warning.document() for warning in warnings],
            }
        )
        if not args.json:
            _tell_checked(name, rules, problems, warnings)
    if args.json:
        say_json({"valid": fine, "files": documents})
    return 0 if fine else 1


def _read(name: str) -> RuleFile | BadRules:
    try:
        if name == STDIN:
            return read_rules(sys.stdin.buffer.read(MOST_BYTES + 1), "stdin")
        return read_rules(Path(name).read_bytes(), name)
    except BadRules as error:
        return error
    except OSError as error:
        return BadRules(name, [Problem(0, 0, "", f"cannot be read: {error.strerror}")])


def _tell_checked(name: str, rules: int, problems: tuple[Problem, ...], warnings: tuple[Problem, ...]) -> None:
    paint = Paint(sys.stderr)
    for problem in problems:
        sys.stderr.write(f"{clean(problem.shown(name))}\n")
    for warning in warnings:
        sys.stderr.write(paint(clean(f"{warning.shown(name)} (warning)"), "yellow") + "\n")
    if not problems:
        say(f"{clean(name)}: {rules} {'rule' if rules == 1 else 'rules'}, {Paint(sys.stdout)('fine', 'green')}.")


def _test(args: argparse.Namespace) -> int:
    reports = []
    for name in args.files:
        report = run_file(Path(name))
        reports.append(report)
        if not args.json:
            _tell_tested(report)
    passed = all(report.passed for report in reports)
    if args.json:
        say_json({"passed": passed, "files": [report.document() for report in reports]})
    return 0 if passed else 1


def _tell_tested(report: Report) -> None:
    paint = Paint(sys.stderr)
    for warning in report.warnings:
        sys.stderr.write(paint(clean(f"{report.file}: {warning}"), "yellow") + "\n")
    for file, problem in report.problems:
        sys.stderr.write(f"{clean(problem.shown(file))}\n")
    for failure in report.failures:
        sys.stderr.write(_shown(report.file, failure))
    tests = f"{report.tests} {'test' if report.tests == 1 else 'tests'}, {report.cases} comparisons"
    if report.passed:
        say(f"{clean(report.file)}: {tests}, {Paint(sys.stdout)('passed', 'green')}.")
    elif not report.problems:
        sys.stderr.write(paint(clean(f"{report.file}: {tests}, {len(report.failures)} failed."), "red") + "\n")


def _shown(file: str, failure: Failure) -> str:
    test = f"{failure.test}: " if failure.test else ""
    lines = [clean(f"{file}:{failure.line}: {test}{failure.what}")]
    if failure.expected or failure.got:
        # What is the same on both sides is left out: the difference is what one looks for.
        missing = [line for line in failure.expected if line not in failure.got]
        extra = [line for line in failure.got if line not in failure.expected]
        lines += [f"  - expected {clean(line)}" for line in missing or (["nothing"] if not failure.expected else [])]
        lines += [f"  + got      {clean(line)}" for line in extra or (["nothing"] if not failure.got else [])]
    return "\n".join(lines) + "\n"
