"""The settings as the rest of the exporter sees them: one frozen value."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from pydantic import SecretStr

from exporter.authorities import Authorities
from exporter.domain import Automation
from exporter.settings.groups import (
    LabelSettings,
    LogSettings,
    PollSettings,
    SendGridSettings,
    ShardSettings,
    StateSettings,
    WebSettings,
)


class Mode(StrEnum):
    """What the process is asked to do."""

    SERVE = "serve"
    CHECK = "check"
    ONCE = "once"
    VERSION = "version"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, checked; printing it shows no secret."""

    automations: tuple[Automation, ...] = ()
    sendgrid: SendGridSettings = field(default_factory=SendGridSettings)
    poll: PollSettings = field(default_factory=PollSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)
    web: WebSettings = field(default_factory=WebSettings)
    log: LogSettings = field(default_factory=LogSettings)
    state: StateSettings = field(default_factory=StateSettings)
    shard: ShardSettings = field(default_factory=ShardSettings)
    authorities: Authorities | None = field(default=None, repr=False)
    """What `sendgrid.ca_file` holds; the file was read once, so what was checked is what is trusted."""
    key_of_file: SecretStr | None = None
    """What `sendgrid.api_key_file` held when it was checked, so that a pipe need not be read again."""

    def with_demo(self, *, base_url: str, api_key: str, automations: Sequence[Automation]) -> "Settings":
        """Return these settings turned to the simulator: its address, its key and its automations."""
        sendgrid = self.sendgrid.model_copy(update={"base_url": base_url, "api_key": SecretStr(api_key)})
        return replace(self, sendgrid=sendgrid, automations=tuple(automations))


@dataclass(frozen=True, slots=True)
class Invocation:
    """What one command line, environment and file ask for."""

    mode: Mode
    demo: bool = False
    settings: Settings | None = None
    """None for help and version only."""
    config_file: Path | None = None
    warnings: tuple[str, ...] = ()
    """Sentences for the log; none of them stops the start."""
