from __future__ import annotations

from pathlib import Path

from onecopy.nn.service.spot import spots


def test_each_folder_is_a_spot_and_a_file_is_none(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    assert [each.key for each in spots(tmp_path)] == ["a", "b"]


def test_there_are_no_spots_where_the_last_process_took_the_folder_with_it(tmp_path: Path) -> None:
    assert spots(tmp_path / "gone") == []
