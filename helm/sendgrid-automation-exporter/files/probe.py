"""Ask the exporter for a page: exit 0 when it answers as it should, else 1 with a sentence.

A server that requires client certificates answers nobody without one: --handshake only checks that its side of
the TLS handshake comes, so that the process lives and takes connections.
"""

import argparse
import http.client
import pathlib
import ssl
import sys
import urllib.parse

TIMEOUT = 4


def main(arguments: list[str]) -> int:
    """Return the exit code for these arguments."""
    parser = argparse.ArgumentParser(description="Ask the exporter for a page.")
    parser.add_argument("url")
    parser.add_argument("--certificates", type=pathlib.Path, help="folder with tls.crt and tls.key")
    parser.add_argument("--handshake", action="store_true", help="only see that TLS is answered")
    parser.add_argument("--metric", default="", help="a metric that the page must hold")
    options = parser.parse_args(arguments)
    try:
        return ask(options)
    except ssl.SSLError as error:
        if options.handshake and "ALERT" in (error.reason or ""):
            return finish(0, "answers, and asks for a client certificate")
        return finish(1, f"does not speak TLS as expected: {error.reason or error}")
    except (OSError, http.client.HTTPException) as error:
        return finish(1, f"does not answer: {error!r}")


def ask(options: argparse.Namespace) -> int:
    """Return the exit code that the server's answer deserves."""
    url = urllib.parse.urlsplit(options.url)
    connection = connect(url, options.certificates)
    connection.connect()
    if options.handshake:
        return finish(0, "answers the TLS handshake")
    connection.request("GET", url.path or "/")
    answer = connection.getresponse()
    body = answer.read().decode("utf-8", "replace")
    if options.metric and answer.status == http.client.UNAUTHORIZED:
        return finish(0, "answers, and asks for a password")
    if answer.status != http.client.OK:
        return finish(1, f"answers {answer.status}")
    if options.metric and f"\n{options.metric}" not in f"\n{body}":
        return finish(1, f"has no metric {options.metric}")
    return finish(0, "answers as it should")


def connect(url: urllib.parse.SplitResult, certificates: pathlib.Path | None) -> http.client.HTTPConnection:
    """Return a connection that is not opened yet."""
    if url.scheme != "https":
        return http.client.HTTPConnection(url.hostname or "", url.port, timeout=TIMEOUT)
    # The name in the certificate is the one that Prometheus scrapes, not localhost; nothing secret is sent.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificates is not None:
        context.load_cert_chain(certificates / "tls.crt", certificates / "tls.key")
    return http.client.HTTPSConnection(url.hostname or "", url.port, timeout=TIMEOUT, context=context)


def finish(code: int, sentence: str) -> int:
    """Say how it went and return the exit code."""
    sys.stdout.write(f"the exporter {sentence}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
