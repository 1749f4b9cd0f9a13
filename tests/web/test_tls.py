import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from exporter.web.toolkit import WebConfigError
from exporter.web.toolkit.config_file import validate
from exporter.web.toolkit.tls import TLSSettings, admits

pytestmark = pytest.mark.unit

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


@pytest.fixture(scope="module")
def pair():
    return trustme.CA().issue_cert("localhost")


@pytest.fixture
def folder(tmp_path, pair):
    (tmp_path / "a.crt").write_bytes(pair.cert_chain_pems[0].bytes())
    (tmp_path / "a.key").write_bytes(pair.private_key_pem.bytes())
    return tmp_path


def check(folder, *lines):
    file = folder / "web.yml"
    text = ["tls_server_config:", "cert_file: a.crt", "key_file: a.key", *lines]
    file.write_text("\n  ".join(text), encoding="utf-8")
    return validate(file)


def test_good_pair_is_good(folder):
    assert check(folder) == ()


def test_key_of_another_certificate_is_reported(folder):
    other = trustme.CA().issue_cert("localhost")
    (folder / "a.key").write_bytes(other.private_key_pem.bytes())

    with pytest.raises(WebConfigError, match="they do not belong together"):
        check(folder)


@pytest.mark.parametrize("name", ["a.crt", "a.key"])
@pytest.mark.parametrize("content", ["", "nonsense", "\0"])
def test_file_without_pem_is_reported(folder, name, content):
    (folder / name).write_text(content, encoding="utf-8")

    with pytest.raises(WebConfigError, match="they are not valid PEM"):
        check(folder)


def test_inline_text_that_cannot_be_encoded_is_reported(folder):
    # libyaml refuses it, and PyYAML's own reader does not.
    with pytest.raises(WebConfigError, match=r"client_ca holds no certificate|not valid YAML"):
        check(folder, 'client_ca: "\\ud800"', "client_auth_type: VerifyClientCertIfGiven")


def test_encrypted_key_is_reported_and_asks_nobody_for_its_password(folder, pair):
    key = load_pem_private_key(pair.private_key_pem.bytes(), None)
    (folder / "a.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    )

    with pytest.raises(WebConfigError, match="an encrypted key cannot be read"):
        check(folder)


@pytest.mark.parametrize(
    "content", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "é"]
)
def test_client_ca_without_a_certificate_is_reported(folder, content):
    (folder / "ca.crt").write_text(content, encoding="utf-8")

    with pytest.raises(WebConfigError, match="client_ca holds no certificate"):
        check(folder, "client_ca_file: ca.crt", "client_auth_type: RequireAndVerifyClientCert")


@pytest.mark.parametrize("kind", ["VerifyClientCertIfGiven", "RequireAndVerifyClientCert"])
def test_without_a_client_ca_nobody_is_verified(folder, kind):
    with pytest.raises(WebConfigError, match=f"{kind} needs client_ca_file"):
        check(folder, f"client_auth_type: {kind}")


def test_folder_in_place_of_a_file_is_reported(folder):
    (folder / "ca").mkdir()

    with pytest.raises(WebConfigError, match=r"client_ca_file: cannot read .* \(Is a directory\); name a file in it"):
        check(folder, "client_ca_file: ca", "client_auth_type: RequireAndVerifyClientCert")
