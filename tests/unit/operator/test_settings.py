"""Settings from the environment: every problem named with its variable and the cure."""

import subprocess
import sys

import pytest

from runwright_operator.settings import Settings, SettingsError, describe, read_settings, unknown_variables, variable


def problems(**environment: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        read_settings({f"RUNWRIGHT_{name}": value for name, value in environment.items()})
    return caught.value.problems


def test_nothing_needs_to_be_set_and_empty_is_not_set() -> None:
    assert read_settings({}) == read_settings({"RUNWRIGHT_WORKERS": "", "RUNWRIGHT_STORAGE_URI": " "})


def test_values_are_read() -> None:
    settings = read_settings(
        {
            "RUNWRIGHT_NAMESPACES": "a, b,a",
            "RUNWRIGHT_WORKERS": "4",
            "RUNWRIGHT_LEADER_ELECTION": "false",
            "RUNWRIGHT_STORAGE_URI": "s3://models/prefix/",
            "RUNWRIGHT_LOG_LEVEL": "DEBUG",
            "RUNWRIGHT_POD_NAMESPACE": "home",
        }
    )
    assert settings.namespaces == ("a", "b")
    assert settings.workers == 4
    assert settings.leader_election is False
    assert settings.storage_uri == "s3://models/prefix"
    assert settings.log_level == "debug"
    assert settings.lease_home == "home"


def test_all_problems_are_told_at_once_with_variable_and_cure() -> None:
    told = problems(WORKERS="many", LOG_LEVEL="loud", STORAGE_URI="models")
    assert [line.partition(":")[0] for line in told] == [
        "RUNWRIGHT_WORKERS",
        "RUNWRIGHT_LOG_LEVEL",
        "RUNWRIGHT_STORAGE_URI",
    ]
    assert "debug, info, warning or error" in told[1]
    assert "s3://bucket/prefix" in told[2]


def test_a_value_is_never_repeated_since_it_may_be_a_secret() -> None:
    told = "".join(problems(PIPELINES_ENDPOINT="http://user:hunter2@kfp", TRAIN_CPU="hunter2", WORKERS="hunter2"))
    assert "hunter2" not in told


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "1e9"])
def test_times_are_sensible(seconds: str) -> None:
    assert problems(RELIST_SECONDS=seconds)[0].startswith("RUNWRIGHT_RELIST_SECONDS")


def test_the_lease_is_given_up_before_another_may_take_it() -> None:
    assert "LEASE_RENEW_SECONDS" in problems(LEASE_RENEW_SECONDS="20")[0]


def test_a_slip_of_the_pen_is_noticed() -> None:
    assert unknown_variables({"RUNWRIGHT_WORKER": "3", "PATH": "x", "RUNWRIGHT_WORKERS": "3"}) == (
        "RUNWRIGHT_WORKER is no setting; did you mean RUNWRIGHT_WORKERS?",
    )


def test_every_setting_is_described() -> None:
    page = describe()
    for name, field in Settings.model_fields.items():
        assert variable(name) in page
        assert field.description


def program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runwright_operator", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={f"RUNWRIGHT_{name}": value for name, value in environment.items()} | {"HOME": "/nonexistent"},
        check=False,
    )


def test_help_prints_the_settings_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from runwright_operator.__main__ import main; main(['--help']);"
        "sys.exit(' '.join({'kopf', 'kubernetes', 'aiohttp', 'kfp_server_api', 'torch', 'kfp'}"
        " & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "RUNWRIGHT_WORKERS" in done.stdout
    assert done.stderr == ""


def test_wrong_settings_and_arguments_end_with_code_2() -> None:
    done = program("--check", WORKERS="x")
    assert (done.returncode, done.stderr.partition(":")[0]) == (2, "RUNWRIGHT_WORKERS")
    assert program("--chekc").returncode == 2


def test_what_sources_may_reach_is_hosts_domains_and_networks() -> None:
    given = "Data.example.com, *.corp.example.com 10.20.0.0/16,fd12::/16,10.1.2.3"
    read = read_settings({"RUNWRIGHT_SOURCES_ALLOWED": given}).sources_allowed
    assert read == ("data.example.com", "*.corp.example.com", "10.20.0.0/16", "fd12::/16", "10.1.2.3/32")


@pytest.mark.parametrize(
    "given", ["10.20.0.1/16", "10.0.0.0/33", "http://data.example.com", "data.example.com:80", "*"]
)
def test_what_is_no_host_and_no_network_is_refused(given: str) -> None:
    (told,) = problems(SOURCES_ALLOWED=given)
    assert told.startswith("RUNWRIGHT_SOURCES_ALLOWED")
