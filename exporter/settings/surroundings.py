"""What the system's variables say of trust and proxies: which of them count, and a hint where one does not."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from exporter.authorities import LARGEST_BUNDLE, Authorities, parse_authorities
from exporter.inputs import Inputs
from exporter.settings.addresses import is_loopback
from exporter.settings.api_key import shown_path
from exporter.settings.groups import SendGridSettings

_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_EXCEPTIONS: Final = ("no_proxy", "NO_PROXY")


def read_authorities(path: Path, inputs: Inputs) -> Authorities:
    """Return the certificates of the file; raise ValueError, with a phrase that follows its name, where it has none."""
    try:
        content = inputs.read(path, LARGEST_BUNDLE).content
    except OSError as exc:
        raise ValueError(f"cannot be read ({exc.strerror or type(exc).__name__})") from None
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
    """Tell whether the variables themselves leave the host out: by its name, by a domain above it, or by `*`."""
    exceptions = next((environment[name] for name in _EXCEPTIONS if environment.get(name)), "")
    names = {name.strip().lstrip(".").lower() for name in exceptions.split(",")} - {""}
    host = urlsplit(url).hostname or ""
    return "*" in names or any(f".{host}".endswith(f".{name}") for name in names)
