"""The environment: `EXPORTER_GROUP__KEY`, SendGrid's own two variables, and those that others would expect to count."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from exporter.inputs import LARGEST_BUNDLE, Authorities, Inputs, parse_authorities
from exporter.settings.layers import Layer, key_path
from exporter.settings.problems import KeyPath, Problem, shown_path, unknown, why_unread
from exporter.settings.reference import API_KEY, API_KEY_FILE, CONFIG_FILE, PREFIX, names_in, reference
from exporter.settings.schema import GROUPS, SendGridSettings
from exporter.settings.values import is_loopback

_TWINS: Final = ((API_KEY, "SENDGRID_API_KEY"), (API_KEY_FILE, "SENDGRID_API_KEY_FILE"))
_SERVICE: Final = re.compile(
    r"EXPORTER_(.+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
_OWN: Final = tuple(f"{PREFIX}{group.upper()}__" for group in GROUPS)
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_EXCEPTIONS: Final = ("no_proxy", "NO_PROXY")


class Environment(Layer):
    """The settings given by variables."""

    def __init__(
        self, values: Mapping[KeyPath, str], names: Mapping[KeyPath, str], problems: Sequence[Problem], warning: str
    ) -> None:
        super().__init__({path: value for path, value in values.items() if path != CONFIG_FILE}, problems)
        self.names = names
        """The variable that gives each setting, in the letters in which it was given."""
        self.config_file = values.get(CONFIG_FILE)
        """The file that a variable names, as written; None where none does."""
        self.warnings = (warning,) if warning else ()

    def origin(self, path: Sequence[str | int]) -> str:
        return self.names[key_path(path)]


def read_environment(environment: Mapping[str, str]) -> Environment:
    """Read the variables of the exporter's own name, in any case of letters, and nothing else."""
    paths = {setting.variable: setting.path for setting in reference()}
    values: dict[KeyPath, str] = {}
    names: dict[KeyPath, str] = {}
    problems: list[Problem] = []
    ignored: list[str] = []
    for name in sorted(environment):
        path = paths.get(name.upper())
        if path is not None and path in names:
            problems.append(Problem(path, f"is given by {names[path]} too; the case of letters does not matter", name))
        elif path is not None:
            values[path], names[path] = environment[name], name
        # A Service named exporter-… makes Kubernetes set EXPORTER_…_PORT and the like in every pod of its namespace.
        elif _is_service(name.upper()):
            ignored.append(name)
        elif name.upper().startswith(PREFIX):
            problems.append(_unknown(name, paths))
    for path, twin in _TWINS:
        if path not in names and twin in environment:
            values[path], names[path] = environment[twin], twin
    return Environment(values, names, problems, _service_warning(ignored))


def _is_service(name: str) -> bool:
    """Return whether Kubernetes injected the variable for a Service whose name begins with `exporter`."""
    return _SERVICE.fullmatch(name) is not None and not name.startswith(_OWN)


def _unknown(name: str, paths: Mapping[str, KeyPath]) -> Problem:
    shown = name if name.isascii() and name.isprintable() else ascii(name)[1:-1]
    bare = shown[len(PREFIX) :].lower()
    path = tuple(bare.split("__"))
    if names_in(bare):
        variables = [f"{PREFIX}{bare.upper()}__{each.upper()}" for each in names_in(bare)]
        return Problem(path, f"is a group; set one of {', '.join(variables)}", shown)
    siblings = {each: place for each, place in paths.items() if each.startswith(f"{PREFIX}{path[0].upper()}__")}
    return unknown(path, shown, siblings or paths, shown)


def _service_warning(names: Sequence[str]) -> str:
    advice = "set enableServiceLinks: false on the pod to be rid of them"
    return f"passed over {', '.join(names)}: Kubernetes injects them for Services; {advice}" if names else ""


def read_authorities(path: Path, inputs: Inputs) -> Authorities:
    """Return the certificates of the file; raise ValueError, with a phrase that follows its name, where it has none."""
    try:
        content = inputs.read(path, LARGEST_BUNDLE).content
    except OSError as exc:
        raise ValueError(f"cannot be read {why_unread(exc)}") from None
    return parse_authorities(content)


def hints(environment: Mapping[str, str], sendgrid: SendGridSettings, inputs: Inputs) -> Iterator[str]:
    """Yield a sentence for each variable that names no usable authority, or that is set and not read.

    OpenSSL passes over a wrong `SSL_CERT_FILE` without a word, and the variables of curl and requests would send the
    key through whatever the shell happens to name, so they are not read.
    """
    if is_loopback(sendgrid.base_url):
        return
    if sendgrid.ca_file is None and _is_encrypted(sendgrid):
        yield from _useless(environment, inputs)
        yield from _unread(environment, _BUNDLES, "sendgrid.ca_file to trust the authorities of a file")
    if sendgrid.proxy is None and not _bypassed(environment, sendgrid.base_url):
        yield from _unread(environment, _PROXIES, "sendgrid.proxy to go through a proxy")


def _is_encrypted(sendgrid: SendGridSettings) -> bool:
    return any(address.startswith("https:") for address in (sendgrid.base_url, sendgrid.proxy or ""))


def _useless(environment: Mapping[str, str], inputs: Inputs) -> Iterator[str]:
    if file := environment.get("SSL_CERT_FILE"):
        try:
            read_authorities(Path(file), inputs)
        except ValueError as exc:
            yield f"SSL_CERT_FILE: {shown_path(Path(file))} {exc}; correct it, or set sendgrid.ca_file"
    if folders := environment.get("SSL_CERT_DIR"):
        missing = [folder for folder in folders.split(os.pathsep) if not Path(folder).is_dir()]
        if missing:
            names = ", ".join(shown_path(Path(folder)) for folder in missing)
            yield f"SSL_CERT_DIR: {names} is no directory; correct it, or set sendgrid.ca_file"


def _unread(environment: Mapping[str, str], names: tuple[str, ...], advice: str) -> Iterator[str]:
    found = [name for name in names if environment.get(name)]
    if found:
        yield f"{', '.join(found)}: set, but not read here; set {advice}"


def _bypassed(environment: Mapping[str, str], url: str) -> bool:
    """Return whether the variables themselves leave the host out: by its name, by a domain above it, or by `*`."""
    exceptions = next((environment[name] for name in _EXCEPTIONS if environment.get(name)), "")
    names = {name.strip().lstrip(".").lower() for name in exceptions.split(",")} - {""}
    host = urlsplit(url).hostname or ""
    return "*" in names or any(f".{host}".endswith(f".{name}") for name in names)
