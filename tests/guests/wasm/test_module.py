"""Which modules become guests, and the folder that keeps their native code."""

from __future__ import annotations

import hashlib
import os
import sys

import pytest
import wasmtime

from onecopy.errors import AccessDenied, InvalidModule
from onecopy.guests.instance.guest import Instance
from onecopy.guests.wasm import module as modules
from onecopy.guests.wasm.engine import engine
from onecopy.guests.wasm.module import compile_module, default_cache
from tests.processes import output_of

pytestmark = pytest.mark.usefixtures("cache")

MEMORY = '(memory (export "memory") 1)'
SMALL = f"(module {MEMORY})"


def refuse(wasm: bytes | str, text: str) -> None:
    with pytest.raises(InvalidModule, match=text):
        compile_module(wasm).load()


class TestCompiling:
    def test_bytes_and_paths_give_the_same_module(self, wat, tmp_path):
        wasm = wat(SMALL)
        path = tmp_path / "small.wasm"
        path.write_bytes(wasm)
        one, two, three = (compile_module(each) for each in (wasm, path, str(path)))
        assert one.digest == two.digest == three.digest == hashlib.sha256(wasm).hexdigest()
        assert one.native == two.native == three.native
        with Instance(one.load()) as guest:
            assert guest.functions() == []

    def test_a_module_that_was_met_before_is_only_read(self, wat, monkeypatch):
        wasm = wat(SMALL)
        native = compile_module(wasm).native
        monkeypatch.setattr(sys, "executable", "/nothing/to/compile/with")
        assert compile_module(wasm).native == native

    def test_other_settings_of_the_engine_compile_anew(self, wat, monkeypatch, cache):
        compile_module(wat(SMALL))
        monkeypatch.setitem(modules.SETTINGS, "max_wasm_stack", 1 << 19)
        compile_module(wat(SMALL))
        assert len(list(default_cache().iterdir())) == 2
        assert default_cache().is_relative_to(cache)


class TestHostileModules:
    """Modules that no host should take."""

    @pytest.mark.parametrize("wasm", [b"", b"\0as", b"\x7fELF" + bytes(100), b"(module)"])
    def test_what_is_not_wasm_is_refused(self, wasm):
        refuse(wasm, "no core WebAssembly module")

    def test_compiled_code_is_refused(self, wat):
        serialized = wasmtime.Module(engine(), wat(SMALL)).serialize()
        refuse(bytes(serialized), "not compiled code or components")

    def test_a_component_is_refused(self, wat):
        refuse(wat("(component)"), "not compiled code or components")

    def test_a_module_that_does_not_validate_is_refused(self, wat):
        refuse(wat(SMALL)[:-1], "cut short")
        refuse(wat(f"(module {MEMORY} (func (result i32)))"), "does not compile")
        refuse(modules.MAGIC + b"\x01\x05junk!", "does not compile")

    def test_wasi_is_refused_with_the_remedy(self, wat):
        text = '(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))'
        refuse(wat(f"{text} {MEMORY})"), "build it freestanding")

    def test_imports_that_no_guest_is_given_are_refused(self, wat):
        for each in ('"env" "abort" (func)', '"onecopy" "launch" (func)'):
            refuse(wat(f"(module (import {each}) {MEMORY})"), "docs/guest-abi.md")
        for each in ("(global i32)", "(memory 1)", "(table 1 funcref)"):
            export = '(export "memory" (memory 0))' if each == "(memory 1)" else MEMORY
            text = f'(module (import "onecopy" "log" {each}) {export})'
            refuse(wat(text), "guests get functions")

    def test_imports_with_another_signature_are_refused(self, wat):
        for each in ("(func)", "(func (param i32 i32))", "(func (param i32 i32 i64))"):
            text = f'(module (import "onecopy" "log" {each}) {MEMORY})'
            refuse(wat(text), "imports onecopy.log as")

    def test_the_engines_process_survives_vectors_in_a_signature(self, wat):
        # wasmtime's C API aborts the process that asks for such a type.
        exported = f'(module {MEMORY} (func (export "f") (param v128)))'
        imported = f'(module (import "onecopy" "log" (func (param v128))) {MEMORY})'
        result = f'(module {MEMORY} (func (export "f") (result v128) unreachable))'
        stored = f'(module {MEMORY} (global (export "g") v128 (v128.const i64x2 0 0)))'
        for each in (exported, imported, result, stored):
            refuse(wat(each), "v128")

    def test_vectors_inside_of_functions_are_fine(self, wat):
        text = f"""(module {MEMORY} (func $f (param v128) (result v128) (local.get 0))
            (func (export "f") (result i32)
              (i32x4.extract_lane 2 (call $f (v128.const i32x4 1 2 3 4)))))"""
        with Instance(compile_module(wat(text)).load()) as guest:
            assert guest.call("f") == 3

    def test_a_guest_has_exactly_one_memory(self, wat):
        refuse(wat("(module)"), "exports exactly one memory")
        refuse(wat("(module (memory 1))"), "exports exactly one memory")
        refuse(wat('(module (memory (export "ram") 1))'), "exports exactly one memory")
        refuse(wat('(module (memory (export "memory") 1) (memory 1))'), "does not compile")
        twice = '(module (memory (export "memory") (export "again") 1))'
        refuse(wat(twice), "exports exactly one memory")

    def test_large_and_shared_memories_are_refused(self, wat):
        refuse(wat('(module (memory (export "memory") i64 1))'), "does not compile")
        refuse(wat('(module (memory (export "memory") 1 2 shared))'), "does not compile")

    def test_a_file_that_is_too_large_is_refused_unread(self, tmp_path):
        path = tmp_path / "large.wasm"
        path.write_bytes(modules.MAGIC)
        os.truncate(path, modules.MAX_NBYTES + 1)
        refuse(str(path), "more than 64 MiB")

    def test_bytes_that_are_too_many_are_refused(self):
        refuse(modules.MAGIC + bytes(modules.MAX_NBYTES), "more than 64 MiB")

    def test_a_module_that_keeps_the_compiler_busy_is_given_up(self, wat, monkeypatch):
        monkeypatch.setattr(modules, "COMPILE_SECONDS", 0.001)
        refuse(wat(SMALL), "did not compile within 0.001 seconds")


class TestFolder:
    """Native code is run by workers: it is believed only where nobody else could have put it."""

    def test_it_is_made_for_this_user_alone(self, wat):
        compile_module(wat(SMALL))
        folder = default_cache()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert all(each.stat().st_mode & 0o777 == 0o600 for each in folder.iterdir())

    def test_a_folder_that_others_may_write_to_is_refused(self, wat):
        compile_module(wat(SMALL))
        default_cache().chmod(0o770)
        with pytest.raises(AccessDenied, match="XDG_CACHE_HOME"):
            compile_module(wat(SMALL))

    def test_a_folder_of_another_user_is_refused(self, wat, monkeypatch):
        compile_module(wat(SMALL))
        other = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: other)
        with pytest.raises(AccessDenied, match="others own it"):
            compile_module(wat(SMALL))

    def test_a_link_to_another_folder_is_refused(self, wat, tmp_path):
        (tmp_path / "elsewhere").mkdir()
        default_cache().parent.mkdir(parents=True)
        default_cache().symlink_to(tmp_path / "elsewhere")
        with pytest.raises(AccessDenied):
            compile_module(wat(SMALL))

    def test_a_file_that_others_may_write_to_is_refused(self, wat):
        compile_module(wat(SMALL))
        (path,) = default_cache().iterdir()
        path.chmod(0o666)
        with pytest.raises(AccessDenied):
            compile_module(wat(SMALL))

    def test_a_link_in_place_of_a_file_is_not_followed(self, wat, tmp_path):
        compile_module(wat(SMALL))
        (path,) = default_cache().iterdir()
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(AccessDenied, match="link"):
            compile_module(wat(SMALL))

    @pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
    def test_a_damaged_file_is_compiled_anew(self, wat, damage):
        native = compile_module(wat(SMALL)).native
        (path,) = default_cache().iterdir()
        whole = path.read_bytes()
        data = bytearray(path.read_bytes())
        if damage == "flipped":
            data[len(data) // 2] ^= 1
        path.write_bytes(data[: {"cut": len(data) // 2, "flipped": None, "empty": 0}[damage]])
        assert compile_module(wat(SMALL)).native == native
        assert path.read_bytes() == whole

    def test_nothing_is_left_beside_the_modules(self, wat):
        compile_module(wat(SMALL))
        with pytest.raises(InvalidModule):
            compile_module(modules.MAGIC + b"\x01\x05junk!")
        assert len(list(default_cache().iterdir())) == 1


def test_who_compiles_is_in_nobodys_way():
    code = """
import os
from onecopy.guests.wasm.compiler import stand_back
before = os.nice(0)
stand_back()
print(os.nice(0) > before, open("/proc/self/oom_score_adj").read().strip())
"""
    assert output_of(code) == "True 1000"
