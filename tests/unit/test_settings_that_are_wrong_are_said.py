"""What is wrong with `.env`, the runtime's address or its key is put right or said in one sentence; never the sandbox in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from arbiter_app.settings import Settings, SettingsError, load_settings


def loaded(path: Path) -> Settings:
    return load_settings({}, env_file=path)


@pytest.mark.parametrize(
    ("data", "line", "why"),
    [
        (b"GATEWAY_API_KEY: sk-secret\n", 1, "NAME=value, not NAME: value"),
        (b"# fine\n\nARBITER_PORT=8001\nGATEWAY_API_KEY: sk-secret\n", 4, "NAME=value, not NAME: value"),
        (b"ARBITER_PORT=8001\nGATEWAY_API_KEY='sk-secret\n", 2, "quote is not closed"),
        (b'GATEWAY_API_KEY="sk-secret\nARBITER_PORT=8001\n', 1, "quote is not closed"),
        (b"GATEWAY_API_KEY\n", 1, "has no value"),
        (b"ARBITER_PORT=8001\n$env:GATEWAY_API_KEY='sk-secret'\n", 2, "$env:GATEWAY_API_KEY is no name"),
        (b"GATEWAY_API_KEY+=sk-secret\n", 1, "is no name"),
        (b"\xe2\x80\x8bGATEWAY_API_KEY=sk-secret\n", 1, "is no name"),
        (b"ARBITER_PORT=8001\nGATEWAY_API_KEY=caf\xe9\n", 2, "UTF-8"),
        ("GATEWAY_API_KEY=sk-secret\n".encode("utf-16-le"), 1, "NUL"),
        (b"ARBITER_PORT=8001\nGATEWAY_API_KEY=sk\x00secret\n", 2, "NUL"),
    ],
)
def test_what_no_line_can_be_is_said_with_file_and_line(tmp_path: Path, data: bytes, line: int, why: str) -> None:
    path = tmp_path / ".env"
    path.write_bytes(data)
    with pytest.raises(SettingsError) as caught:
        loaded(path)
    told = str(caught.value)
    assert f"{path}, line {line}" in told and why in told and "secret" not in told and "\n" not in told


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_marked_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / ".env"
    path.write_text("# a comment\nexport GATEWAY_API_KEY='sk-x'\r\nARBITER_PORT = 8001 # mine\n", encoding)
    settings = loaded(path)
    assert not settings.sandbox and settings.port == 8001


def test_a_directory_a_huge_file_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="directory"):
        loaded(tmp_path)
    large = tmp_path / "large"
    large.write_bytes(b"#" * 1_000_001)
    with pytest.raises(SettingsError, match="larger"):
        loaded(large)
    assert loaded(tmp_path / "none").sandbox


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("http://localhost:4000/v1/", "http://localhost:4000/v1"),
        ("localhost:4000/v1", "http://localhost:4000/v1"),
        ("127.0.0.1:4000", "http://127.0.0.1:4000"),
        ("api.example.com/v1", "https://api.example.com/v1"),
        ("https://api.example.com/v1/chat/completions", "https://api.example.com/v1"),
        ("https://api.example.com/v1/models/", "https://api.example.com/v1"),
        ("https://api.example.com/v1/messages", "https://api.example.com/v1"),
        ("https://api.example.com/v1/responses", "https://api.example.com/v1"),
        ("https://api.example.com/v1?key=1#x", "https://api.example.com/v1"),
        (" 'https://api.example.com/v1' ", "https://api.example.com/v1"),
    ],
)
def test_the_address_that_is_meant_is_read_and_that_is_said(given: str, read: str) -> None:
    settings = load_settings({"BTL_BASE_URL": given, "GATEWAY_API_KEY": "k"}, env_file=None)
    assert settings.base_url == read and any(read in line for line in settings.repaired)


@pytest.mark.parametrize(
    "given",
    [
        *("ftp://host/v1", "https://", "http://a b/v1", "http://host:99999/v1", "http://host:x/v1"),
        *("http://a..b/v1", f"http://{'a' * 64}.example/v1", "http://" + "\u00fc" * 60 + ".example/v1"),
        *("http:/host/v1", "https//host/v1", "https:host/v1", "http://https://host/v1", "http://host\\v1"),
    ],
)
def test_what_is_no_address_is_said(given: str) -> None:
    with pytest.raises(SettingsError, match="BTL_BASE_URL"):
        load_settings({"BTL_BASE_URL": given}, env_file=None)


@pytest.mark.parametrize("given", [" sk-x ", "sk-x\n", '"sk-x"', "Bearer sk-x", "'sk-x'"])
def test_a_key_with_something_around_it_is_read(given: str) -> None:
    settings = load_settings({"GATEWAY_API_KEY": given}, env_file=None)
    assert settings.gateway_api_key is not None and settings.gateway_api_key.get_secret_value() == "sk-x"
    assert settings.repaired and "sk-x" not in " ".join(settings.repaired)


@pytest.mark.parametrize("given", ["sk x", "sk\nx", "sk-\u00e9", '""'])
def test_a_key_that_can_be_none_is_said_without_it(given: str) -> None:
    with pytest.raises(SettingsError, match="GATEWAY_API_KEY") as caught:
        load_settings({"GATEWAY_API_KEY": given}, env_file=None)
    assert given not in str(caught.value)


@pytest.mark.parametrize("around", ["{} ", " {}\r", "{}\n", '"{}"', "'{}' ", "\u00a0{}"])
def test_what_a_file_that_no_shell_reads_leaves_around_a_value_is_none_of_it(around: str) -> None:
    """Such as `docker run --env-file`, and lines that end with CRLF."""
    given = {
        "ARBITER_PORT": "8001",
        "ARBITER_SHADOW": "off",
        "ARBITER_HOST": "localhost",
        "ARBITER_API_KEYS": "a,b",
        "ARBITER_DB": "x y.db",
        "ARBITER_TIME_ZONE": "Europe/Berlin",
        "ARBITER_LOG_LEVEL": "WARNING",
        "ARBITER_EPSILON": "0.2",
        "ARBITER_ALLOWED_HOSTS": "a.example,b.example",
    }
    bare = load_settings(given, env_file=None)
    told = load_settings({name: around.format(value) for name, value in given.items()}, env_file=None)
    assert told == bare.model_copy(update={"environment": told.environment})
    assert (bare.log_level, bare.db, bare.api_keys) == ("warning", "x y.db", ("a", "b"))


@pytest.mark.parametrize(
    "key", ["a b", "a\nb", "a\x01b", "\u043a\u043b\u044e\u0447", "a\u200bb", "\u201cabc\u201d", "a" * 513]
)
def test_an_operator_key_that_nobody_could_send_is_said_without_it(key: str) -> None:
    with pytest.raises(SettingsError, match=r"^ARBITER_API_KEYS.*visible ASCII") as caught:
        load_settings({"ARBITER_API_KEYS": f"good,{key}"}, env_file=None)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "host", "url"),
    [
        ("[::1]", "::1", "http://[::1]:8000"),
        ("::", "::", "http://[::1]:8000"),
        ("0.0.0.0", "0.0.0.0", "http://127.0.0.1:8000"),
        ("fe80::1%eth0", "fe80::1%eth0", "http://[fe80::1%eth0]:8000"),
        ("router.local", "router.local", "http://router.local:8000"),
    ],
)
def test_an_address_to_listen_on_and_where_it_is_reached(given: str, host: str, url: str) -> None:
    settings = load_settings({"ARBITER_HOST": given}, env_file=None)
    assert (settings.host, settings.own_url) == (host, url)
    assert settings.url_at(9) == url.rpartition(":")[0] + ":9"


@pytest.mark.parametrize("given", ["*", "a b", "http://127.0.0.1", "127.0.0.1:9000", "[localhost]", "host/x"])
def test_what_cannot_be_listened_on_is_said(given: str) -> None:
    with pytest.raises(SettingsError, match=r"^ARBITER_HOST: .* is no address to listen on"):
        load_settings({"ARBITER_HOST": given}, env_file=None)


@pytest.mark.parametrize(
    "name", ["ARBITER_LIMIT_6H", "ARBITER_KEEP_DECISIONS", "ARBITER_MAX_CONNECTIONS", "REQUEST_TIMEOUT"]
)
def test_no_number_is_beyond_what_a_database_holds(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: "):
        load_settings({name: "9" * 19}, env_file=None)


def test_an_address_without_a_key_is_no_silent_sandbox() -> None:
    settings = load_settings({"BTL_BASE_URL": "http://localhost:11434/v1"}, env_file=None)
    assert settings.sandbox and any("GATEWAY_API_KEY is not" in line for line in settings.repaired)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("a,b", ("a", "b")),
        (" a , ,b, ", ("a", "b")),
        ('["a", "b"]', ("a", "b")),
        (' ["a"," b ",""]', ("a", "b")),
        ("[]", ()),
        ("[ab]*,!*preview*", ("[ab]*", "!*preview*")),
    ],
)
def test_lists_are_read_with_commas_and_as_json(given: str, read: tuple[str, ...]) -> None:
    assert load_settings({"ARBITER_JOIN": given}, env_file=None).join == read
    if "!" not in given:  # what no host is called
        assert load_settings({"ARBITER_ALLOWED_HOSTS": given}, env_file=None).allowed_hosts == read


@pytest.mark.parametrize("given", ['["a", "b"', '"a","b"', "[1, 2]", '["a", null]', '[["a"]]', '["a"],b'])
def test_what_is_no_list_of_names_is_said(given: str) -> None:
    with pytest.raises(SettingsError, match="ARBITER_API_KEYS: .*like one,another") as caught:
        load_settings({"ARBITER_API_KEYS": given}, env_file=None)
    assert given not in str(caught.value)


def test_the_environment_wins_also_where_it_is_empty_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("ARBITER_PORT=8001\nARBITER_HOST=0.0.0.0\nARBITER_EPSILON=0.2\nrouting=x\nNOT_OURS=x\n")
    settings = load_settings({"ARBITER_PORT": "8002", "ARBITER_HOST": "", "sources": "x", "ARBITER_CAUTION": "1"}, path)
    assert (settings.port, settings.host) == (8002, "127.0.0.1")
    assert (settings.routing.epsilon, settings.routing.caution) == (0.2, 1.0)
    assert settings.sources == {
        "ARBITER_PORT": "environment",
        "ARBITER_CAUTION": "environment",
        "ARBITER_EPSILON": ".env",
    }


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"ARBITER_EPSILON": "much"}, "ARBITER_EPSILON: 'much' is not a number"),
        ({"ARBITER_EPSILON": "2"}, "epsilon is a share between 0 and 1, not 2.0"),
        ({"ARBITER_MIN_SAMPLES": "x"}, "ARBITER_MIN_SAMPLES: 'x' is not a number"),
        (
            {"ARBITER_EPSILN": "1", "ARBITER_A": "1", "arbiter_port": "1"},
            "unknown settings: ARBITER_A, ARBITER_EPSILN, arbiter_port; see .env.example for the list",
        ),
        ({"BTL_BASE_URL": "ftp://x"}, "BTL_BASE_URL: 'ftp://x' is no address; write it like https://host/v1"),
    ],
)
def test_what_is_wrong_is_one_sentence(given: dict[str, str], why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(given, env_file=None)
    assert str(caught.value) == why


def test_values_stand_in_for_others_as_in_a_shell(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("HOST=example.com\nBTL_BASE_URL=https://${HOST}/v1\nGATEWAY_API_KEY=k\n")
    assert loaded(path).base_url == "https://example.com/v1"


@pytest.mark.parametrize(
    "name", ["REQUEST_TIMEOUT", "ARBITER_DRAIN_S", "ARBITER_CATALOG_REFRESH_S", "ARBITER_QUARANTINE_S"]
)
@pytest.mark.parametrize("value", ["inf", "1e999", "nan"])
def test_no_setting_is_without_end(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings({name: value}, env_file=None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ARBITER_ALLOWED_HOSTS", "https://router.example.com"),
        ("ARBITER_ALLOWED_HOSTS", "router.example.com:8443"),
        ("ARBITER_ALLOWED_HOSTS", "router.example.com/arbiter"),
        ("ARBITER_TRUSTED_PROXIES", "nginx"),
        ("ARBITER_TRUSTED_PROXIES", "10.0.0.5:80"),
    ],
)
def test_a_host_or_proxy_that_no_request_could_come_by_is_said(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings({name: value}, env_file=None)


@pytest.mark.parametrize("name", ["EMBEDDINGS_API_URL", "ARBITER_OIDC_ISSUER", "OTEL_EXPORTER_OTLP_ENDPOINT"])
@pytest.mark.parametrize(
    "value", ["x", "localhost:8080", "ftp://host/", "http://", "http://a b/", "http://h:x/", "https://h/\nx"]
)
def test_an_address_that_nothing_can_be_sent_to_is_said(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name}: .* is no address; write it like https://host/v1$"):
        load_settings({name: value}, env_file=None)


@pytest.mark.parametrize("proxies", ["", "*", "0.0.0.0/0", "::/0", "10.0.0.5,0.0.0.0/0"])
def test_everybody_may_not_say_who_signs_in(proxies: str) -> None:
    given = {"ARBITER_AUTH_HEADER": "x-email", "ARBITER_TRUSTED_PROXIES": proxies}
    with pytest.raises(SettingsError, match=r"^ARBITER_AUTH_HEADER: name the proxies"):
        load_settings(given, env_file=None)


def test_a_name_with_control_characters_is_none() -> None:
    with pytest.raises(SettingsError, match=r"^ARBITER_HOST_NAME: a name has no control characters$"):
        load_settings({"ARBITER_HOST_NAME": "a\tb"}, env_file=None)


def test_hosts_and_proxies_are_names_and_addresses() -> None:
    hosts = "router.example.com,*.example.com,127.0.0.1,::1,[::1],host_1"
    given = {"ARBITER_ALLOWED_HOSTS": hosts, "ARBITER_TRUSTED_PROXIES": "10.0.0.5,10.1.0.9/16,::1,*"}
    assert len(load_settings(given, env_file=None).allowed_hosts) == 6
