"""`reprise.runtime`: the same numbers for the same names, and files that are whole or absent."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reprise
from reprise import runtime
from reprise.runtime import (
    Checkpoint,
    atomic_write,
    check_profile,
    generator,
    in_parallel,
    thread_count,
)

BAD_SEEDS = [-1, np.int64(-1), 0.0, 1.5, True, np.bool_(True), "1", None, [1]]


def draws(*key, size=4):
    return generator(*key).integers(2**62, size=size).tolist()


# Generators.


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**64), st.lists(st.text(), max_size=3))
def test_the_same_names_give_the_same_stream(seed, names):
    assert draws(seed, *names) == draws(seed, *names)


def test_streams_of_other_names_differ():
    keys = [(seed, *names) for seed in range(20) for names in [(), ("C1",), ("C2",)]]
    keys += [(0, "C1", "C2"), (0, "C2", "C1"), (0, "C1C2"), (0, "c1"), (0, "C1 ")]
    assert len({tuple(draws(*key)) for key in keys}) == len(keys)


def test_streams_of_two_names_are_uncorrelated():
    streams = [generator(0, f"C{i}").standard_normal(4000) for i in range(6)]
    off_diagonal = np.corrcoef(streams)[np.triu_indices(6, 1)]
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(4000)


def test_a_stream_does_not_depend_on_draws_from_another():
    alone = draws(7, "C2")
    draws(7, "C1", size=100)
    np.random.default_rng(7).random(100)
    assert draws(7, "C2") == alone


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_numpy_integers_are_seeds(kind):
    assert draws(kind(3), "C1") == draws(3, "C1")


@pytest.mark.parametrize("seed", BAD_SEEDS, ids=repr)
def test_other_seeds_are_refused(seed):
    with pytest.raises(ValueError, match=r"^seed must be an integer of at least 0, got ") as error:
        generator(seed, "C1")
    assert str(error.value).endswith(f"got {seed!r}")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((0, "plumless"), (0, "buckeroo")),  # equal in CRC-32
        ((0,), (0, "")),
        ((0, "C1"), (0, "C1", "")),
        ((0, "ab"), (0, "a", "b")),
        ((0, "a1:b"), (0, "a", "b")),
        ((0, "1:a"), (0, "", "a")),
        ((2**32, "C1"), (0, "C1")),
        ((2**64, "C1"), (2**32, "C1")),
    ],
)
def test_distinct_names_never_share_a_stream(one, other):
    assert draws(*one) != draws(*other)


def test_streams_are_the_same_in_every_release():
    key = int.from_bytes(hashlib.sha256(b"2:C15:slope").digest()[:16], "big")
    alone = np.random.default_rng([3, key]).integers(2**62, size=4).tolist()
    assert draws(3, "C1", "slope") == alone


def test_torch_generators_are_reproducible_by_name():
    import torch

    def torch_draws(*key):
        return torch.rand(4, generator=runtime.torch_generator(*key)).tolist()

    assert torch_draws(0, "C1") == torch_draws(0, "C1")
    assert len({tuple(torch_draws(*key)) for key in [(0, "C1"), (0, "C2"), (1, "C1"), (0,)]}) == 4
    assert runtime.torch_generator(0).device.type == "cpu"


@pytest.mark.parametrize("seed", BAD_SEEDS, ids=repr)
def test_torch_generators_refuse_other_seeds(seed):
    with pytest.raises(ValueError, match=r"^seed must be an integer of at least 0, got "):
        runtime.torch_generator(seed)


# Device, threads, profile.


@pytest.mark.parametrize("available", [False, True])
def test_auto_is_cuda_where_there_is_one(available, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert runtime.device() == torch.device("cuda" if available else "cpu")
    assert runtime.device("cpu") == torch.device("cpu")
    if available:
        assert runtime.device("cuda:1") == torch.device("cuda:1")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "gpu", "tpu", "", "cudax"])
def test_a_device_that_is_not_there_is_refused(name, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device must be 'auto', 'cpu' or an available CUDA"):
        runtime.device(name)


@pytest.fixture
def no_setting(monkeypatch):
    monkeypatch.delenv("REPRISE_THREADS", raising=False)


@pytest.mark.parametrize("threads", [1, 7, np.int64(3)])
def test_threads_given_are_used(threads, monkeypatch):
    monkeypatch.setenv("REPRISE_THREADS", "5")
    assert thread_count(threads) == threads
    assert type(thread_count(threads)) is int


@pytest.mark.parametrize(("setting", "count"), [("1", 1), ("12", 12)])
def test_threads_come_from_the_environment(setting, count, monkeypatch):
    monkeypatch.setenv("REPRISE_THREADS", setting)
    assert thread_count() == count


def test_threads_default_to_the_cores_of_this_process(no_setting, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert thread_count() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert thread_count() == 4
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert thread_count() == 1


@pytest.mark.parametrize("threads", [1, 3])
def test_parallel_results_keep_the_order_of_the_jobs(threads):
    def task(job):
        time.sleep(0.01 * (5 - job))
        return job**2

    assert in_parallel(task, iter(range(5)), threads) == [0, 1, 4, 9, 16]
    assert in_parallel(task, [], threads) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_cancels_the_jobs_that_wait(threads):
    begun = []

    def task(job):
        begun.append(job)
        time.sleep(0.01)
        raise OSError(f"job {job}")

    with pytest.raises(OSError, match=r"job \d"):
        in_parallel(task, range(50), threads)
    assert len(begun) < 10


def test_threads_of_a_pool_are_checked():
    with pytest.raises(ValueError, match="threads must be an integer of at least 1, got 0"):
        in_parallel(print, [1], 0)


def test_an_empty_setting_is_none(monkeypatch):
    monkeypatch.setenv("REPRISE_THREADS", "")
    assert thread_count() >= 1


@pytest.mark.parametrize(
    "threads", [0, -2, "many", "2", 2.7, 2.0, True, np.int64(0), float("inf"), [2]], ids=repr
)
def test_bad_threads_are_refused(threads, no_setting):
    with pytest.raises(
        ValueError, match=r"^threads must be an integer of at least 1, got "
    ) as error:
        thread_count(threads)
    assert str(error.value).endswith(f"got {threads!r}")


@pytest.mark.parametrize("setting", ["0", "-1", "two", "2.5", " ", "²"])
def test_a_bad_setting_is_refused_by_its_name(setting, monkeypatch):
    monkeypatch.setenv("REPRISE_THREADS", setting)
    message = f"^REPRISE_THREADS must be an integer of at least 1, got '?{setting}'?$"
    with pytest.raises(ValueError, match=message):
        thread_count()


@pytest.mark.parametrize("profile", runtime.PROFILES)
def test_profiles_pass_the_check(profile):
    assert check_profile(profile) == profile


@pytest.mark.parametrize("profile", ["Book", "", "default", None, 3])
def test_other_profiles_are_refused(profile):
    with pytest.raises(ValueError, match="profile must be one of smoke, book, paper"):
        check_profile(profile)


# Progress.


def test_progress_without_a_name_is_silent(capsys):
    items = [3, 1, 2]
    assert list(runtime.progress(items, None)) == items
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("disabled", [False, True])
def test_a_bar_is_on_standard_error_and_can_be_turned_off(disabled):
    code = (
        "from reprise.runtime import progress\n"
        "assert list(progress(range(5), 'seeds')) == list(range(5))\n"
        "assert list(progress(iter('abc'), 'letters', total=3)) == list('abc')\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TQDM_")}
    environment["PYTHONPATH"] = str(Path(reprise.__file__).parents[1])
    environment |= {"TQDM_DISABLE": "1"} if disabled else {}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    if disabled:
        assert done.stderr == ""
    else:
        assert all(text in done.stderr for text in ("seeds", "/5", "/3"))


def test_progress_passes_an_exception_on():
    def items():
        yield 1
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        list(runtime.progress(items(), "items"))


# Files.


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("as_text", [False, True])
def test_a_file_appears_when_the_block_ends(tmp_path, as_text):
    target = tmp_path / "a.json"
    with atomic_write(str(target) if as_text else target) as temporary:
        assert temporary.parent == tmp_path
        temporary.write_text(json.dumps([1]), encoding="utf-8")
        assert not target.exists()
    assert json.loads(target.read_text(encoding="utf-8")) == [1]
    assert names_in(tmp_path) == ["a.json"]


def test_a_file_is_replaced(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old", encoding="utf-8")
    with atomic_write(target) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert target.read_text(encoding="utf-8") == "old"
    assert target.read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("name", ["a.npz", "a.tar.gz", "a.svg"])
def test_the_temporary_file_is_hidden_and_has_the_suffix_of_its_target(tmp_path, name):
    target = tmp_path / name
    with atomic_write(target) as temporary:
        assert temporary.name.startswith(".")
        assert temporary != target
        assert temporary.suffix == target.suffix
        temporary.write_text("x", encoding="utf-8")
    assert names_in(tmp_path) == [name]


def test_writers_that_append_a_suffix_are_served(tmp_path):
    with atomic_write(tmp_path / "a.npy") as temporary:
        np.save(temporary, np.arange(3))
    assert np.load(tmp_path / "a.npy").tolist() == [0, 1, 2]
    assert names_in(tmp_path) == ["a.npy"]


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    target = tmp_path / "a.txt"
    with atomic_write(target) as one, atomic_write(target) as other:
        assert one != other
        one.write_text("one", encoding="utf-8")
        other.write_text("other", encoding="utf-8")
    assert target.read_text(encoding="utf-8") == "one"  # whose block ended last
    assert names_in(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("old", ["old", None])
def test_an_exception_leaves_what_was_there(tmp_path, error, old):
    target = tmp_path / "a.txt"
    if old:
        target.write_text(old, encoding="utf-8")

    def interrupted():
        with atomic_write(target) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise error

    with pytest.raises(error):
        interrupted()
    assert names_in(tmp_path) == (["a.txt"] if old else [])
    assert not old or target.read_text(encoding="utf-8") == old


def test_folders_are_made(tmp_path):
    target = tmp_path / "one" / "two" / "a.txt"
    with atomic_write(target) as temporary:
        temporary.write_text("x", encoding="utf-8")
    assert target.read_text(encoding="utf-8") == "x"


@pytest.mark.skipif(os.name != "posix", reason="file modes")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_file_has_the_permissions_of_any_other(tmp_path, umask):
    before = os.umask(umask)
    try:
        (tmp_path / "plain.txt").write_text("x", encoding="utf-8")
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.write_text("x", encoding="utf-8")
        assert os.umask(umask) == umask  # left as it was
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("plain.txt", "a.txt")]
    assert modes[0] == modes[1] == 0o666 & ~umask


# Checkpoints.


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / "state.npz"


def test_a_checkpoint_gives_its_arrays_back(path):
    arrays = {
        "x": np.arange(6.0, dtype=np.float32).reshape(2, 3),
        "done": np.array(True),
        "names": np.array(["a", "bc"]),
        "empty": np.empty((0, 2)),
    }
    Checkpoint(path, "n=3 seed=0").save(**arrays, epoch=7)
    loaded = Checkpoint(str(path), "n=3 seed=0").load()
    assert set(loaded) == {*arrays, "epoch"}
    assert loaded["epoch"] == 7
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)
    assert names_in(path.parent) == ["state.npz"]


def test_the_last_checkpoint_counts(path):
    checkpoint = Checkpoint(path, "k")
    checkpoint.save(x=1, y=2)
    checkpoint.save(x=3)
    assert checkpoint.load() == {"x": 3}


@pytest.mark.parametrize("other", ["n=30", "", "N=3", "n=3 "])
def test_another_key_is_not_resumed(path, other):
    Checkpoint(path, "n=3").save(x=1)
    assert Checkpoint(path, other).load() is None
    assert Checkpoint(path, "n=3").load() == {"x": 1}


def test_nothing_saved_is_none(path):
    assert Checkpoint(path, "n=3").load() is None
    assert not path.parent.exists()


@pytest.mark.parametrize("value", [None, {"a": 1}, np.array([1, "a"], dtype=object)], ids=repr)
def test_objects_are_refused_and_the_old_checkpoint_kept(path, value):
    checkpoint = Checkpoint(path, "k")
    checkpoint.save(x=1)
    with pytest.raises(ValueError, match="state must be a numeric or string array"):
        checkpoint.save(x=2, state=value)
    assert checkpoint.load() == {"x": 1}


def test_pickled_arrays_are_not_read(path):
    path.parent.mkdir()
    np.savez(path, **{"key": np.array("k"), "array x": np.array([{}], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle"):
        Checkpoint(path, "k").load()


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=repr)
def test_an_interrupted_save_keeps_the_previous_one(path, error, monkeypatch):
    checkpoint = Checkpoint(path, "k")
    checkpoint.save(x=1)

    def interrupted(file, **arrays):
        file.write(b"PK\x03\x04 half of")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", interrupted)
        with pytest.raises(type(error)):
            checkpoint.save(x=2)
    assert checkpoint.load() == {"x": 1}
    assert names_in(path.parent) == ["state.npz"]


def test_a_file_without_a_key_is_not_resumed(path):
    path.parent.mkdir()
    np.savez(path, x=1)
    assert Checkpoint(path, "k").load() is None
    assert Checkpoint(path, "").load() is None


@pytest.mark.parametrize(
    "name", ["file", "args", "kwds", "allow_pickle", "key", "array", "array x", "x.npy", "a b"]
)
def test_an_array_may_have_any_name(path, name):
    checkpoint = Checkpoint(path, "k")
    checkpoint.save(**{name: np.array(5)})
    assert checkpoint.load() == {name: 5}
