"""From settings to what the parts are built with."""

import gc
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from exporter.about import DISTRIBUTION, About
from exporter.domain import Automation, AutomationId
from exporter.errors import StateError
from exporter.labels import LabelRules
from exporter.sendgrid.key import FixedKey, Key, KeyFile
from exporter.sendgrid.session import ClientOptions
from exporter.settings import Settings, read_key_file
from exporter.sharding import own
from exporter.state import StateFile, open_state
from exporter.urls import UrlMode
from exporter.web.ports import WebOptions

_log = logging.getLogger(__name__)

_UNCHANGEABLE: Final = ("web", "state", "shard")
"""Groups that are only read at start."""
_GIVE_WAY: Final = 0.001
"""Seconds after which a thread leaves the interpreter to one that waits for it."""


def client_options(settings: Settings, about: About) -> ClientOptions:
    """Return how SendGrid is asked."""
    return ClientOptions(
        base_url=settings.sendgrid.base_url,
        timeout=settings.sendgrid.timeout,
        page_size=settings.sendgrid.page_size,
        user_agent=f"{DISTRIBUTION}/{about.version}",
        on_behalf_of=settings.sendgrid.on_behalf_of,
        proxy=settings.sendgrid.proxy,
        authorities=settings.authorities,
    )


def web_options(settings: Settings) -> WebOptions:
    """Return how the web server is configured."""
    web = settings.web
    return WebOptions(
        listen=((web.host, web.port),),
        telemetry_path=web.telemetry_path,
        enable_lifecycle=web.enable_lifecycle,
        open_health=web.open_health,
        config_file=web.config_file,
    )


def own_automations(settings: Settings) -> tuple[Automation, ...]:
    """Return the automations that this process polls."""
    return own(settings.automations, index=settings.shard.index, total=settings.shard.total)


def key_source(settings: Settings) -> Key:
    """Return where the key comes from; raise ConfigurationError when its file holds none."""
    if settings.sendgrid.api_key_file is not None:
        return KeyFile(settings.sendgrid.api_key_file, lambda path: read_key_file(path).get_secret_value())
    return FixedKey(settings.sendgrid.api_key.get_secret_value() if settings.sendgrid.api_key else "")


def label_rules(settings: Settings) -> LabelRules:
    """Return the rules of label hygiene."""
    labels = settings.labels
    return LabelRules(
        url=UrlMode(labels.url.value),
        drop_params=labels.drop_params,
        drop_paths=labels.drop_paths,
        max_links=labels.max_links,
        max_url_length=labels.max_url_length,
    )


def question_of(settings: Settings) -> Callable[[AutomationId], str]:
    """Return what an automation's block answers: who was asked, for which steps, and under which label rules.

    A block of an earlier run that answers another question is not shown.
    """
    asked, labels = _asked_of(settings), label_rules(settings)
    return lambda automation_id: repr((asked(automation_id), labels))


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reload means for the blocks that are shown."""

    again: frozenset[AutomationId] = frozenset()
    """Answers to a former question: to be polled at once."""
    withdrawn: frozenset[AutomationId] = frozenset()
    """Those among them that came from elsewhere, or of other steps: to be shown no longer."""


def changed_questions(before: Settings, after: Settings) -> Changes:
    """Compare what is asked. Blocks that only need other labels stay until the next poll, so that nothing is lost."""
    asked, asks, question, questions = _asked_of(before), _asked_of(after), question_of(before), question_of(after)
    ids = [automation.id for automation in after.automations]
    return Changes(
        again=frozenset(id_ for id_ in ids if question(id_) != questions(id_)),
        withdrawn=frozenset(id_ for id_ in ids if asked(id_) != asks(id_)),
    )


def _asked_of(settings: Settings) -> Callable[[AutomationId], str]:
    whom = (settings.sendgrid.base_url, settings.sendgrid.on_behalf_of)
    steps = {automation.id: automation.step_ids for automation in settings.automations}
    return lambda automation_id: repr((whom, steps.get(automation_id, ())))


def open_state_file(settings: Settings) -> StateFile | None:
    """Return the state file; None where there is none, or where it cannot be used, which is logged."""
    if settings.state.path is None:
        return None
    try:
        return open_state(settings.state.path)
    except StateError as exc:
        _log.warning("%s; the exporter goes on without it", exc)
        return None


def needing_restart(before: Settings, after: Settings) -> Iterator[str]:
    """Give a sentence for each changed setting that only a restart can take over."""
    for group in _UNCHANGEABLE:
        former, wanted = getattr(before, group), getattr(after, group)
        for name in type(former).model_fields:
            if getattr(former, name) != getattr(wanted, name):
                yield f"{group}.{name}: a changed value needs a restart"


def settle() -> None:
    """Set the process up for threads that wait for one another, once all that lives as long as it is built.

    That is taken out of the collector's rounds: a full one over all modules and classes would hold every thread for
    some 30 ms. And a thread that renders gives way after one millisecond instead of five, since a scrape asks for the
    interpreter several times.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_GIVE_WAY)
