"""Which links a prober may visit: rows of what mails hold, and of what somebody could put there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.probes import ALWAYS_EXCLUDED, ProbeRules

pytestmark = pytest.mark.unit

RULES = ProbeRules(ALWAYS_EXCLUDED)

VISITED = [
    "https://shop.example.com/",
    "http://shop.example.com",
    "HTTPS://Shop.Example.com/A%20b?utm_source=mail&a=1#top",
    "https://shop.example.com:8443/?a=1&amp;b=2",
    "https://bücher.example.com/größe?q=日本",
    "https://xn--bcher-kva.example.com./",
    "https://93.184.216.34/",
    "https://[2606:2800:220:1:248:1893:25c8:1946]/",
    "https://shop.example.com/a%7Bb",
    "https://shop.example.com/laptop-outlet",
]
FIELDS = [
    "https://shop.example.com/{{name}}",
    "https://shop.example.com/%7B%7Bname%7D%7D",
    "https://shop.example.com/%7b%7bname",
    "https://shop.example.com/%257B%257Bname%257D%257D",
    "https://shop.example.com/%25257B%25257Bname",
    "https://shop.example.com/&#123;&#x7b;name",
    "https://shop.example.com/#0123;#x7B;name",
    "https://shop.example.com/&lcub;&lbrace;name",
    "https://shop.example.com/%26%23123%3B%26lcub%3Bname",
    "https://shop.example.com/?q=name%7D%7d",
    "https://shop.example.com/%EF%BD%9B%EF%BD%9Bname",
    "https://shop.example.com/" + "%25" * 2 + "25" * 12 + "7B%7B",
    "https://{{host}}/",
    "https://shop.example.com/%3C%25asm_group_unsubscribe_raw_url%25%3E",
]
EFFECTS = [
    "https://shop.example.com/unsubscribe",
    "https://shop.example.com/Un-Subscribe?u=1",
    "https://shop.example.com/?go=%75nsubscribe",
    "https://shop.example.com/?go=%2575nsub",
    "https://shop.example.com/opt-out",
    "https://shop.example.com/opt_out",
    "https://shop.example.com/opt%20out",
    "https://shop.example.com/?optOut=1",
    "https://shop.example.com/email-preferences",
    "https://shop.example.com/confirm/123",
    "https://shop.example.com/double.opt.in",
    "https://shop.example.com/d%C3%A9sabonner",
    "https://shop.example.com/newsletter/abmelden",
    "https://u1.ct.sendgrid.net/ls/click?upn=1",
    "https://mail.example.com/asm/?user_id=1",
    "https://unsubscribe.example.com/",
]
SECRETS = [
    "https://user:secret@shop.example.com/",
    "https://user@shop.example.com/",
    "https://shop.example.com@evil.example.com/",
    "https://shop.example.com/?token=1",
    "https://shop.example.com/?a=1&reset_token=1",
    "https://shop.example.com/?a=1&amp;API-Key=1",
    "https://shop.example.com/?X-Amz-Signature=1",
    "https://shop.example.com/?%74oken=1",
    "https://shop.example.com/#access_token=1",
    "https://shop.example.com/?password=1",
    "https://shop.example.com/?sig=1",
]
PRIVATE = [
    "http://localhost/",
    "http://LOCALHOST:8080/",
    "http://a.localhost/",
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://0.0.0.0/",
    "http://224.0.0.1/",
    "http://[::1]/",
    "http://[::]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fd00::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://127\u30020\u30020\u30021/",
    "http://metadata.google.internal/",
    "http://router.local/",
    "http://exporter.monitoring.svc/",
    "http://exporter.svc.cluster.local./",
    "http://printer.home.arpa/",
    "http://intranet/",
]
NO_ADDRESS = [
    "",
    "mailto:a@example.com",
    "ftp://shop.example.com/",
    "javascript:alert(1)",
    "//shop.example.com/",
    "shop.example.com",
    "https://",
    "https:///path",
    "https://shop.example.com:0/",
    "https://shop.example.com:99999/",
    "https://shop.example.com:x/",
    "https://[::1/",
    "https://shop.example.com/a b",
    "https://shop.example.com/\n",
    "https://shop.example.com/\x00",
    "https://shop.example.com/\u202e",
    "https://sh\u00adop.example.com/",
    "https://shop.example.com\\@evil.example.com/",
    "https://shop.example.com/\ud800",
    "https://shop.example.com/" + "a" * 2048,
    "https://a..example.com/",
    "https://%6cocalhost/",
    "__other__",
]


@pytest.mark.parametrize("url", VISITED)
def test_link_to_a_public_page_may_be_visited(url: str) -> None:
    assert RULES.admits(url)


@pytest.mark.parametrize("url", [*FIELDS, *EFFECTS, *SECRETS, *PRIVATE, *NO_ADDRESS])
def test_link_with_a_field_an_effect_a_secret_or_a_private_host_is_left_out(url: str) -> None:
    assert not RULES.admits(url)


@pytest.mark.parametrize("url", [url for url in PRIVATE if "%25" not in url])
def test_private_addresses_may_be_allowed_and_nothing_else_is_with_them(url: str) -> None:
    rules = ProbeRules(ALWAYS_EXCLUDED, private_addresses=True)

    assert rules.admits(url)
    assert not rules.admits(f"{url}?token=1")
    assert not rules.admits(f"{url}unsubscribe")


@pytest.mark.parametrize(
    ("pattern", "url", "excluded"),
    [
        ("/checkout", "https://shop.example.com/Check-Out", True),
        ("/checkout", "https://shop.example.com/basket", False),
        ("shop*/a/*b", "https://shop.example.com/x/a/c/b", True),
        ("shop*/a/*b", "https://shop.example.com/b/a/", False),
        ("*", "https://shop.example.com/", True),
        ("größe", "https://shop.example.com/gr%C3%B6sse", True),
    ],
)
def test_own_pattern_stands_anywhere_in_the_address(pattern: str, url: str, *, excluded: bool) -> None:
    assert ProbeRules([pattern]).admits(url) is not excluded


@given(st.text(max_size=300))
def test_no_text_is_an_error(text: str) -> None:
    RULES.admits(text)
    RULES.admits(f"https://shop.example.com/{text}")
    RULES.admits(f"https://{text}")
