"""Outputs are whole or not there: under exceptions, full disks, kills and competing processes."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype import _files
from aristotype._files import atomic_directory, atomic_path, output_lock, printable, refuse_overwrite
from aristotype.errors import OutputError

SRC = Path(_files.__file__).parents[1]
# A process id that no system gives out: above the highest limit of Linux (2^22), macOS and Windows.
DEAD_PID = 2**30


def run_python(code: str, *args: str) -> subprocess.Popen[str]:
    """Start a Python process that sees the package under test; its standard output is piped."""
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *args], stdout=subprocess.PIPE, text=True, env=environment
    )


def raise_no_space(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# ---- atomic_path


@settings(max_examples=30, deadline=None)
@given(old=st.none() | st.binary(max_size=20), new=st.binary(max_size=20), fails=st.booleans())
def test_a_file_is_the_new_one_or_the_old_one(tmp_path_factory, old, new, fails):
    folder = tmp_path_factory.mktemp("atomic")
    path = folder / "table.parquet"
    if old is not None:
        path.write_bytes(old)
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(new)
            assert not path.exists() if old is None else path.read_bytes() == old
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    expected = old if fails else new
    assert [p.read_bytes() for p in folder.iterdir()] == ([] if expected is None else [expected])


def test_the_temporary_file_is_a_sibling_with_the_same_suffix(tmp_path):
    with atomic_path(tmp_path / "new" / "a.cif") as temporary:
        assert temporary.parent == tmp_path / "new"
        assert temporary.suffix == ".cif"
        temporary.write_text("x")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.cif"]


def test_a_full_disk_is_a_typed_error_that_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "out.parquet"
    monkeypatch.setattr(Path, "write_bytes", raise_no_space)
    message = r"out\.parquet.*No space left.*[\d,]+ bytes free.*free some space"
    with pytest.raises(OutputError, match=message) as caught, atomic_path(path) as temporary:
        temporary.touch()
        temporary.write_bytes(b"x")
    assert isinstance(caught.value.__cause__, OSError)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_at_the_last_flush_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "out.parquet"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", raise_no_space)
    with pytest.raises(OutputError, match="No space left"), atomic_path(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_nothing_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="nothing"), atomic_path(tmp_path / "out"):
        pass


def test_errors_that_are_not_about_the_output_pass_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_path(tmp_path / "out"):
        (tmp_path / "input.cif").read_text()
    assert not isinstance(caught.value, OutputError)


def test_a_folder_or_a_device_is_not_replaced_by_a_file(tmp_path):
    for path in (tmp_path, Path(os.devnull)):
        with pytest.raises(OutputError), atomic_path(path):
            pytest.fail("the block must not run")


def test_a_parent_that_is_a_file_is_a_typed_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"), atomic_path(tmp_path / "file" / "out") as temporary:
        temporary.write_text("")


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege on Windows")
def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_path(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="these systems refuse names that are not Unicode")
def test_paths_that_are_not_utf8(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    with atomic_path(path) as temporary:
        temporary.write_text("x")
    assert b"caf\xe9.txt" in os.listdir(os.fsencode(tmp_path))
    with pytest.raises(OutputError) as caught:
        refuse_overwrite(path)
    str(caught.value).encode()  # can be printed
    assert printable(path).endswith("caf\\xe9.txt")
    with output_lock(path), pytest.raises(OutputError, match=str(os.getpid())), output_lock(path):
        pass


def test_a_killed_writer_leaves_the_old_file_and_the_next_writer_clears_the_rest(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    child = run_python(
        """
        import sys, time
        from aristotype._files import atomic_path
        with atomic_path(sys.argv[1]) as temporary:
            temporary.write_text("half")
            print("written", flush=True)
            time.sleep(60)
        """,
        str(path),
    )
    with child:
        assert child.stdout.readline() == "written\n"
        child.kill()
    assert path.read_text() == "old"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("out.txt", "new")]


# ---- atomic_directory


def test_a_folder_appears_at_once_or_not_at_all(tmp_path):
    target = tmp_path / "run"
    with pytest.raises(ZeroDivisionError), atomic_directory(target) as temporary:
        (temporary / "a").write_text("x")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with atomic_directory(target) as temporary:
        (temporary / "a").write_text("x")
        assert not target.exists()
    assert [p.relative_to(tmp_path).as_posix() for p in sorted(tmp_path.rglob("*"))] == ["run", "run/a"]


def test_a_full_disk_while_filling_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "write_text", raise_no_space)
    with pytest.raises(OutputError, match=r"run.*bytes free"), atomic_directory(tmp_path / "run") as temporary:
        (temporary / "a").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_only_our_own_folder_is_replaced(tmp_path):
    target = tmp_path / "run"
    target.mkdir()
    (target / "thesis.tex").write_text("years of work")
    for marker in (None, "summary.json"):
        with pytest.raises(OutputError, match="did not write"), atomic_directory(target, marker):
            pytest.fail("the block must not run")
    (target / "summary.json").write_text("{}")
    with atomic_directory(target, "summary.json") as temporary:
        (temporary / "new").write_text("x")
    assert [p.name for p in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


def test_an_old_folder_comes_back_when_the_rename_fails(tmp_path, monkeypatch):
    target = tmp_path / "run"
    with atomic_directory(target) as temporary:
        (temporary / "config.json").write_text("old")
    rename = Path.rename

    def fail_on_new(self, destination):
        if Path(destination) == target and not self.name.endswith(".old"):
            raise_no_space()
        return rename(self, destination)

    monkeypatch.setattr(Path, "rename", fail_on_new)
    with pytest.raises(OutputError), atomic_directory(target, "config.json") as temporary:
        (temporary / "config.json").write_text("new")
    assert (target / "config.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


# ---- output_lock


def test_a_second_process_is_refused_by_the_first_ones_number_until_it_ends(tmp_path):
    path = tmp_path / "out.parquet"
    child = run_python(
        """
        import sys
        from aristotype._files import output_lock
        from aristotype.errors import OutputError
        try:
            with output_lock(sys.argv[1]):
                print("held")
        except OutputError as error:
            print(error)
        """,
        str(path),
    )
    with output_lock(path):
        message = child.communicate()[0]
    assert f"process {os.getpid()} " in message
    assert "out.parquet.lock" in message
    assert list(tmp_path.iterdir()) == []
    with output_lock(path):
        pass


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path):
    path = tmp_path / "out.parquet"
    child = run_python(
        """
        import sys, time
        from aristotype._files import output_lock
        with output_lock(sys.argv[1]):
            print("held", flush=True)
            time.sleep(60)
        """,
        str(path),
    )
    with child:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match=f"process {child.pid} "), output_lock(path):
            pass
        child.kill()
    with output_lock(path):
        assert json.loads((tmp_path / "out.parquet.lock").read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b'{"pid": "x"}'])
def test_an_unreadable_lock_is_taken_over_once_it_is_old(tmp_path, content):
    lock = tmp_path / "out.lock"
    lock.write_bytes(content)
    old = time.time() - 60
    os.utime(lock, (old, old))
    with output_lock(tmp_path / "out"):
        assert json.loads(lock.read_text())["pid"] == os.getpid()


def test_a_process_number_that_was_given_out_again_is_not_the_owner(tmp_path, monkeypatch):
    owner = {"pid": os.getpid(), "host": platform.node(), "start": "1"}
    (tmp_path / "out.lock").write_text(json.dumps(owner))
    monkeypatch.setattr(_files, "_start_time", lambda pid: "2")
    with output_lock(tmp_path / "out"):
        pass


def test_a_lock_from_another_host_is_respected(tmp_path):
    owner = {"pid": DEAD_PID, "host": "another-" + platform.node(), "start": None}
    (tmp_path / "out.lock").write_text(json.dumps(owner))
    with pytest.raises(OutputError, match="another-"), output_lock(tmp_path / "out"):
        pass


def test_many_processes_at_one_dead_lock_never_hold_it_together(tmp_path):
    path, log = tmp_path / "out", tmp_path / "log"
    (tmp_path / "out.lock").write_text(json.dumps({"pid": DEAD_PID, "host": platform.node(), "start": None}))
    code = """
        import os, sys, time
        from aristotype._files import output_lock
        from aristotype.errors import OutputError
        done = 0
        while done < 5:
            try:
                with output_lock(sys.argv[1]):
                    with open(sys.argv[2], "a") as log:
                        log.write(f"+{os.getpid()}\\n"); log.flush()
                        time.sleep(0.002)
                        log.write(f"-{os.getpid()}\\n")
                    done += 1
            except OutputError:
                time.sleep(0.001)
    """
    children = [run_python(code, str(path), str(log)) for _ in range(4)]
    assert [child.wait(60) for child in children] == [0] * 4
    for child in children:
        child.stdout.close()
    events = log.read_text().split()
    assert len(events) == 40
    assert all(a[0] == "+" and b == "-" + a[1:] for a, b in zip(events[::2], events[1::2], strict=True))


# ---- refuse_overwrite


def test_refuse_overwrite(tmp_path):
    refuse_overwrite(tmp_path / "absent")
    refuse_overwrite(tmp_path)  # an empty folder
    (tmp_path / "a").write_text("x")
    for path in (tmp_path, tmp_path / "a"):
        with pytest.raises(OutputError, match="--force"):
            refuse_overwrite(path)
        refuse_overwrite(path, force=True)
