"""The loader of queuecore/lua: headers, includes, and where an error came from."""

from pathlib import Path

import pytest

from queuecore.errors import ScriptError
from queuecore.wire import scripts


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "includes").mkdir()
    monkeypatch.setattr(scripts, "LUA", tmp_path)
    scripts.load.cache_clear()
    yield tmp_path
    scripts.load.cache_clear()


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        place = folder / (f"{name}.lua" if name.startswith("s") else f"includes/{name}.lua")
        place.write_text(text)


def test_header_and_digest(folder: Path) -> None:
    write(
        folder,
        script="-- Do it.\n--\n-- KEYS: wait, active\n-- ARGV: base, jobs... (2 each: id, and\n"
        '--   a name or ""), last\n-- Returns: 0\n-- Errors: none\n-- Follows: none\nreturn 0\n',
    )
    script = scripts.load("script")
    assert script.keys == ("wait", "active")
    assert script.argv == ("base", "jobs...", "last")
    assert script.source.decode().strip() == "return 0"
    # Redis' own SHA1 of the text.
    assert len(script.sha) == 40


def test_an_include_comes_once_and_before_what_needs_it(folder: Path) -> None:
    write(
        folder,
        script='--- @include "includes/a"\n--- @include "includes/b"\nreturn a() + b()',
        a='--- @include "includes/b"\nlocal function a() return b() end',
        b="local function b() return 1 end",
    )
    lines = [line for line in scripts.load("script").source.decode().splitlines() if line]
    assert lines == [
        "local function b() return 1 end",
        "local function a() return b() end",
        "return a() + b()",
    ]


def test_an_error_names_the_file_and_line_it_came_from(folder: Path) -> None:
    write(folder, script='--- @include "includes/a"\nreturn a()', a="-- Words.\nlocal x\nboom()")
    script = scripts.load("script")
    assert script.origin == (
        ("includes/a", 1),
        ("includes/a", 2),
        ("includes/a", 3),
        ("script", 2),
    )
    told = script.explain("ERR user_script:3: boom, user_script:4: in main, user_script:99")
    assert told == "ERR includes/a.lua:3: boom, script.lua:2: in main, user_script:99"


def test_a_circle_and_a_missing_file_are_named(folder: Path) -> None:
    write(
        folder,
        script='--- @include "includes/a"',
        a='--- @include "includes/b"',
        b='--- @include "includes/a"',
        sad='--- @include "includes/nowhere"',
    )
    with pytest.raises(ScriptError, match="circle: script -> includes/a -> includes/b -> inc"):
        scripts.load("script")
    with pytest.raises(ScriptError, match=r"no includes/nowhere.lua .* \(included by sad.lua\)"):
        scripts.load("sad")
    with pytest.raises(ScriptError, match=r"no other\.lua in queuecore/lua"):
        scripts.load("other")


@pytest.mark.parametrize("name", scripts.names())
def test_no_script_asks_for_the_time(name: str) -> None:
    source = scripts.load(name).source.decode()
    assert "'TIME'" not in source


@pytest.mark.parametrize("file", sorted((scripts.LUA / "includes").glob("*.lua")), ids=str)
def test_an_include_is_one_function_of_its_file_s_name(file: Path) -> None:
    text = file.read_text()
    assert text.count("\nlocal function ") + text.startswith("local function ") == 1
    assert f"local function {file.stem}(" in text


def test_printing_a_script_tells_each_line_s_origin(capsys: pytest.CaptureFixture[str]) -> None:
    scripts.main("promote")
    out = capsys.readouterr().out
    assert "includes/get_target.lua:" in out
    assert "promote.lua:" in out
