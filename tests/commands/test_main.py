"""The door: every verb is there, help is quick, errors are sentences."""

import importlib.util
import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from freshet.commands import main
from freshet.core.errors import ServiceError, SettingError

HEAVY = ("torch", "onnxruntime", "hnswlib", "faust", "litestar", "confluent_kafka", "numpy")


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_verb_is_there_and_its_help_teaches(verb: str) -> None:
    """It has an example and says what its options are."""
    command = main.cli.get_command(click.Context(main.cli), verb)
    assert command is not None
    shown = CliRunner().invoke(main.cli, [verb, "--help"])
    assert shown.exit_code == 0
    assert "xample" in shown.output
    undescribed = [p.name for p in command.params if not getattr(p, "help", "an argument")]
    assert undescribed == []


def test_every_module_of_a_verb_is_listed() -> None:
    """A verb in the table has a module, and nothing else answers."""
    for verb in main.VERBS:
        assert importlib.util.find_spec(f"freshet.commands.{verb}") is not None
    assert CliRunner().invoke(main.cli, ["nonsense"]).exit_code == 2


def test_help_imports_nothing_heavy() -> None:
    """`freshet --help` is quick because verbs are imported when they run."""
    program = (
        "import sys; from freshet.commands.main import cli;"
        "cli.main(['--help'], standalone_mode=False);"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert "demo" in done.stdout


def test_the_threads_of_numpy_are_limited_before_it_is_loaded() -> None:
    """By the entry point and not by an import; a value that is set already stays."""
    program = (
        "import os, sys; from freshet.commands import main; before = dict(os.environ);"
        "main.cli.main = lambda *_, **__: print("
        "    os.environ['OPENBLAS_NUM_THREADS'], 'numpy' in sys.modules);"
        "assert 'numpy' not in sys.modules; main.main([]);"
        "print(before.get('OPENBLAS_NUM_THREADS'))"
    )
    plain = {name: value for name, value in os.environ.items() if "OPENBLAS" not in name}
    for environment, expected in (
        (plain, "1 False\nNone\n"),
        (plain | {"OPENBLAS_NUM_THREADS": "2"}, "2 False\n2\n"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout == expected


@pytest.mark.parametrize(
    ("error", "code"),
    [(ServiceError("kafka", "is away"), 1), (SettingError("x", 1, "2"), 2)],
)
def test_an_error_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys, error: Exception, code: int
) -> None:
    """On standard error, without a traceback."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(main.cli, "main", fail)
    with pytest.raises(SystemExit) as ended:
        main.main([])
    assert ended.value.code == code
    assert capsys.readouterr().err == f"freshet: {error}\n"


def test_a_wrong_setting_stops_the_start_with_a_sentence(monkeypatch, capsys) -> None:
    """Named, with what was expected, by every verb that reads settings."""
    monkeypatch.setenv("FRESHET_PARTITIONS", "many")
    with pytest.raises(SystemExit) as ended:
        main.main(["doctor"])
    assert ended.value.code == 2
    assert "setting partitions is 'many'" in capsys.readouterr().err


def test_a_settings_file_reaches_the_verb(monkeypatch, tmp_path) -> None:
    """And the processes that it starts, through the environment."""
    monkeypatch.delenv("FRESHET_CONFIG", raising=False)
    file = tmp_path / "freshet.toml"
    file.write_text('namespace = "from-file"\n')
    shown = CliRunner().invoke(main.cli, ["--config", str(file), "doctor", "--settings"])
    assert "from-file" in shown.output
