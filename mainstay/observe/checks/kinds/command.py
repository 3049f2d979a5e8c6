"""The `command` check type: a program of your own, judged by its exit status as monitoring plug-ins are.

Runs whatever it is told, as the user Mainstay runs as: off unless the administrator allows it.
"""

import asyncio
import contextlib
import os
import signal
from typing import ClassVar

from pydantic import Field, field_validator

from mainstay.foundation.environment import Environment
from mainstay.foundation.strict import Secret
from mainstay.foundation.words.durations import spoken_duration
from mainstay.observe.checks.kinds.base import Kind, ProbedSettings, Stopwatch, Text, failing
from mainstay.observe.checks.kinds.stepped import LatencyExpect, LatencyWarn
from mainstay.observe.checks.probe.conditions import Observation, Placeholder
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import Fact, Health, Outcome

LARGEST_OUTPUT_BYTES = 64 * 1024
_HEALTH = {0: Health.UP, 1: Health.DEGRADED}
_LAST_WORDS_S = 0.1
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")


class CommandSettings(ProbedSettings):
    """A program and its arguments; no shell."""

    PLACEHOLDERS: ClassVar[frozenset[Placeholder]] = frozenset(
        {Placeholder.RESPONSE_TIME, Placeholder.BODY, Placeholder.STATUS}
    )

    command: tuple[Text, ...] = Field(
        min_length=1,
        max_length=200,
        description="The program and its arguments as a list, e.g. [/usr/lib/nagios/plugins/check_disk, -w, 10%].",
    )
    environment: dict[str, str] = Field(
        default_factory=dict, max_length=50, description="Environment variables to set."
    )
    secret_environment: dict[str, Secret] = Field(
        default_factory=dict, max_length=50, description="Environment variables whose values are secret."
    )
    directory: str | None = Field(default=None, description="Directory to run in; without it, the root directory.")
    expect: LatencyExpect = Field(default_factory=LatencyExpect, description="What must hold for the check to be up.")
    warn: LatencyWarn = Field(default_factory=LatencyWarn, description="Softer limits whose violation is degraded.")

    @field_validator("command")
    @classmethod
    def _arguments_are_passable(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if not command[0].strip():
            raise ValueError("the command is empty: give the program and its arguments as a list")
        if any("\0" in argument for argument in command):
            raise ValueError("an argument holds a zero byte, which no program can be given")
        return command


OFF = "programs are not run here: to allow it, set MAINSTAY_COMMANDS=on for Mainstay, and start it anew"


class Command(Kind[CommandSettings]):
    name: ClassVar[str] = "command"
    label: ClassVar[str] = "Command"
    Settings = CommandSettings

    def refusal(self, environment: Environment) -> str:
        return "" if environment.commands_allowed else OFF

    def target(self, settings: CommandSettings) -> str:
        """The program only: arguments may hold what is nobody's business."""
        return settings.command[0]

    async def probe(self, settings: CommandSettings, context: Context) -> Outcome:
        watch = Stopwatch()
        target = self.target(settings)
        if not context.commands_allowed:
            return watch.outcome(Health.DOWN, f"{target} was not run: {OFF}.")
        loop = asyncio.get_running_loop()
        try:
            transport, program = await loop.subprocess_exec(
                _Program,
                *settings.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=_environment(settings),
                cwd=settings.directory or "/",
                start_new_session=True,  # a process group of its own, to be ended as one
            )
        except OSError as error:
            return watch.outcome(Health.DOWN, f"{target} could not be started: {error.strerror or error}.")
        except ValueError as error:
            return watch.outcome(Health.DOWN, f"{target} could not be started: {error}.")
        try:
            async with asyncio.timeout(context.timeout_s - watch.elapsed_s):
                await program.ended.wait()
                # What a child left behind still writes is waited for only briefly: it may hold the pipe for ever.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_WORDS_S):
                        await program.said_all.wait()
        except TimeoutError:
            text = f"{target} did not end within {spoken_duration(context.timeout_s)} and was ended."
            return watch.outcome(Health.DOWN, text, facts={"output": _shown(program.output)})
        finally:
            _end_group(transport.get_pid())
            with contextlib.suppress(TimeoutError):
                # Ended, and then seen to have ended: otherwise it stays behind as a zombie.
                async with asyncio.timeout(_LAST_WORDS_S):
                    await program.ended.wait()
            transport.close()
        return _judged(settings, target, watch, transport.get_returncode() or 0, bytes(program.output))


class _Program(asyncio.SubprocessProtocol):
    """Keeps the first 64 KiB of output and takes the rest: a program that floods is not blocked."""

    def __init__(self) -> None:
        self.output = bytearray()
        self.ended = asyncio.Event()
        self.said_all = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.output += data[: LARGEST_OUTPUT_BYTES - len(self.output)]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.said_all.set()

    def process_exited(self) -> None:
        self.ended.set()


def _end_group(group: int) -> None:
    """End the program and whatever it left behind in its process group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _judged(settings: CommandSettings, target: str, watch: Stopwatch, status: int, output: bytes) -> Outcome:
    text = output.decode("utf-8", "replace")
    first_line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    words, _, performance = first_line.partition("|")  # plug-ins append performance data after a bar
    duration_s = watch.elapsed_s
    facts: dict[str, Fact] = {"exit_status": status, "output": _shown(output)}
    if performance.strip():
        facts["performance_data"] = performance.strip()[:500]
    health = _HEALTH.get(status, Health.DOWN)
    seen = Observation(connected=True, response_time_s=duration_s, status=status, body=output)
    asks = {each for condition in settings.compiled_conditions() for each in condition.asks}
    if Placeholder.STATUS in asks:
        health = Health.UP  # a condition on [STATUS] replaces the usual meaning of the exit status
    ended = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    message = "" if health is Health.UP else (words.strip() or f"{target} {ended} and said nothing.")
    violated = failing(settings.compiled_conditions(), seen)
    if health is not Health.DOWN and violated:
        health, message = Health.DOWN, f"{target}: {violated}"
    limit, soft = settings.expect.max_latency, settings.warn.max_latency
    if health is not Health.DOWN and limit is not None and duration_s > limit:
        health = Health.DOWN
        message = f"{target} took {spoken_duration(duration_s)}; at most {spoken_duration(limit)} are allowed."
    elif health is Health.UP and soft is not None and duration_s > soft:
        health = Health.DEGRADED
        message = f"{target} took {spoken_duration(duration_s)}; more than {spoken_duration(soft)} is slow."
    return watch.outcome(health, message, code=status, facts=facts, duration_s=duration_s)


def _shown(output: bytes | bytearray) -> str:
    return bytes(output[:2000]).decode("utf-8", "replace").strip()


def _environment(settings: CommandSettings) -> dict[str, str]:
    """A clean environment: ours may hold the database's password."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    secret = {name: value.get_secret_value() for name, value in settings.secret_environment.items()}
    return passed | settings.environment | secret
