"""Native code in a process of its own: every way to end gives the answer or one clear error."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keras_mtl.core import errors, run_isolated

_ENOUGH_S = 120.0


@pytest.fixture
def worker(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Writes a worker module with the given body of `work(request)` and runs it."""

    def run(
        body: str,
        request: dict[str, Any] | None = None,
        timeout_s: float = _ENOUGH_S,
        most_bytes: int | None = None,
    ) -> dict[str, Any]:
        (tmp_path / "a_worker.py").write_text(f"def work(request):\n    {body}\n")
        return run_isolated("a_worker", request or {}, timeout_s, {"PYTHONPATH": str(tmp_path)}, most_bytes)

    return run


def test_the_answer_comes_back(worker) -> None:
    assert worker("return {'twice': 2 * request['n'], 'text': request['text']}", {"n": 21, "text": "ä"}) == {
        "twice": 42,
        "text": "ä",
    }


def test_it_is_another_process(worker) -> None:
    assert worker("import os; return {'parent': os.getppid()}")["parent"] == os.getpid()


def test_what_a_worker_prints_is_not_the_answer(worker, capfd) -> None:
    assert worker("print('{}'); return {'a': 1}") == {"a": 1}
    assert capfd.readouterr() == ("", "")


def test_an_error_on_purpose_crosses_over(worker) -> None:
    body = "from keras_mtl.core import EngineRefused; raise EngineRefused('no float16', hint='use int8')"
    with pytest.raises(errors.EngineRefused) as caught:
        worker(body)
    assert (caught.value.message, caught.value.hint) == ("no float16", "use int8")


def test_another_exception_is_a_crash_with_its_last_line(worker) -> None:
    with pytest.raises(errors.EngineCrash, match=r"a_worker died \(exit 1\); last line: ValueError: 7 is odd"):
        worker("raise ValueError('7 is odd')")


def test_a_signal_is_named(worker) -> None:
    with pytest.raises(errors.EngineCrash, match=r"killed by SIGABRT"):
        worker("import os; os.abort()")


def test_a_segmentation_fault_is_named(worker) -> None:
    with pytest.raises(errors.EngineCrash, match=r"killed by SIGSEGV"):
        worker("import ctypes; ctypes.string_at(0)")


def test_leaving_without_an_answer_is_a_crash(worker) -> None:
    with pytest.raises(errors.EngineCrash, match=r"exit 3.*it printed nothing"):
        worker("import os; os._exit(3)")


def test_a_hang_is_stopped(worker) -> None:
    with pytest.raises(errors.EngineTimeout, match="a_worker did not come back within 2 s"):
        worker("import threading; threading.Event().wait()", timeout_s=2.0)


def test_a_missing_worker_is_a_crash() -> None:
    with pytest.raises(errors.EngineCrash, match=r"No module named 'keras_mtl\.no_such_worker'"):
        run_isolated("keras_mtl.no_such_worker", {}, _ENOUGH_S)


def test_a_crash_in_tearing_down_does_not_lose_the_answer(worker) -> None:
    assert worker("import atexit, os; atexit.register(os.abort); return {'a': 1}") == {"a": 1}


def test_variables_are_set_on_top(worker, monkeypatch) -> None:
    monkeypatch.setenv("MY_SETTING", "kept")
    body = "import os; return {k: os.environ.get(k) for k in ('MY_SETTING', 'TF_CPP_MIN_LOG_LEVEL')}"
    assert worker(body) == {"MY_SETTING": "kept", "TF_CPP_MIN_LOG_LEVEL": "2"}


def test_temporary_files_do_not_outlive_it(worker) -> None:
    left = worker("import tempfile; return {'left': tempfile.mkstemp()[1]}")["left"]
    assert not Path(left).exists()
    assert not Path(left).parent.exists()


def test_a_process_that_asks_for_too_much_memory_gets_none(worker) -> None:
    with pytest.raises(errors.EngineCrash, match=r"exit 1.*MemoryError"):
        worker("return {'a': len(bytearray(1 << 30))}", most_bytes=1 << 29)
    assert worker("return {'a': len(bytearray(1 << 20))}", most_bytes=1 << 29) == {"a": 1 << 20}


def test_limits_hold_for_files_and_leave_no_memory_image(worker) -> None:
    body = "import resource as r; return {k: r.getrlimit(getattr(r, k))[0] for k in ('RLIMIT_FSIZE', 'RLIMIT_CORE')}"
    assert worker(body, most_bytes=1 << 29) == {"RLIMIT_FSIZE": 1 << 26, "RLIMIT_CORE": 0}
    assert worker(body)["RLIMIT_CORE"] == 0


def test_a_process_that_never_stops_talking_does_not_fill_this_one(worker) -> None:
    body = "import os\n    while True: os.write(1, b'la ' * 20_000 + b'\\n')"
    with pytest.raises(errors.EngineCrash, match=r"died .*la la") as caught:
        worker(body, most_bytes=1 << 29)
    assert len(str(caught.value)) < 1000


def test_control_characters_of_a_dying_process_are_not_passed_on(worker) -> None:
    with pytest.raises(errors.EngineCrash, match="last line: \ufffd\\[2Jgone"):
        worker("import os; os.write(2, b'\\x1b[2Jgone'); os._exit(1)")
