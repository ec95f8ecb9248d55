"""`guest new`, `guest build` and `guest include`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from onecopy.guests.toolchain import SDK
from tests.cli.commands import refused, run

pytestmark = pytest.mark.usefixtures("compiler")


@pytest.mark.parametrize(
    ("options", "functions"),
    [((), ["init_prompt", "mid_process"]), (("--plugin",), ["sum", "scale"])],
)
def test_a_new_guest_can_be_built_as_it_is(
    options: tuple[str, ...], functions: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "my-guest"
    run("guest", "new", folder, *options)
    result = run("guest", "build", folder / "my-guest.c")
    assert result.stderr == ""
    assert all(f"  {name}(" in result.stdout for name in functions)
    assert (folder / "my-guest.wasm").read_bytes().startswith(b"\0asm")


def test_a_new_guest_is_named_throughout(tmp_path: Path) -> None:
    folder = tmp_path / "speller"
    said = run("guest", "new", folder).stdout
    assert sorted(each.name for each in folder.iterdir()) == [
        "README.md", "config.json", "script.txt", "speller.c"]  # fmt: skip
    assert said.startswith(f"made {folder}: ")
    for file in folder.iterdir():
        assert "NAME" not in file.read_text()
        assert "speller" in file.read_text() or file.name in ("config.json", "script.txt")


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    assert "exists already" in refused("guest", "new", tmp_path / "x")
    assert list((tmp_path / "x").iterdir()) == []


@pytest.mark.parametrize("name", ["1st", "a b", "..", "a/.."])
def test_a_name_that_no_c_file_should_have_is_refused(name: str, tmp_path: Path) -> None:
    assert "is no name for a guest" in refused("guest", "new", tmp_path / name)


def test_what_is_built_goes_where_out_says(tmp_path: Path) -> None:
    source = tmp_path / "x.c"
    source.write_text('#include "onecopy.h"\nOC_EXPORT float half(int x) { return x * FACTOR; }')
    out = tmp_path / "y.wasm"
    said = run("guest", "build", source, "-o", out, "--", "-DFACTOR=0.5f", "-Wconversion").stdout
    assert said.startswith(f"wrote {out}: ")
    assert said.splitlines()[1:] == ["  half(i32) -> f32"]
    assert not (tmp_path / "x.wasm").exists()


def test_the_compiler_is_quoted(tmp_path: Path) -> None:
    source = tmp_path / "x.c"
    source.write_text("int f(void) { return 1 }")
    result = run("guest", "build", source, code=1)
    assert result.stderr.startswith(f"onecopy: {source} does not compile:")
    assert "expected ';' after return statement" in result.stderr
    assert "\n    1 | int f(void) { return 1 }\n" in result.stderr


def test_a_guest_without_functions_is_told_about_oc_export(tmp_path: Path) -> None:
    source = tmp_path / "x.c"
    source.write_text('#include "onecopy.h"\nint f(void) { return 1; }')
    assert "put OC_EXPORT before" in run("guest", "build", source).stderr


def test_include_prints_the_folder_of_the_header() -> None:
    folder = run("guest", "include").stdout.strip()
    assert Path(folder) == SDK
    assert (Path(folder) / "onecopy.h").is_file()


def test_the_documented_command_for_zig_builds_a_guest(tmp_path: Path) -> None:
    import ziglang

    zig = Path(ziglang.__file__).with_name("zig")
    source = tmp_path / "x.c"
    source.write_text('#include "onecopy.h"\nOC_EXPORT int f(void) { return 7; }')
    command = [zig, "cc", "--target=wasm32-freestanding", "-nostdlib", "-O2", "-msimd128"]
    command += ["-mno-bulk-memory", "-fvisibility=hidden", "-Wl,--no-entry", "-I", SDK, source]
    subprocess.run([*command, "-Wl,--export-dynamic", "-o", tmp_path / "x.wasm"], check=True)
    assert run("guest", "run", tmp_path / "x.wasm", "f").stdout == "7\n"
