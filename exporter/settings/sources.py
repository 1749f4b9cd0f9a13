"""Flags, environment, file and defaults brought together by pydantic-settings, key by key."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from exporter.settings.catalogue import PREFIX, KeyPath
from exporter.settings.groups import (
    LabelSettings,
    LogSettings,
    PollSettings,
    SendGridSettings,
    ShardSettings,
    StateSettings,
    WebSettings,
)
from exporter.settings.layers import Layers
from exporter.settings.problems import Problem


class Given(BaseSettings):
    """Every key, each from its strongest source; the automations still as they were written."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        enable_decoding=False,
    )

    automations: Any = None
    sendgrid: SendGridSettings = SendGridSettings()
    poll: PollSettings = PollSettings()
    labels: LabelSettings = LabelSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()
    state: StateSettings = StateSettings()
    shard: ShardSettings = ShardSettings()


class _Variables(EnvSettingsSource):
    """The environment that was handed over, instead of the process's own."""

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str]) -> None:
        self._variables = variables
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._variables.items()}


def gather(layers: Layers) -> tuple[Given, tuple[Problem, ...], frozenset[KeyPath]]:
    """Return the settings, the problems, and the keys that failed and therefore have their defaults."""
    try:
        return _gather(layers), (), frozenset()
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_context=False, include_input=False)
    problems = []
    failed: set[KeyPath] = set()
    for error in errors:
        path = tuple(str(part) for part in error["loc"][:2])
        failed.add(path)
        text = error["msg"].removeprefix("Value error, ")
        problems.append(Problem(path, text, layers.origin(path)))
    return _gather(layers.without(failed)), tuple(problems), frozenset(failed)


def _gather(layers: Layers) -> Given:
    variables = {PREFIX + "__".join(path): str(value) for path, value in layers.environment.values.items()}

    class Gathered(Given):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: object, **__: object
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (
                InitSettingsSource(settings_cls, layers.flags.nested()),
                _Variables(settings_cls, variables),
                InitSettingsSource(settings_cls, layers.file.nested()),
                InitSettingsSource(settings_cls, dict(layers.fallback)),
            )

    return Gathered()
