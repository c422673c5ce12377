"""Access keys and their file."""

import stat

import pytest

from devhost import Keys
from devhost.keys import Level


def test_made_once_and_kept(tmp_path):
    """The first start draws keys into a file that only the owner can read, the second finds the same ones."""
    path = tmp_path / "data" / "keys.json"

    first = Keys.open(path)
    second = Keys.open(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first == second
    assert len({first.master, first.host["default"], first.system["eventgrid_extension"]}) == 3
    assert len(first.master) > 40
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.json"]


def test_open_file_is_closed_to_others(tmp_path):
    """A key file that others could read is made private again."""
    path = tmp_path / "keys.json"
    Keys.fresh(path).save()
    path.chmod(0o644)

    Keys.open(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_function_keys_are_drawn_on_request(tmp_path):
    """A function's key is drawn when first asked for, and kept."""
    path = tmp_path / "keys.json"
    keys = Keys.open(path)

    drawn = keys.of_function("send")

    assert keys.of_function("send") == drawn
    assert keys.of_function("send", "partner") != drawn
    assert Keys.open(path).of_function("send") == drawn
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"master": "x"}'])
def test_refuse_foreign_file(tmp_path, content):
    """A file that holds no keys is refused with the cure instead of being overwritten."""
    path = tmp_path / "keys.json"
    path.write_text(content)

    with pytest.raises(ValueError, match="delete it"):
        Keys.open(path)

    assert path.read_text() == content


@pytest.mark.parametrize(
    ("value", "function", "expected"),
    [
        ("the-master-key", None, (Level.MASTER, "master")),
        ("the-host-key", "other", (Level.HOST, "default")),
        ("the-echo-key", "echo", (Level.FUNCTION, "default")),
        ("the-echo-key", "other", None),
        ("the-echo-key", None, None),
        ("the-event-grid-key", None, (Level.SYSTEM, "eventgrid_extension")),
        ("THE-MASTER-KEY", None, None),
        ("the-master-key ", None, None),
        ("é", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_level(keys, value, function, expected):
    """A key stands for what it was given for, and only when it is exactly the same."""
    assert keys.level(value, function) == expected
