"""The guard against server-side request forgery: rules on addresses, and requests to real servers on loopback."""

import datetime
import ssl
import threading
from http.server import ThreadingHTTPServer
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from runwright_components.contract.outcome import Reason, StageError
from runwright_components.storage import http
from runwright_components.storage.http import Request, download
from runwright_components.storage.reach import Reach

CLUSTER = Reach(private=False)
METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "fe80::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "168.63.129.16",
    "100.100.100.200",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "::169.254.169.254",
]
PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "::1",
    "10.96.0.1",
    "172.20.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "fd12:3456::1",
    "fec0::1",
    "0.0.0.0",
    "::",
    "::ffff:10.96.0.1",
    "64:ff9b::a60:1",
    "2002:a60:1::",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "240.0.0.1",
    "192.0.2.1",
]
PUBLIC = ["93.184.215.14", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.0)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def refusal(reach, host, *resolved):
    return reach.refusal(host, ip_address(resolved[0] if resolved else host))


@pytest.mark.parametrize("address", METADATA)
def test_metadata_services_are_asked_nowhere(address):
    for reach in (Reach(), CLUSTER, Reach(private=False, allowed=("data.example.com",))):
        assert "link-local or a metadata service" in refusal(reach, "data.example.com", address)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_cluster_asks_public_addresses_alone(address):
    assert "is not a public address" in refusal(CLUSTER, "data.example.com", address)
    assert not refusal(Reach(), "data.example.com", address), "a person's own machine asks whom it likes"


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_asked(address):
    assert not refusal(CLUSTER, "data.example.com", address)


@pytest.mark.parametrize(
    ("allowed", "host", "address", "passes"),
    [
        ("10.20.0.0/16", "files.corp", "10.20.3.4", True),
        ("10.20.0.0/16", "files.corp", "10.21.3.4", False),
        ("10.20.0.0/16", "files.corp", "::ffff:10.20.3.4", True),
        ("10.20.3.4", "10.20.3.4", "10.20.3.4", True),
        ("fd12::/16", "files.corp", "fd12::7", True),
        ("files.corp", "files.corp", "10.20.3.4", True),
        ("FILES.corp", "files.corp", "10.20.3.4", True),
        ("files.corp", "evil.files.corp", "10.20.3.4", False),
        ("*.corp", "a.files.corp", "10.20.3.4", True),
        ("*.corp", "corp", "10.20.3.4", False),
        ("*.corp", "evilcorp", "10.20.3.4", False),
        ("169.254.169.254/32", "files.corp", "169.254.169.254", True),
        ("0.0.0.0/0", "files.corp", "fd12::7", False),
    ],
)
def test_what_the_administrator_allows(allowed, host, address, passes):
    assert (not refusal(Reach(private=False, allowed=(allowed,)), host, address)) is passes


@pytest.mark.parametrize("host", ["metadata.google.internal", "METADATA.google.internal.", "metadata", "instance-data"])
def test_names_of_metadata_services_are_not_even_looked_up(host):
    def nobody(_host, _port):
        raise AssertionError

    with pytest.raises(StageError) as caught:
        Reach(resolve=nobody).addresses(host, 80, where="x")
    assert caught.value.reason is Reason.SOURCE_DENIED


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.1", "0x7f000001", "2130706433", "0.0.0.0"])
def test_every_spelling_of_loopback_is_refused_in_a_cluster(tmp_path, web, host):
    web.serve("/a", b"secret")
    with pytest.raises(StageError) as caught:
        download(
            Request(f"http://{host}:{web.port}/a", reach=CLUSTER), tmp_path / "a", on_bytes=lambda _size, _total: None
        )
    assert caught.value.reason is Reason.SOURCE_DENIED
    assert "is not a public address and is not asked for data" in caught.value.message
    assert "run.sources.allowed" in caught.value.cure
    assert not web.seen


def get(tmp_path, url, reach):
    target = tmp_path / "content"
    download(Request(url, timeout=5.0, reach=reach), target, on_bytes=lambda _size, _total: None)
    return target.read_bytes()


def denied(tmp_path, url, reach):
    with pytest.raises(StageError) as caught:
        get(tmp_path, url, reach)
    assert caught.value.reason is Reason.SOURCE_DENIED
    return caught.value


def test_a_redirect_is_checked_like_the_first_address(tmp_path, web, other_web):
    """The first host is allowed, the second, another name of the same address, is not."""
    names = Reach(private=False, allowed=("data.example.com",), resolve=lambda _host, _port: ["127.0.0.1"])
    inner = other_web.serve("/a", b"secret").replace("127.0.0.1", "inner.example.com")
    web.redirect("/a", inner)
    error = denied(tmp_path, f"http://data.example.com:{web.port}/a", names)
    assert "inner.example.com, at 127.0.0.1," in error.message
    assert len(web.seen) == 1
    assert not other_web.seen


def test_a_redirect_to_a_metadata_service_is_refused_on_a_persons_machine_too(tmp_path, web):
    for location in ("http://169.254.169.254/latest/meta-data/", "http://metadata.google.internal/computeMetadata/v1/"):
        assert "metadata service" in denied(tmp_path, web.redirect("/a", location), Reach()).message


def test_the_connection_goes_to_the_address_that_was_checked(tmp_path, web):
    """A name that stands for a harmless address when it is checked and for another when it is asked again."""
    asked = []

    def rebinding(host, _port):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    web.serve("/a", b"content")
    assert get(tmp_path, f"http://data.example.com:{web.port}/a", Reach(resolve=rebinding)) == b"content"
    assert asked == ["data.example.com"]
    assert web.seen[0][2]["host"] == f"data.example.com:{web.port}"


def test_of_several_addresses_only_those_that_pass_are_connected_to(tmp_path, web):
    web.serve("/a", b"content")
    mixed = Reach(
        private=False, allowed=("127.0.0.1",), resolve=lambda _host, _port: ["10.0.0.1", "127.0.0.1", "169.254.169.254"]
    )
    assert mixed.addresses("data.example.com", 80, where="x") == ["127.0.0.1"]
    assert get(tmp_path, f"http://data.example.com:{web.port}/a", mixed) == b"content"


def test_the_next_address_is_tried_when_one_does_not_answer(tmp_path, web):
    web.serve("/a", b"content")
    two = Reach(resolve=lambda _host, _port: ["127.0.0.2", "127.0.0.1"])  # the server listens on 127.0.0.1 alone
    assert get(tmp_path, f"http://data.example.com:{web.port}/a", two) == b"content"


def test_a_name_that_nobody_knows(tmp_path):
    with pytest.raises(StageError) as caught:
        get(tmp_path, "http://no-such-host.invalid/a", Reach())
    assert caught.value.reason is Reason.SOURCE_UNAVAILABLE
    assert "no-such-host.invalid is not known" in caught.value.message


def test_a_proxy_is_asked_by_name_for_what_is_not_known_here(tmp_path, web, monkeypatch):
    """The proxy is a server that answers requests for whole addresses, as proxies do."""

    def unknown(_host, _port):
        raise OSError("no such name")

    monkeypatch.setenv("http_proxy", web.url)
    web.answers["http://far.example.com/a"] = web.status(200, b"content")
    assert get(tmp_path, "http://far.example.com/a", Reach(private=False, resolve=unknown)) == b"content"
    error = denied(tmp_path, "http://10.96.0.1/a", CLUSTER)
    assert "10.96.0.1 is not a public address" in error.message


# ---------------------------------------------------------------- TLS


@pytest.fixture
def tls(tmp_path, web, monkeypatch):
    """The server of `web` behind TLS, with a certificate for data.example.com that this process trusts; its port."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "data.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("data.example.com")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path / "tls"
    folder.mkdir()
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "cert.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), web.handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


AT_HOME = Reach(resolve=lambda _host, _port: ["127.0.0.1"])


def test_the_certificate_is_that_of_the_name_not_of_the_address(tmp_path, web, tls):
    web.serve("/a", b"content")
    assert get(tmp_path, f"https://data.example.com:{tls}/a", AT_HOME) == b"content"
    with pytest.raises(StageError) as caught:
        get(tmp_path, f"https://other.example.com:{tls}/a", AT_HOME)
    assert caught.value.reason is Reason.SOURCE_UNAVAILABLE
    assert "certificate" in caught.value.message


def test_a_redirect_from_https_to_http_is_refused(tmp_path, web, tls):
    plain = web.serve("/plain", b"content")
    web.redirect("/a", plain)
    assert (
        f"a redirect to {plain} is not followed"
        in denied(tmp_path, f"https://data.example.com:{tls}/a", AT_HOME).message
    )
    assert [path for _, path, _ in web.seen] == ["/a"]
