"""Every deliberate error of the exporter.

ExporterError
├── ConfigurationError       the user's settings are wrong: every problem at once, exit code 2
├── StartError               something outside refuses at start (an address in use), exit code 1
├── StoppedError             the process is stopping, so a wait was cut short
├── StateError               the state file cannot be used; continuing without it
│   └── ForeignFileError         it is somebody else's file: nothing is started, and it stays as it is
└── SendGridError            a poll failed; each class is one outcome
    ├── UnauthorizedError        401
    │   └── KeyRefusedError          the same, of a key that is known to be refused
    ├── ForbiddenError           403
    ├── BadRequestError          400 and the other 4xx
    ├── NotFoundError            404
    ├── RateLimitedError         429
    ├── ServerError              5xx
    ├── ExchangeTimeoutError     the exchange or the poll took too long
    ├── ConnectionFailedError    DNS, TCP, TLS, or a connection that broke
    ├── InvalidResponseError     an answer that is not the API's: form, size, redirect, foreign page
    └── IncompleteError          the pages do not form one complete list

Messages say what happened, on what, and what to do next, and never contain the key.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from exporter.domain import Automation, AutomationList, AutomationStats, Outcome, PollResult

DEFECT: Final = "a defect of the exporter"
"""What is said of an error that nobody raised on purpose."""


class ExporterError(Exception):
    """The root of every error that the exporter raises on purpose."""


class ConfigurationError(ExporterError):
    """Wrong settings; `problems` names each of them in a sentence that begins with the setting's path."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class StartError(ExporterError):
    """The exporter cannot start for a reason outside its settings."""


class StoppedError(ExporterError):
    """The process is stopping: what waited gives up, and nothing is wrong with anybody."""


class StateError(ExporterError):
    """The state file cannot be opened, read or written."""


class ForeignFileError(StateError):
    """The state file's path names something that the exporter did not make."""


class SendGridError(ExporterError):
    """A poll of an automation that failed in a known way."""

    outcome: ClassVar[Outcome]
    transient: ClassVar[bool] = False
    """Whether the same request may succeed some seconds later."""

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        reason: int | str | None = None,
        url: str | None = None,
        next_step: str | None = None,
    ) -> None:
        """Say in the message what happened; without a next step of its own, the outcome's is the one to take."""
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that SendGrid asked to wait, where it did."""
        self.reason = reason
        """What tells failures of one outcome apart: the HTTP status, or which step of a connection failed."""
        self.url = url
        """What was asked, without its parameters; the message begins with it. None where no request is to blame."""
        self.next_step = NEXT_STEPS[self.outcome] if next_step is None else next_step
        """What to do about it, for a person."""

    @property
    def text(self) -> str:
        """What happened: the message without the address that it begins with."""
        return str(self).removeprefix(f"{self.url}: ")


class UnauthorizedError(SendGridError):
    """SendGrid refused the key (401)."""

    outcome = Outcome.UNAUTHORIZED


class KeyRefusedError(UnauthorizedError):
    """The key is known to be refused, to other automations too; mostly SendGrid is not even asked."""


class ForbiddenError(SendGridError):
    """The key may not read this (403): a missing scope, a legacy account, or a temporary block."""

    outcome = Outcome.FORBIDDEN


class BadRequestError(SendGridError):
    """SendGrid did not accept the request: 400, or a 4xx without a class of its own."""

    outcome = Outcome.BAD_REQUEST


class NotFoundError(SendGridError):
    """No such automation, or no statistics for it yet (404)."""

    outcome = Outcome.NOT_FOUND


class RateLimitedError(SendGridError):
    """Too many requests (429)."""

    outcome = Outcome.RATE_LIMITED
    transient = True


class ServerError(SendGridError):
    """SendGrid failed (5xx)."""

    outcome = Outcome.SERVER_ERROR
    transient = True


class ExchangeTimeoutError(SendGridError):
    """A request, or the whole poll, did not end in its time."""

    outcome = Outcome.TIMEOUT
    transient = True


class ConnectionFailedError(SendGridError):
    """SendGrid could not be reached, or the connection broke."""

    outcome = Outcome.CONNECTION_ERROR
    transient = True


class InvalidResponseError(SendGridError):
    """The answer is not one that the API gives."""

    outcome = Outcome.INVALID_RESPONSE


class IncompleteError(SendGridError):
    """The answers do not show one whole list."""

    outcome = Outcome.INCOMPLETE

    def __init__(
        self, message: str, *, stats: AutomationStats | None = None, listed: AutomationList | None = None
    ) -> None:
        super().__init__(message)
        self.stats = stats
        """What they show all the same, to be published once that has proved to be SendGrid's own; None where nothing
        of it can be."""
        self.listed = listed
        """The same of a list of automations."""


NEXT_STEPS: Final[Mapping[Outcome, str]] = {
    Outcome.SUCCESS: "",
    Outcome.UNAUTHORIZED: "check that the API key is complete and not revoked, and that its account is the right one",
    Outcome.FORBIDDEN: "give the API key read access to Marketing (and Automation); a temporary block ends by itself",
    Outcome.BAD_REQUEST: "compare what SendGrid says with the automation's id and step_ids in the configuration",
    Outcome.NOT_FOUND: "check the automation's id: it was deleted, is another account's, or has sent nothing yet",
    Outcome.RATE_LIMITED: "wait; if it lasts, lower sendgrid.requests_per_minute, since others may use the key too",
    Outcome.SERVER_ERROR: "wait; if it lasts, look at status.sendgrid.com",
    Outcome.TIMEOUT: "check the network to SendGrid; if it lasts, raise sendgrid.timeout or poll.interval",
    Outcome.CONNECTION_ERROR: "check DNS, firewall and proxy between this machine and sendgrid.base_url",
    Outcome.INVALID_RESPONSE: "check sendgrid.base_url, and whether a proxy answers in SendGrid's place",
    Outcome.INCOMPLETE: "wait for the next poll; it mends itself unless SendGrid's list stays inconsistent",
    Outcome.INTERNAL_ERROR: "report it with the traceback in the exporter's log",
}
"""What to do after each outcome of a poll."""


Reason = tuple[Outcome, int | str | None]
"""What distinguishes failures: the outcome, and the status or step that failed; not a message's changing figures."""


def reason_of(exc: Exception) -> Reason:
    """Return why something failed that was asked of SendGrid; an error that nobody raised on purpose is a defect."""
    return (exc.outcome, exc.reason) if isinstance(exc, SendGridError) else (Outcome.INTERNAL_ERROR, type(exc).__name__)


def result_of(exc: Exception) -> PollResult:
    """Return what came of a poll that failed this way."""
    if isinstance(exc, SendGridError):
        return PollResult(exc.outcome, message=exc.text, next_step=exc.next_step)
    return PollResult(Outcome.INTERNAL_ERROR, message=DEFECT, next_step=NEXT_STEPS[Outcome.INTERNAL_ERROR])


def text_of(failed: PollResult) -> str:
    """Return a failure as a log line says it: what happened, and the next step."""
    return f"{failed.message}; {failed.next_step}" if failed.next_step else failed.message


@dataclass(slots=True)
class Failing:
    """How one thing fails that is asked for again and again: each new reason is news in the log, and so is its end."""

    reason: Reason | None = None
    """Why it failed the last time; None after a success."""
    is_told: bool = False
    """Whether the log has a line about it, so that it gets one about the recovery."""

    def note(self, exc: Exception, level: int) -> tuple[str, int]:
        """Take note of a failure; return how it goes on, and the level of its line: `level` where it is news."""
        reason = reason_of(exc)
        before, self.reason = self.reason, reason
        how = "began to fail" if before is None else "still fails" if before == reason else "now fails in another way"
        # A refused key is everything's failure, and the first one's line says it for all.
        if before == reason or isinstance(exc, KeyRefusedError):
            return how, logging.DEBUG
        self.is_told = True
        return how, level if isinstance(exc, SendGridError) else logging.ERROR

    def end(self) -> bool:
        """Take note of a success; return whether the log should say so."""
        is_news, self.reason, self.is_told = self.is_told, None, False
        return is_news


def log_fields(automation: Automation | None, what: Exception | Outcome) -> Mapping[str, object]:
    """Return the fields of a log line about the automation, or about none, and what came of asking SendGrid."""
    fields: dict[str, object] = {}
    if automation is not None:
        fields |= {"automation_id": automation.id, "automation": automation.name}
    if isinstance(what, SendGridError):
        status = {"status": what.reason} if isinstance(what.reason, int) else {}
        return {**fields, "outcome": what.outcome, **status, "url": what.url}
    return {**fields, "outcome": what if isinstance(what, Outcome) else Outcome.INTERNAL_ERROR}


def counted(count: int, what: str) -> str:
    """Return so many of these, in the singular or the plural: `1 automation`, `2 automations`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def some_of(names: Sequence[str], most: int) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
