import pytest

from exporter.web.toolkit.tls import TLSSettings, admits

CERTIFICATE = {
    "subjectAltName": (("DNS", "a.example"), ("IP Address", "2001:DB8:0:0:0:0:0:1"), ("IP Address", "<invalid>"))
}


def settings(*sans):
    return TLSSettings("cert", "key", allowed_sans=frozenset(sans))


@pytest.mark.parametrize(
    ("allowed", "certificate", "expected"),
    [
        (("a.example",), CERTIFICATE, True),
        (("2001:db8::1",), CERTIFICATE, True),
        (("<invalid>",), CERTIFICATE, True),
        (("b.example",), CERTIFICATE, False),
        ((), CERTIFICATE, False),
        (("a.example",), {}, False),
        (("a.example",), None, False),
    ],
)
def test_client_comes_in_by_a_name_on_the_list(allowed, certificate, expected):
    assert admits(settings(*allowed), certificate) is expected


def test_without_a_list_every_client_comes_in():
    assert admits(TLSSettings("cert", "key"), None)
