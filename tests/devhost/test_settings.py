"""host.json and local.settings.json."""

import json
import os

import pytest

from devhost.settings import HostSettings, SettingsError, read_host_json, read_local_settings, resolve_names, time_span


def test_defaults_are_the_hosts():
    """An empty host.json means what Microsoft documents."""
    settings = HostSettings.parse({"version": "2.0"})

    assert settings.function_timeout == 1800
    assert settings.http.route_prefix == "api"
    assert settings.queues.batch_size == 16
    assert settings.queues.new_batch_threshold == 8 * os.cpu_count()
    assert settings.queues.max_dequeue_count == 5
    assert settings.queues.visibility_timeout == 0
    assert settings.queues.max_polling_interval == 60
    assert settings.queues.base64 is True


def test_values_are_read():
    """Every value that the dev host acts upon arrives in its own unit."""
    settings = HostSettings.parse(
        {
            "version": "2.0",
            "functionTimeout": "00:05:00",
            "extensions": {
                "http": {"routePrefix": "/v1/", "maxOutstandingRequests": 20, "maxConcurrentRequests": 10},
                "queues": {
                    "batchSize": 4,
                    "maxDequeueCount": 2,
                    "visibilityTimeout": "00:00:30",
                    "maxPollingInterval": "00:00:02.5",
                    "messageEncoding": "none",
                },
            },
        }
    )

    assert settings.function_timeout == 300
    assert settings.http.route_prefix == "v1"
    assert (settings.http.max_outstanding, settings.http.max_concurrent) == (20, 10)
    assert settings.queues.new_batch_threshold == 2 * os.cpu_count()
    assert settings.queues.max_dequeue_count == 2
    assert settings.queues.visibility_timeout == 30
    assert settings.queues.max_polling_interval == 2.5
    assert settings.queues.base64 is False


def test_no_timeout():
    """The host's -1 means no limit."""
    assert HostSettings.parse({"version": "2.0", "functionTimeout": "-1"}).function_timeout is None


def test_app_settings_override():
    """AzureFunctionsJobHost__ settings replace values of host.json, texts read as numbers where one is due."""
    settings = HostSettings.parse(
        {"version": "2.0", "extensions": {"queues": {"batchSize": 4}}},
        {
            "AzureFunctionsJobHost__extensions__queues__batchSize": "8",
            "AzureFunctionsJobHost__extensions__http__routePrefix": "",
            "Other": "x",
        },
    )

    assert settings.queues.batch_size == 8
    assert settings.http.route_prefix == ""


@pytest.mark.parametrize(
    ("queues", "word"),
    [
        ({"batchSize": 33}, "batchSize"),
        ({"batchSize": 0}, "batchSize"),
        ({"batchSize": True}, "batchSize"),
        ({"newBatchThreshold": -1}, "newBatchThreshold"),
        ({"maxDequeueCount": 0}, "maxDequeueCount"),
        ({"maxDequeueCount": "five"}, "maxDequeueCount"),
        ({"visibilityTimeout": 30}, "visibilityTimeout"),
        ({"visibilityTimeout": "24:00:00"}, "d.hh:mm:ss"),
        ({"maxPollingInterval": "00:00:00.05"}, "maxPollingInterval"),
        ({"messageEncoding": "base32"}, "messageEncoding"),
    ],
)
def test_refuse_queue_values(queues, word):
    """A value that the host refuses is refused by name."""
    with pytest.raises(SettingsError) as caught:
        HostSettings.parse({"version": "2.0", "extensions": {"queues": queues}})
    assert word in str(caught.value)


@pytest.mark.parametrize(
    ("host_json", "word"),
    [
        ({}, "version"),
        ({"version": "2.0", "functionTimeout": "5 minutes"}, "functionTimeout"),
        ({"version": "2.0", "extensions": []}, "extensions"),
        ({"version": "2.0", "extensions": {"http": {"routePrefix": 1}}}, "routePrefix"),
    ],
)
def test_refuse_host_json(host_json, word):
    """A host.json of the wrong shape is refused by name."""
    with pytest.raises(SettingsError) as caught:
        HostSettings.parse(host_json)
    assert word in str(caught.value)


def test_refuse_override_below_a_value():
    """An override cannot reach below something that is no object."""
    with pytest.raises(SettingsError) as caught:
        HostSettings.parse({"version": "2.0"}, {"AzureFunctionsJobHost__version__x": "1"})
    assert "AzureFunctionsJobHost__version__x" in str(caught.value)


def test_files(tmp_path):
    """Values, the port and host.json come from their files, with or without a byte order mark."""
    (tmp_path / "host.json").write_text('\ufeff{"version": "2.0"}')
    local = tmp_path / "local.settings.json"
    local.write_text(json.dumps({"IsEncrypted": False, "Values": {"A": "1"}, "Host": {"LocalHttpPort": 7072}}))

    assert read_host_json(tmp_path) == {"version": "2.0"}
    assert read_local_settings(local) == ({"A": "1"}, 7072)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("{", "not JSON"),
        ("[]", "JSON object"),
        ('{"IsEncrypted": true}', "decrypt"),
        ('{"Values": {"A": 1}}', "Values.A"),
        ('{"Values": []}', "Values"),
        ('{"Host": {"LocalHttpPort": "x"}}', "LocalHttpPort"),
    ],
)
def test_refuse_local_settings(tmp_path, content, word):
    """A settings file that Core Tools could not use is refused with the place to mend."""
    path = tmp_path / "local.settings.json"
    path.write_text(content)

    with pytest.raises(SettingsError) as caught:
        read_local_settings(path)

    assert word in str(caught.value)


def test_missing_files(tmp_path):
    """A missing file is named."""
    with pytest.raises(SettingsError, match=r"host\.json"):
        read_host_json(tmp_path)
    with pytest.raises(SettingsError, match=r"other\.json"):
        read_local_settings(tmp_path / "other.json")


def test_resolve_names():
    """Each %NAME% is replaced, and one that names nothing is refused with where it stands."""
    assert resolve_names("a-%X%-%Y%", {"X": "1", "Y": "2"}, "f queueName") == "a-1-2"
    assert resolve_names("plain", {}, "f queueName") == "plain"
    with pytest.raises(SettingsError, match="f queueName: %Z%"):
        resolve_names("%Z%", {}, "f queueName")


def test_time_span_with_days():
    """Days stand before a dot, fractions after one."""
    assert time_span("1.02:03:04.5", "x") == 93784.5
