"""`mainstay plan`, `apply` and `export` as people and scripts run them."""

import io
import json
import sys
from pathlib import Path

import pytest

from mainstay.cli import main
from mainstay.config.commands.apply import apply_file
from mainstay.config.reference import CONTRACT
from mainstay.observe.checks.models import Check

pytestmark = pytest.mark.django_db
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(CONTRACT, encoding="utf-8")
    return path


def test_a_plan_reads_like_a_diff_and_needs_no_terminal(file: Path, capsys: Captured) -> None:
    assert main(["plan", str(file)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "+ check shop/storefront\n    environment: production\n    http.url: http://127.0.0.1:9001/\n" in out
    assert "    webhook.url: ********\n" in out
    assert out.endswith(f"{file}: 5 to add.\n")
    assert not Check.objects.exists()


def test_a_change_shows_before_and_after(file: Path, capsys: Captured) -> None:
    assert main(["apply", str(file)]) == 0
    assert capsys.readouterr().out.endswith(f"{file}: 5 added.\n")
    file.write_text(CONTRACT.replace("every: 5s", "every: 9s").replace("/hook", "/x").replace("tier: critical", ""))
    assert main(["plan", str(file)]) == 0
    assert capsys.readouterr().out == (
        "~ application shop\n"
        "    tier: critical → default\n"
        "~ check shop/storefront\n"
        "    every: 5s → 9s\n"
        "~ channel ops\n"
        "    webhook.url: ******** → ********  (changed)\n"
        "\n"
        f"{file}: 3 to change, 2 unchanged.\n"
    )


def test_applied_again_it_says_that_nothing_changes(file: Path, capsys: Captured) -> None:
    main(["apply", str(file)])
    capsys.readouterr()
    assert main(["apply", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: nothing to change, 5 as they should be.\n"


def test_json_tells_the_same_to_programs(file: Path, capsys: Captured) -> None:
    assert main(["plan", "--json", str(file)]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert (planned["valid"], planned["applied"], planned["managed_as"]) == (True, False, "shop.yaml")
    assert planned["counts"] == {"add": 5, "change": 0, "remove": 0, "keep": 0, "adopt": 0}
    assert {"field": "tier", "before": None, "after": "critical"} in planned["changes"][0]["fields"]
    assert main(["apply", "--json", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["applied"] is True
    assert main(["apply", "--json", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["changes"] == []


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_mistakes_go_to_stderr_with_their_places(command: str, file: Path, capsys: Captured) -> None:
    file.write_text(CONTRACT.replace("tier: critical", "tier: top").replace("[ops]", "[ox]"))
    assert main([command, str(file)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        f"{file}:3:11: applications[shop].tier: must be critical, important or standard",
        f"{file}:21:14: routes[0].notify[0]: no channel named ox exists; add it under channels, or correct the name",
        "2 mistakes; nothing was changed.",
    ]


def test_mistakes_are_json_too(file: Path, capsys: Captured) -> None:
    file.write_text("applications: 5")
    assert main(["plan", "--json", str(file)]) == 1
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert (error["line"], error["column"], error["path"]) == (1, 15, "applications")


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_file_that_cannot_be_read_is_told_without_a_traceback(command: str, tmp_path: Path, capsys: Captured) -> None:
    for path, reason in ((tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        assert main([command, str(path)]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"{path}: cannot be read: {reason}.")
        assert "Traceback" not in error


def test_a_file_of_ten_megabytes_is_refused_at_once(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "big.yaml"
    path.write_bytes(b"applications: []\n" + b"# padding\n" * 1_000_000)
    assert main(["plan", str(path)]) == 1
    assert "the file is larger than 5 MB" in capsys.readouterr().err


def test_a_dash_reads_standard_input(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CONTRACT.encode())))
    assert main(["apply", "-"]) == 0
    assert capsys.readouterr().out.endswith("stdin: 5 added.\n")


def test_an_export_applies_from_a_pipe_and_changes_nothing(
    file: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["apply", str(file)])
    capsys.readouterr()
    assert main(["export"]) == 0
    exported = capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(exported.encode())))
    assert main(["apply", "-"]) == 0
    assert capsys.readouterr().out == "stdin: nothing to change, 5 as they should be.\n"
    assert main(["export", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["channels"] == [{"name": "ops", "webhook": {"url": "********"}}]


def test_variables_come_from_the_environment_of_the_command(
    file: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBE_TIER", "standard")
    file.write_text(CONTRACT.replace("tier: critical", "tier: ${PROBE_TIER}"))
    assert main(["apply", str(file)]) == 0
    assert Check.objects.get(name="storefront").application.tier == "standard"


def test_quietly_applied_a_file_tells_only_mistakes_and_that_it_changed_something(file: Path, capsys: Captured) -> None:
    assert apply_file(str(file), quiet=True) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"mainstay: {file}: 5 added.\n")
    assert apply_file(str(file), quiet=True) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    file.write_text("rotes: []")
    assert apply_file(str(file), quiet=True) == 1
    assert "Did you mean routes?" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["plan", "apply", "export"])
def test_help_shows_an_example_and_a_wrong_option_is_usage(command: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"example:\n  mainstay {command}" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main([command, "--nonsense"])
    assert ended.value.code == 2


def test_control_characters_from_a_file_do_not_reach_the_terminal(file: Path, capsys: Captured) -> None:
    file.write_text(CONTRACT.replace("tier: critical", 'description: "a\\e[31mb\\nc"'))
    assert main(["plan", str(file)]) == 0
    assert "description: a\\x1b[31mb\\nc\n" in capsys.readouterr().out
