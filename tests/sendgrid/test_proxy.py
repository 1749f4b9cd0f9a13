import base64

import pytest

from exporter.sendgrid.transport import proxy_authorization, proxy_secrets

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("proxy", "octets"),
    [
        ("http://user:password@proxy:3128", b"user:password"),
        ("http://user:p%40ss%3Aword@proxy", b"user:p@ss:word"),
        ("http://user:@proxy", b"user:"),
        ("http://user@proxy", b"user:"),
        ("http://user:p%C3%A4ss%E2%82%AC@proxy", "user:p\u00e4ss\u20ac".encode()),
        ("http://user:p%E4ss@proxy", b"user:p\xe4ss"),
        ("https://us%20er:%25@proxy", b"us er:%"),
    ],
)
def test_octets_of_the_url_are_sent_as_they_are(proxy, octets):
    assert proxy_authorization(proxy) == f"Basic {base64.b64encode(octets).decode()}"


def test_proxy_without_a_user_gets_no_credentials():
    assert proxy_authorization("http://proxy:3128") is None
    assert proxy_secrets("http://proxy:3128") == ()
    assert proxy_secrets("http://user@proxy:3128") == ()
    assert proxy_secrets(None) == ()


@pytest.mark.parametrize(
    "form",
    [
        "p%40ss%2fw%C3%B6rd",
        "p@ss/w\u00f6rd",
        "p@ss/w\u00c3\u00b6rd",
        "p%40ss/w%C3%B6rd",
        "p%40ss%2Fw%C3%B6rd",
        r"p@ss/w\u00f6rd",
        base64.b64encode("user:p@ss/w\u00f6rd".encode()).decode().rstrip("="),
        base64.b64encode("p@ss/w\u00f6rd".encode()).decode().rstrip("="),
    ],
)
def test_every_form_of_the_password_is_known(form):
    assert form in proxy_secrets("http://user:p%40ss%2fw%C3%B6rd@proxy:3128")


def test_longest_form_comes_first_so_that_no_shorter_one_leaves_a_part_of_it():
    secrets = proxy_secrets("http://user:pass%25pass@proxy:3128")

    assert list(secrets) == sorted(secrets, key=len, reverse=True)


def test_password_that_stands_anywhere_by_chance_is_left():
    assert "e" not in proxy_secrets("http://user:e@proxy:3128")
