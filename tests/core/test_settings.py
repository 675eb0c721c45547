"""Settings come from file and environment, and a wrong one is a sentence."""

from pathlib import Path

import pytest

from freshet.core.errors import SettingError
from freshet.core.settings import Settings, describe_settings, environment_of, load_settings


def test_defaults_need_nothing() -> None:
    """An empty environment is a valid one."""
    assert load_settings({}) == Settings()


def test_environment_wins_over_file_and_override_over_both(tmp_path: Path) -> None:
    """File, then environment, then what the caller names."""
    file = tmp_path / "freshet.toml"
    file.write_text('namespace = "filed"\npartitions = 3\ncandidates = 99\n')
    environ = {"FRESHET_CONFIG": str(file), "FRESHET_PARTITIONS": "5"}
    settings = load_settings(environ, candidates=100)
    assert (settings.namespace, settings.partitions, settings.candidates) == ("filed", 5, 100)


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"FRESHET_PARTITIONS": "many"}, "partitions is 'many'"),
        ({"FRESHET_VALUE_DWELL": "-0.1"}, "value_dwell is '-0.1'"),
        ({"FRESHET_VALUE_DWELL": "nan"}, "value_dwell is 'nan'"),
        ({"FRESHET_VALUE_CONVERSION": "inf"}, "value_conversion is 'inf'"),
        ({"FRESHET_PARTITIONS": "0"}, "partitions is '0', expected Expected `int` >= 1"),
        ({"FRESHET_NAMESPACE": "Ünfit"}, "namespace"),
        ({"FRESHET_REDIS_URL": "http://x"}, "redis_url"),
        ({"FRESHET_PARTITION": "4"}, "did you mean partitions"),
        ({"FRESHET_CONFIG": "/nowhere/at/all.toml"}, "readable TOML"),
    ],
)
def test_a_wrong_setting_is_a_sentence(environ: dict[str, str], sentence: str) -> None:
    """It says what was found and what was expected."""
    with pytest.raises(SettingError) as caught:
        load_settings(environ)
    assert sentence in str(caught.value)


def test_settings_travel_to_a_child_process() -> None:
    """What `environment_of` writes, `load_settings` reads back."""
    settings = Settings(namespace="other", partitions=3, hide_seen=False, diversity=0.5)
    assert load_settings(environment_of(settings)) == settings


def test_every_setting_says_what_it_means() -> None:
    """No setting without a sentence."""
    assert all(meaning for _, _, meaning in describe_settings())


SECRETS = {
    "redis_url": "rediss+cluster://me:s3cretPW@one:7000",
    "kafka_bootstrap": "me:s3cretPW@one:9092",
    "kafka_sasl_password": "s3cretPW",
    "kafka_ssl_key_password": "s3cretPW",
    "redis_ssl_key_password": "s3cretPW",
}


def test_settings_print_no_password() -> None:
    """As in a log or a failing test; what travels to a child holds them."""
    settings = Settings(**SECRETS)
    assert "s3cretPW" not in repr(settings)
    assert "s3cretPW" not in f"{settings}"
    assert "one:7000" in repr(settings)
    assert load_settings(environment_of(settings)) == settings


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FRESHET_REDIS_URL", "reddis://:s3cretPW@one"),
        ("FRESHET_REDIS_URL", ":s3cretPW@one:6379"),
        ("FRESHET_REDIS_URI", "redis://:s3cretPW@one"),
        ("FRESHET_REDIS_PASSWORD", "s3cretPW"),
        ("FRESHET_SASL", "s3cretPW"),
        ("FRESHET_PARTITIONS", "redis://:s3cretPW@one"),
    ],
)
def test_a_wrong_setting_shows_no_password(variable: str, value: str) -> None:
    """Nor what a name holds that is no setting."""
    with pytest.raises(SettingError) as caught:
        load_settings({variable: value})
    assert "s3cretPW" not in str(caught.value)
    assert "s3cretPW" not in repr(caught.value.found)
