"""`reprise.data` finds each form in its order, and no broken download is ever read.

Downloads go to a small server on 127.0.0.1 that can cut, spoil, refuse and delay its answers.
"""

import gzip
import hashlib
import io
import json
import logging
import os
import re
import socket
import struct
import subprocess
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reprise import data

REAL_DATA = os.environ.get("REPRISE_DATA")  # before `clean_environment` hides it
BODY = np.random.default_rng(0).bytes(300_000)
HALF = 150_000


def sha256(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def md5(content):
    return "md5:" + hashlib.md5(content, usedforsecurity=False).hexdigest()


# The server: each address has a list of answers, used in turn; the last one repeats.


def whole(body=BODY):
    def answer(handler, range_header):
        start = int(re.fullmatch(r"bytes=(\d+)-", range_header)[1]) if range_header else 0
        if start >= len(body):
            return handler.reply(416, b"")
        extra = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        handler.reply(206 if start else 200, body[start:], extra)

    return answer


def ignoring_range(handler, range_header):
    handler.reply(200, BODY)


def cut(handler, range_header):
    handler.reply(200, BODY[:HALF], {"Content-Length": str(len(BODY))})


def status(code):
    return lambda handler, range_header: handler.reply(code, b"sorry")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        range_header = self.headers.get("Range")
        self.server.ranges.append(range_header)
        answers = self.server.answers[self.path]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        answer(self, range_header)

    def reply(self, code, body, extra=None):
        self.send_response(code)
        headers = {"Content-Length": str(len(body))} | (extra or {})
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    """A server with `answers` by path, the `ranges` that it was asked for, and a `url`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.answers, http.ranges = {}, []
        http.url = f"http://127.0.0.1:{http.server_port}"
        # The server looks for its end once in this many seconds, and the fixture waits for it.
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield http
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    for variable in ("REPRISE_DATA", "REPRISE_DATA_LOG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("REPRISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(data.fetching, "BACKOFF_SECONDS", 0.0)


def read_bytes(*paths):
    return {path.name: np.frombuffer(path.read_bytes(), np.uint8) for path in paths}


@pytest.fixture
def register(monkeypatch, server):
    """Register a set ``toy``: the file toy.bin at the server, and toy/copy.bin in the mirror."""

    def add(*answers, name="toy", **changes):
        server.answers["/toy.bin"] = list(answers) or [whole()]
        entry = {
            "title": "Toy bytes",
            "source": "a generator",
            "licence": "CC0",
            "read": read_bytes,
            "size_bytes": len(BODY),
            "mirror": (data.Mirror("toy/copy.bin", sha256(BODY)),),
            "remotes": (data.Remote("toy.bin", f"{server.url}/toy.bin", sha256(BODY)),),
        }
        dataset = data.Dataset(name=name, **(entry | changes))
        monkeypatch.setitem(data.REGISTRY, name, dataset)
        return dataset

    return add


@pytest.fixture
def mirror(monkeypatch, tmp_path):
    """Place toy/copy.bin in a folder that REPRISE_DATA names."""

    def place(content=BODY):
        path = tmp_path / "mirror" / "toy" / "copy.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        monkeypatch.setenv("REPRISE_DATA", str(tmp_path / "mirror"))
        return path

    return place


@pytest.fixture
def cached(tmp_path):
    """The final name of toy.bin in the cache; its folder exists."""
    path = tmp_path / "cache" / "toy" / "toy.bin"
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def part(cached):
    return cached.with_name("toy.bin.part")


@pytest.fixture
def log(monkeypatch, tmp_path):
    path = tmp_path / "use.jsonl"
    monkeypatch.setenv("REPRISE_DATA_LOG", str(path))
    return lambda: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return f"http://127.0.0.1:{port}/toy.bin"


def content(loaded):
    (array,) = loaded.arrays.values()
    return array.tobytes()


# The forms and their order


def test_importing_the_module_loads_no_heavy_library():
    heavy = "{'sklearn', 'pooch', 'requests', 'urllib3', 'torch', 'scipy'}"
    code = f"import sys, reprise.data; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name, shape", [("breast_cancer", (569, 30)), ("digits", (1797, 64))])
def test_embedded(name, shape):
    loaded = data.load(name)
    assert loaded.arrays["features"].shape == shape
    assert loaded.arrays["labels"].shape == shape[:1]
    assert loaded.record.form == "embedded"
    assert loaded.record.checksum.startswith("scikit-learn ")


def test_digits_images_are_the_features():
    arrays = data.load("digits").arrays
    np.testing.assert_array_equal(arrays["images"].reshape(-1, 64), arrays["features"])


def test_the_mirror_comes_before_the_cache(register, mirror, cached, server):
    register()
    mirror()
    cached.write_bytes(BODY)
    loaded = data.load("toy")
    assert list(loaded.arrays) == ["copy.bin"]
    assert (loaded.record.form, loaded.record.checksum) == ("mirrored", sha256(BODY))
    assert server.ranges == []


def test_the_cache_comes_before_the_download(register, cached, server):
    register()
    cached.write_bytes(BODY)
    assert data.load("toy").record.form == "cached"
    assert server.ranges == []


def test_a_set_is_downloaded_once(register, cached, part, server, caplog):
    register()
    caplog.set_level(logging.INFO, "reprise.data")
    first, second = data.load("toy"), data.load("toy")
    assert (first.record.form, second.record.form) == ("downloaded", "cached")
    assert first.record.checksum == second.record.checksum == sha256(BODY)
    assert first.record.describe() == second.record.describe()
    assert content(first) == content(second) == BODY
    assert server.ranges == [None]
    assert not part.exists()
    assert caplog.messages == [f"downloading toy (0.3 MB) from {server.url}/toy.bin"]


def test_an_incomplete_mirror_is_no_mirror(register, mirror):
    checksums = (data.Mirror("toy/copy.bin", sha256(BODY)), data.Mirror("toy/more.bin", "sha256:0"))
    register(mirror=checksums)
    mirror()
    assert data.load("toy").record.form == "downloaded"


def test_the_mirror_may_have_its_own_format(register, mirror, server):
    register(read_mirror=lambda path: {"mirror": np.zeros(1)})
    assert list(data.load("toy").arrays) == ["toy.bin"]
    mirror()
    assert list(data.load("toy").arrays) == ["mirror"]


def test_without_reprise_cache_the_cache_is_the_users(register, monkeypatch, tmp_path):
    monkeypatch.delenv("REPRISE_CACHE")
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "home" / project)
    register()
    data.load("toy")
    assert (tmp_path / "home" / "reprise" / "toy" / "toy.bin").read_bytes() == BODY


def test_several_files_are_one_set(register, server, cached):
    more = b"more"
    server.answers["/more.bin"] = [whole(more)]
    first = data.Remote("toy.bin", f"{server.url}/toy.bin", sha256(BODY))
    register(remotes=(first, data.Remote("more.bin", f"{server.url}/more.bin", md5(more))))
    cached.write_bytes(BODY)
    loaded = data.load("toy")
    assert loaded.record.form == "downloaded"
    assert {k: v.tobytes() for k, v in loaded.arrays.items()} == {"toy.bin": BODY, "more.bin": more}
    assert len(server.ranges) == 1  # the file that was there is kept
    assert data.resolve("toy") == data.Resolution("cached", loaded.record.checksum)


# Broken downloads


def test_wrong_content_leaves_nothing(register, cached, part, server):
    register(whole(b"x" * len(BODY)))
    with pytest.raises(data.ChecksumError) as error:
        data.load("toy")
    for text in (f"{server.url}/toy.bin", sha256(BODY), sha256(b"x" * len(BODY))):
        assert text in str(error.value)
    assert not cached.exists() and not part.exists()
    assert server.ranges == [None]  # another try would bring the same


def test_a_truncated_download_is_resumed_by_the_next_load(
    register, cached, part, server, monkeypatch
):
    register(cut, whole())
    monkeypatch.setattr(data.fetching, "TRIES", 1)
    with pytest.raises(data.DataUnavailableError):
        data.load("toy")
    assert not cached.exists()
    assert part.read_bytes() == BODY[:HALF]
    assert content(data.load("toy")) == BODY
    assert server.ranges == [None, f"bytes={HALF}-"]
    assert not part.exists()


def test_a_truncated_download_is_resumed_by_the_next_try(register, server):
    register(cut, whole())
    assert content(data.load("toy")) == BODY
    assert server.ranges == [None, f"bytes={HALF}-"]


def test_a_server_that_ignores_ranges_starts_over(register, part, server):
    register(ignoring_range)
    part.write_bytes(BODY[:HALF])
    assert content(data.load("toy")) == BODY
    assert server.ranges == [f"bytes={HALF}-"]


@pytest.mark.parametrize("size", [HALF, len(BODY), len(BODY) + 1])
def test_a_foreign_part_file_is_dropped(register, part, server, size):
    register()
    part.write_bytes(b"x" * size)
    assert content(data.load("toy")) == BODY
    assert server.ranges == [f"bytes={size}-", None]


def test_a_complete_part_file_is_used(register, part, server):
    register()
    part.write_bytes(BODY)
    assert content(data.load("toy")) == BODY
    assert server.ranges == [f"bytes={len(BODY)}-"]


def test_an_interruption_leaves_a_part_to_resume(register, cached, part, server, monkeypatch):
    register()

    def interrupted(self, amount, decode_content):
        yield self.read(amount, decode_content=decode_content)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("urllib3.response.HTTPResponse.stream", interrupted)
        with pytest.raises(KeyboardInterrupt):
            data.load("toy")
    assert not cached.exists()
    received = part.stat().st_size
    assert 0 < received < len(BODY)
    assert content(data.load("toy")) == BODY
    assert server.ranges == [None, f"bytes={received}-"]


@pytest.mark.parametrize("code", [503, 500, 429])
def test_a_passing_failure_is_tried_again(register, server, code, monkeypatch):
    waits = []
    monkeypatch.setattr(data.fetching, "BACKOFF_SECONDS", 0.5)
    monkeypatch.setattr("time.sleep", waits.append)
    register(status(code), status(code), whole())
    assert content(data.load("toy")) == BODY
    assert waits == [0.5, 1.0]
    assert len(server.ranges) == 3


def test_a_lasting_failure_ends_after_three_tries(register, server, cached):
    register(status(503))
    with pytest.raises(data.DataUnavailableError, match="HTTP status 503"):
        data.load("toy")
    assert len(server.ranges) == 3
    assert not cached.exists()


def test_a_missing_page_is_not_asked_for_again(register, server, cached, part):
    register(status(404))
    with pytest.raises(data.DataUnavailableError, match="HTTP status 404"):
        data.load("toy")
    assert len(server.ranges) == 1
    assert not cached.exists() and not part.exists()


def test_a_silent_server_times_out(register, monkeypatch):
    release = threading.Event()

    def silent(handler, range_header):
        release.wait(5)
        handler.close_connection = True

    register(silent)
    monkeypatch.setattr(data.fetching, "TIMEOUT_SECONDS", 0.05)
    try:
        with pytest.raises(data.DataUnavailableError, match="Timeout"):
            data.load("toy")
    finally:
        release.set()


def test_offline_one_message_says_what_to_do(register, closed_port, tmp_path, monkeypatch):
    register(remotes=(data.Remote("toy.bin", closed_port, sha256(BODY)),))
    with pytest.raises(data.DataUnavailableError) as error:
        data.load("toy")
    folder = str(tmp_path / "cache" / "toy")
    parts = ("'toy'", "0.3 MB", closed_port, "REPRISE_DATA (now: not set)", "toy/copy.bin", folder)
    for text in parts:
        assert text in str(error.value)
    assert "\n" not in str(error.value)
    monkeypatch.setenv("REPRISE_DATA", "elsewhere")
    with pytest.raises(data.DataUnavailableError, match=r"REPRISE_DATA \(now: elsewhere\)"):
        data.load("toy")


def test_a_set_without_public_address(register, mirror):
    register(remotes=())
    with pytest.raises(data.DataUnavailableError, match=r"no public address.*toy/copy\.bin"):
        data.load("toy")
    mirror()
    assert content(data.load("toy")) == BODY


def test_two_loads_at_once_download_once(register, server):
    register()
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(content(data.load("toy")))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [BODY] * 4
    if sys.platform != "win32":
        assert server.ranges == [None]


# Corrupted copies


def test_a_corrupted_mirror_is_an_error(register, mirror, server):
    register()
    path = mirror(b"spoilt")
    with pytest.raises(data.ChecksumError) as error:
        data.load("toy", fallback="digits")
    for text in (str(path), sha256(BODY), sha256(b"spoilt")):
        assert text in str(error.value)
    assert server.ranges == []


@pytest.mark.parametrize("spoilt", [b"spoilt", b"x" * len(BODY)])
def test_a_corrupted_cache_is_repaired(register, cached, server, caplog, spoilt):
    register()
    cached.write_bytes(spoilt)
    loaded = data.load("toy")
    assert content(loaded) == cached.read_bytes() == BODY
    assert loaded.record.form == "downloaded"
    assert f"{cached} is corrupted" in caplog.text
    assert server.ranges == [None]  # the spoilt file is no part to resume


# Fallback, log, resolve, names


def test_fallback_stands_in_and_says_so(register, closed_port, log):
    register(remotes=(data.Remote("toy.bin", closed_port, sha256(BODY)),))
    loaded = data.load("toy", fallback="digits")
    assert loaded.arrays["images"].shape == (1797, 8, 8)
    assert (loaded.record.name, loaded.record.fallback_for) == ("digits", "toy")
    assert "in place of 'toy'" in loaded.record.describe()
    asked, used = log()
    assert asked == {"name": "toy", "form": "absent", "fingerprint": "absent"}
    assert used == {"name": "digits", "form": "embedded", "fingerprint": loaded.record.checksum}


def test_fallback_is_not_used_without_need(register):
    register()
    record = data.load("toy", fallback="digits").record
    assert (record.name, record.fallback_for) == ("toy", None)
    assert "in place of" not in record.describe()


def test_describe_is_one_sentence(register, mirror):
    register()
    mirror()
    expected = "Toy bytes (a generator; licence: CC0), read from a local mirror."
    assert data.load("toy").record.describe() == expected


def test_each_load_appends_a_line_to_the_log(register, log):
    register()
    data.load("toy")
    data.load("toy")
    data.load("digits")
    lines = log()
    assert [line["form"] for line in lines] == ["downloaded", "cached", "embedded"]
    assert [line["name"] for line in lines] == ["toy", "toy", "digits"]
    for line in lines:
        assert line["fingerprint"] == data.resolve(line["name"]).fingerprint


def test_a_failed_load_is_logged_too(register, closed_port, log):
    register(remotes=(data.Remote("toy.bin", closed_port, sha256(BODY)),))
    with pytest.raises(data.DataUnavailableError):
        data.load("toy")
    assert log() == [{"name": "toy", "form": "absent", "fingerprint": "absent"}]


def test_resolve_follows_the_files_without_network(register, mirror, cached, server):
    register()
    assert data.resolve("toy") == data.Resolution("absent", "absent")
    cached.write_bytes(b"spoilt")
    assert data.resolve("toy") == data.Resolution("absent", "absent")
    cached.write_bytes(BODY)
    assert data.resolve("toy") == data.Resolution("cached", sha256(BODY))
    mirror(b"other")
    assert data.resolve("toy") == data.Resolution("mirrored", sha256(b"other"))
    mirror()
    assert data.resolve("toy") == data.Resolution("mirrored", sha256(BODY))
    assert data.resolve("digits").form == "embedded"
    assert server.ranges == []


def test_an_unchanged_file_is_hashed_once(register, mirror, monkeypatch):
    import pooch

    calls, file_hash = [], pooch.file_hash

    def counted(path, alg):
        calls.append(path)
        return file_hash(path, alg=alg)

    monkeypatch.setattr(pooch, "file_hash", counted)
    register()
    path = mirror()
    data.resolve("toy")
    data.load("toy")
    data.load("toy")
    assert len(calls) == 1
    path.write_bytes(BODY + b"!")
    assert data.resolve("toy").fingerprint == sha256(BODY + b"!")
    assert len(calls) == 2


def test_a_replaced_file_is_hashed_again_even_at_the_same_time_and_size(register, mirror):
    register()
    path = mirror()
    data.resolve("toy")
    other, before = path.with_name("other"), path.stat()
    other.write_bytes(b"x" * len(BODY))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(other, path)
    assert data.resolve("toy").fingerprint == sha256(b"x" * len(BODY))


@pytest.mark.parametrize(
    "call",
    [
        lambda: data.load("mnits"),
        lambda: data.resolve("mnits"),
        lambda: data.load("digits", fallback="mnits"),
    ],
)
def test_unknown_names_are_refused(call):
    with pytest.raises(ValueError, match=r"'mnits'.*breast_cancer, cifar10, digits, mnist"):
        call()


def test_the_registry_is_consistent():
    assert data.names() == [
        "breast_cancer",
        "cifar10",
        "digits",
        "mnist",
        "mushrooms",
        "norm_tuning_curves",
        "w8a",
    ]
    for name, dataset in data.REGISTRY.items():
        assert dataset.name == name
        assert dataset.size_bytes > 0 or not dataset.remotes
        for file in dataset.mirror + dataset.remotes:
            algorithm, _, digest = file.checksum.partition(":")
            assert re.fullmatch(
                {"sha256": "[0-9a-f]{64}", "md5": "[0-9a-f]{32}"}[algorithm], digest
            )
        for remote in dataset.remotes:
            assert remote.url.startswith("https://") and remote.url.endswith(f"/{remote.filename}")


# Readers


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5)),
    st.data(),
)
def test_idx_round_trip_and_no_other_length(array, draw):
    raw = idx(array)
    parsed = data.registry.readers.parse_idx(raw, array.ndim)
    np.testing.assert_array_equal(parsed, array, strict=True)
    assert parsed.flags.writeable
    with pytest.raises(ValueError, match="idx"):
        data.registry.readers.parse_idx(raw[: draw.draw(st.integers(0, len(raw) - 1))], array.ndim)
    with pytest.raises(ValueError, match="idx body"):
        data.registry.readers.parse_idx(raw + b"\0", array.ndim)


@pytest.mark.parametrize("magic", [b"\0\0\x08\x03", b"\0\0\x09\x01", b"\1\0\x08\x01", b"\x1f\x8b"])
def test_idx_magic_is_checked(magic):
    raw = idx(np.arange(5, dtype=np.uint8))
    with pytest.raises(ValueError, match="idx magic number"):
        data.registry.readers.parse_idx(magic + raw[len(magic) :], 1)


def test_mnist_reads_alike_from_both_formats(tmp_path):
    rng = np.random.default_rng(1)
    arrays = {"x_train": (5, 28, 28), "y_train": (5,), "x_test": (2, 28, 28), "y_test": (2,)}
    arrays = {k: rng.integers(0, 256, size, np.uint8) for k, size in arrays.items()}
    np.savez(tmp_path / "mnist.npz", **arrays)
    paths = []
    for remote, array in zip(data.REGISTRY["mnist"].remotes, arrays.values(), strict=True):
        paths.append(tmp_path / remote.filename)
        paths[-1].write_bytes(gzip.compress(idx(array)))
    mnist = data.REGISTRY["mnist"]
    for read in (mnist.read(*paths), mnist.read_mirror(tmp_path / "mnist.npz")):
        assert list(read) == list(arrays)
        for key, array in arrays.items():
            np.testing.assert_array_equal(read[key], array, strict=True)


def test_npz_is_never_unpickled(tmp_path):
    np.savez(tmp_path / "bad.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        data.registry.readers.read_npz(tmp_path / "bad.npz")


def test_svmlight_is_dense_with_signs(tmp_path):
    path = tmp_path / "small"
    path.write_text("1 1:1 3:0.5\n2 2:1\n2 3:-2\n", encoding="utf-8")
    arrays = data.registry.readers.read_svmlight(path, n_features=4)
    expected = np.array([[1, 0, 0.5, 0], [0, 1, 0, 0], [0, 0, -2, 0]])
    np.testing.assert_array_equal(arrays["features"], expected, strict=True)
    np.testing.assert_array_equal(arrays["labels"], np.array([-1, 1, 1]), strict=True)


def test_svmlight_needs_two_classes(tmp_path):
    path = tmp_path / "small"
    path.write_text("1 1:1\n2 2:1\n3 1:2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="3 distinct labels"):
        data.registry.readers.read_svmlight(path, n_features=2)


# The real files


@pytest.fixture
def real(monkeypatch):
    if not REAL_DATA:
        pytest.skip("REPRISE_DATA is not set")
    monkeypatch.setenv("REPRISE_DATA", REAL_DATA)

    def load(name):
        if data.resolve(name).form != "mirrored":
            pytest.skip(f"REPRISE_DATA holds no {name}")
        return data.load(name).arrays

    return load


@pytest.mark.parametrize(
    "name, shape, positive", [("mushrooms", (8124, 112), 4208), ("w8a", (49749, 300), 1479)]
)
def test_real_libsvm(real, name, shape, positive):
    arrays = real(name)
    assert arrays["features"].shape == shape and arrays["features"].dtype == np.float64
    assert set(np.unique(arrays["features"])) == {0.0, 1.0}
    assert arrays["labels"].dtype == np.int64
    assert set(np.unique(arrays["labels"])) == {-1, 1}
    assert np.sum(arrays["labels"] == 1) == positive


def test_real_mnist(real):
    arrays = real("mnist")
    for split, n in (("train", 60_000), ("test", 10_000)):
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
        assert images.shape == (n, 28, 28) and images.dtype == np.uint8
        assert labels.shape == (n,) and set(labels) == set(range(10))
    # The first training digits, as the literature shows them.
    assert arrays["y_train"][:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


def test_cifar_binary_records(tmp_path):
    """A tarball as the public one: labels and planes come out in order, channels last."""
    rng, path = np.random.default_rng(1), tmp_path / "cifar.tar.gz"
    records = {
        f"data_batch_{i}.bin": rng.integers(0, 256, (2, 3073), np.uint8) for i in range(1, 6)
    }
    records["test_batch.bin"] = rng.integers(0, 256, (3, 3073), np.uint8)
    with tarfile.open(path, "w:gz") as archive:
        for name, values in reversed(records.items()):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = values.nbytes
            archive.addfile(member, io.BytesIO(values.tobytes()))
    arrays = data.registry.readers.read_cifar_binary(path)
    assert arrays["x_train"].shape == (10, 32, 32, 3) and arrays["x_test"].shape == (3, 32, 32, 3)
    fourth = records["data_batch_2.bin"][1]
    assert arrays["y_train"][3] == fourth[0]
    assert arrays["x_train"][3, 5, 7].tolist() == [
        fourth[1 + c * 1024 + 5 * 32 + 7] for c in range(3)
    ]
    np.testing.assert_array_equal(arrays["y_test"], records["test_batch.bin"][:, 0])


def test_a_mirror_that_differs_says_so(register, mirror):
    register(mirror_remark="recompressed")
    mirror()
    assert "Toy bytes, recompressed" in data.load("toy").record.describe()


def test_real_cifar(real):
    """The JPEG mirror: shapes, ten equal classes, and pictures that are no noise."""
    arrays = real("cifar10")
    for split, n in (("train", 50_000), ("test", 10_000)):
        assert arrays[f"x_{split}"].shape == (n, 32, 32, 3)
        assert np.bincount(arrays[f"y_{split}"]).tolist() == [n // 10] * 10
    mean = arrays["x_train"].mean(axis=(0, 1, 2)) / 255
    np.testing.assert_allclose(mean, [0.4914, 0.4822, 0.4465], atol=0.002)


def test_real_curves(real):
    """Ten runs of 100 epochs; their last test accuracies as the chapter quotes them."""
    from reprise.expressivity.norm_tuning.curves import STORED, STORED_EPOCHS

    arrays = real("norm_tuning_curves")
    assert len(arrays) == 10
    for key, stored in STORED.items():
        values = arrays["all" if key == "all" else str(key)]
        assert values.shape == (100, 3)
        at = np.array(STORED_EPOCHS) - 1
        np.testing.assert_allclose(values[at, 2], stored, atol=5.1e-5)
