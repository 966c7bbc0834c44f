"""The work on one board, from its port to its result, in one thread."""

from __future__ import annotations

import functools
import threading
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypedDict, TypeVar

import attrs

from esploader.classes import define, frozen
from esploader.device.leaving import work_and_leave
from esploader.errors import (
    CapabilityError,
    CommandError,
    ConnectError,
    EsploaderError,
    FlashError,
    FlashLostError,
    PlanError,
    PortPermissionError,
    ProtocolError,
    StubError,
    TransportError,
)
from esploader.fleet.board_log import BoardLog
from esploader.fleet.connecting import connect_job, found_of
from esploader.fleet.events import Began, Failed, Identified, Progressed, Warned
from esploader.fleet.job import DeviceInput
from esploader.fleet.places import with_device_inputs
from esploader.fleet.results import BoardResult, Status
from esploader.fleet.watch import REAL_CLOCK, InterruptedWorkError, Watch, WatchedClock, Why

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.device.device import Device
    from esploader.flash.artefact import Artefact
    from esploader.flash.parameters import FlashParameters
    from esploader.flash.progress import ProgressEvent
    from esploader.fleet.board_log import LogOfThreads
    from esploader.fleet.events import FleetEvent
    from esploader.fleet.job import Job
    from esploader.fleet.results import Found
    from esploader.loader.resetting import After

AnswerT = TypeVar("AnswerT")

RETRY_DELAY: Final = 0.5
"""Between two attempts at a board, in seconds: a port may have to come back."""

_ENDINGS: Final = {Why.CANCELLED: Status.CANCELLED, Why.TOO_LONG: Status.GIVEN_UP}

_PASSING: Final = (
    CommandError,
    ConnectError,
    FlashError,
    FlashLostError,
    ProtocolError,
    TransportError,
)
"""What another attempt may not meet with: it depends on the line, and on the moment."""

_LASTING: Final = (CapabilityError, PortPermissionError, StubError)


def is_worth_a_retry(error: EsploaderError) -> bool:
    """Tell whether another attempt at the same board may do what this one did not."""
    return isinstance(error, _PASSING) and not isinstance(error, _LASTING)


@define(eq=False)
class Claims:
    """Which place has which board: nothing is written twice to one that has two ports."""

    _places: dict[str, str] = attrs.field(factory=dict, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def claim(self, found: Found) -> None:
        """Give a board to a place.

        Raises:
            PlanError: another place has it.
        """
        if found.mac is None:
            return
        with self._lock:
            place = self._places.setdefault(found.mac, found.label)
        if place != found.label:
            raise PlanError(
                f"the board with the MAC {found.mac} is at {place}, too: nothing is written to it "
                "from here"
            )

    def release(self, label: str) -> None:
        """Have whatever is in the place that is called so taken from there."""
        with self._lock:
            for mac in [mac for mac, place in self._places.items() if place == label]:
                del self._places[mac]


@frozen(kw_only=True, eq=False)
class Surroundings:
    """What the boards of a run share, none of which anybody waits for."""

    retries: int
    dry_run: bool
    post: Callable[[FleetEvent], None]
    claims: Claims
    logs: LogOfThreads


class _Options(TypedDict):
    """Of a job: what counts for a plan and for a write."""

    parameters: FlashParameters
    erase_all: bool
    compress: bool | None
    force: bool


@define(eq=False)
class Board:
    """The work on the board at one port. What is said of it while it goes on is a snapshot."""

    job: Job
    watch: Watch
    _around: Surroundings
    _log: BoardLog = attrs.field(init=False)
    result: BoardResult = attrs.field(init=False)
    """What has become of it so far; it counts when :meth:`run` has returned."""

    def __attrs_post_init__(self) -> None:
        self._log = BoardLog(lambda text: self._post(Warned(label=self.job.name, text=text)))
        self.result = BoardResult(
            label=self.job.name, port=self.job.port_name, status=Status.NOT_BEGUN
        )

    def run(self) -> BoardResult:
        """Work until the board is done, has failed as often as it may, or is to be left."""
        self._around.logs.follow(self._log)
        started = REAL_CLOCK.now()
        self.result = attrs.evolve(self.result, began=datetime.now(UTC))
        try:
            status = self._attempts()
        except InterruptedWorkError:
            status = Status.FAILED
        except BaseException as exc:  # noqa: BLE001 - nobody is to wait for a thread that is gone
            self.result = attrs.evolve(self.result, error=exc)
            status = Status.FAILED
        finally:
            self._around.logs.forget()
        if self.watch.why is not None and status is not Status.DONE:
            status = _ENDINGS[self.watch.why]
        self.result = attrs.evolve(
            self.result,
            status=status,
            ended=datetime.now(UTC),
            seconds=REAL_CLOCK.now() - started,
            warnings=self._log.warnings,
            log=self._log.lines,
        )
        _let_go(self.result.error)
        return self.result

    def left_behind(self) -> BoardResult:
        """Return what is known of a board whose thread does not end."""
        began = self.result.began
        return attrs.evolve(
            self.result,
            status=_ENDINGS[self.watch.why or Why.TOO_LONG],
            is_hung=True,
            ended=datetime.now(UTC),
            seconds=0.0 if began is None else (datetime.now(UTC) - began).total_seconds(),
            warnings=self._log.warnings,
            log=self._log.lines,
        )

    def _attempts(self) -> Status:
        """Return what became of it, after as many attempts as make sense."""
        clock = WatchedClock(REAL_CLOCK, self.watch)
        for attempt in range(1, self._around.retries + 2):
            self.result = attrs.evolve(self.result, attempts=attempt)
            self._post(Began(label=self.job.name, attempt=attempt))
            try:
                self.watch.check(REAL_CLOCK)
                self._attempt()
            except EsploaderError as exc:
                self.result = attrs.evolve(self.result, error=exc)
                is_over = self.watch.why is not None or attempt > self._around.retries
                if is_over or not is_worth_a_retry(exc):
                    return Status.FAILED
                self._post(Failed(label=self.job.name, attempt=attempt, error=exc))
                clock.sleep(RETRY_DELAY)
            else:
                self.result = attrs.evolve(self.result, error=None)
                return Status.DONE
        raise AssertionError  # The last attempt returns.

    def _attempt(self) -> None:
        with connect_job(self.job, self.watch) as device:
            # A lambda would be held, with the device, by the traceback of what goes wrong in it.
            work = functools.partial(self._work, device)
            work_and_leave(device, self.job.after, _Witness(self._log), work)

    def _work(self, device: Device) -> bool:
        """Write what belongs on the board, and return that its loader is still there."""
        job = self.job
        found = found_of(device, job)
        self._require_same(found)
        self.result = attrs.evolve(self.result, found=found)
        self._post(Identified(label=job.name, found=found))
        self._around.claims.claim(found)
        if job.check is not None:
            asked("what is checked on this board", functools.partial(job.check, device))
        artefact = self._artefact(device, found)
        options: _Options = {
            "parameters": job.parameters,
            "erase_all": job.erase_all,
            "compress": job.compress,
            "force": job.force,
        }
        if self._around.dry_run:
            plan = device.flash.plan(artefact, **options)
            self.result = attrs.evolve(self.result, plan=plan)
            return True
        regions = device.flash.write(artefact, skip=job.skip, on_progress=self._progress, **options)
        self.result = attrs.evolve(self.result, regions=regions)
        return True

    def _require_same(self, found: Found) -> None:
        """See that it is the board that earlier attempts were at, which is what the result is of.

        Raises:
            PlanError: it is another one.
        """
        earlier = self.result.found
        if earlier is not None and earlier.mac != found.mac:
            raise PlanError(
                f"the board with the MAC {earlier.mac} is gone, and another one is in its place: "
                "nothing is written to that"
            )

    def _artefact(self, device: Device, found: Found) -> Artefact:
        """Return what goes to this board, and keep what that is."""
        job = self.job
        self.result = attrs.evolve(self.result, inputs=job.artefact.inputs, device_inputs=())
        if job.device_inputs is None:
            return job.artefact
        get = functools.partial(job.device_inputs, found)
        extra = [
            DeviceInput(*each) for each in asked("what goes to this board alone", lambda: [*get()])
        ]
        artefact = with_device_inputs(device, job, extra)
        self.result = attrs.evolve(
            self.result, device_inputs=artefact.inputs[len(job.artefact.inputs) :]
        )
        return artefact

    def _progress(self, event: ProgressEvent) -> None:
        self._post(Progressed(label=self.job.name, progress=event))

    def _post(self, event: FleetEvent) -> None:
        self._around.post(event)


def _let_go(error: BaseException | None) -> None:
    """Have an error that is kept hold no device: where it came from is all that it tells of it."""
    seen: list[BaseException] = []
    left = [error]
    while left:
        each = left.pop()
        if each is None or each in seen:
            continue
        seen.append(each)
        traceback.clear_frames(each.__traceback__)
        left += (each.__cause__, each.__context__)


@define
class _Witness:
    """Notes in the log of a board that it is not left as it should be."""

    _log: BoardLog

    def leaves(self, way: After, device: Device) -> None:
        """Need not know: it is what was asked for."""

    def note(self, text: str) -> None:
        """Keep it."""
        self._log.warn(text)

    def fails(self, reason: str) -> None:
        """Keep it."""
        self._log.warn(f"the device is not left as it should be: {reason}")


def asked(what: str, ask: Callable[[], AnswerT]) -> AnswerT:
    """Return what somebody else's code returns, whose failure is that of the board alone.

    Raises:
        EsploaderError: what it raises, or what stands for that.
    """
    try:
        return ask()
    except (EsploaderError, InterruptedWorkError):
        raise
    # Whoever exits, or has pytest fail, means this board: there is nothing else to end here.
    except BaseException as exc:
        raise PlanError(f"{what}: {type(exc).__name__}: {exc}") from exc
