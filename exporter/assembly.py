"""From settings to what the parts are built with."""

import gc
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from exporter.about import DISTRIBUTION, About
from exporter.domain import Automation, AutomationId
from exporter.errors import ConfigurationError, ForeignFileError, StateError
from exporter.labels import LabelRules
from exporter.sendgrid.key import FixedKey, Key, KeyFile
from exporter.sendgrid.session import ClientOptions
from exporter.settings import Settings, key_oddity, read_key_file
from exporter.sharding import own
from exporter.state import examine
from exporter.urls import UrlMode
from exporter.web.ports import WebOptions

_log = logging.getLogger(__name__)

STATE_SECONDS: Final = 5.0
"""The longest that a start waits for the state file's disk."""
_UNCHANGEABLE: Final = ("web", "state", "shard")
"""Groups that are only read at start."""
_GIVE_WAY: Final = 0.001
"""Seconds after which a thread leaves the interpreter to one that waits for it."""
_M_MMAP_THRESHOLD: Final = -3
"""Of glibc's malloc.h."""
_LARGE_BUFFER: Final = 1024 * 1024
"""Bytes: more than usual answers and scrapes take, so that these cost no calls of the system."""


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
    """Return where the key comes from; raise ConfigurationError when its file holds none.

    The key that was checked is the first to be used; what is no regular file, a pipe, gave it once and for all.
    """
    path, found = settings.sendgrid.api_key_file, settings.key_of_file
    if path is None or (found is not None and path.exists() and not path.is_file()):
        fixed = found if path is not None else settings.sendgrid.api_key
        return FixedKey(fixed.get_secret_value() if fixed else "")
    return KeyFile(path, _reader_after(found), found.get_secret_value() if found else None)


def _reader_after(found: SecretStr | None) -> Callable[[Path], str]:
    """Return what reads a key file again; a key that is not the one before is looked at as at the start."""
    last = found

    def read(path: Path) -> str:
        nonlocal last
        if path.exists() and not path.is_file():  # every request would wait for the other end of a pipe
            raise ConfigurationError([f"sendgrid.api_key_file: {path} is no regular file any more"])
        key = read_key_file(path)
        odd = key_oddity(key) if key != last else None
        if odd is not None:
            _log.warning("sendgrid.api_key_file: the key %s; SendGrid answers 401 when it is wrong", odd)
        last = key
        return key.get_secret_value()

    return read


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


def state_file_warning(settings: Settings) -> str | None:
    """Return why the state file could not be used now; raise ConfigurationError where it is somebody else's.

    Nothing is written, and a disk that does not answer is not waited for.
    """
    path, found = settings.state.path, list[StateError]()
    if path is None:
        return None

    def look() -> None:
        try:
            examine(path)
        except StateError as exc:
            found.append(exc)

    thread = threading.Thread(target=look, name="state-check", daemon=True)
    thread.start()
    thread.join(STATE_SECONDS)
    if thread.is_alive():
        return f"state.path: {path} did not answer within {STATE_SECONDS:g} s"
    if found and isinstance(found[0], ForeignFileError):
        raise ConfigurationError([str(found[0])])
    return str(found[0]) if found else None


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
    _return_large_buffers()


def _return_large_buffers() -> None:
    """Let glibc give every large buffer back to the system when it is freed.

    By itself it raises the size from which it does so to that of the largest buffer freed so far, so that each thread
    would keep its largest answer's memory: 184 MB were measured with 16 workers, in place of 57. Setting the size ends
    that (mallopt(3)). Other C libraries have no such function, and a hardened system may refuse to load ctypes.
    """
    with suppress(ImportError, OSError, AttributeError, MemoryError):
        import ctypes  # noqa: PLC0415  # see above

        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BUFFER)
