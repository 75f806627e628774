"""Who does the parts of a preparation: this process, several of this machine, or an Apache Beam pipeline."""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

from keras_mtl.core import DataError

Task = TypeVar("Task")
#: Calls a function for each task, in any order, and gives what it returns as the calls end. The tasks and the function
#: must be such as can be sent to another process.
Workers = Callable[[Callable[[Any], int], Sequence[Any]], Iterator[int]]


def in_turn(function: Callable[[Task], int], tasks: Sequence[Task]) -> Iterator[int]:
    """Does the tasks in this process, one after the other."""
    return map(function, tasks)


def in_processes(jobs: int) -> Workers:
    """Workers that are `jobs` processes of this machine; with 1 it is this process.

    Raises:
        DataError: `jobs` is less than 1.
    """
    if jobs < 1:
        raise DataError(f"{jobs} jobs can't do anything", hint="--jobs 1 or more")
    if jobs == 1:
        return in_turn

    def do(function: Callable[[Task], int], tasks: Sequence[Task]) -> Iterator[int]:
        if not tasks:
            return
        pool = open_pool(min(jobs, len(tasks)))
        try:
            for future in as_completed([pool.submit(function, task) for task in tasks]):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    return do


def open_pool(jobs: int, begin: Callable[..., None] | None = None, *arguments: Any) -> ProcessPoolExecutor:
    """Processes of this machine that end with this one, however that ends.

    Args:
        jobs: how many, at least 1.
        begin: called in each of them first.
        arguments: what it is called with.
    """
    # Forked processes would inherit TensorFlow's threads in any state: they are started anew.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(begin, arguments))


def beam_options(text: str) -> Any:
    """Beam's options from what `--beam_pipeline_options` of TFDS takes: flags without dashes, comma-separated.

    Raises:
        DataError: Apache Beam is not installed.
    """
    if importlib.util.find_spec("apache_beam") is None:
        raise DataError("Apache Beam is not installed", hint="pip install 'keras_mtl[train,beam]', or use --jobs")
    from apache_beam.options.pipeline_options import PipelineOptions

    return PipelineOptions(flags=[f"--{flag}" for flag in text.split(",") if flag])


def with_beam(options: Any) -> Workers:
    """Workers of a Beam pipeline: one element a task. All of them must see the data and the cache by the same paths.

    Args:
        options: as of `beam_options`.
    """

    def do(function: Callable[[Task], int], tasks: Sequence[Task]) -> Iterator[int]:
        import apache_beam as beam

        if tasks:
            with beam.Pipeline(options=options) as pipeline:
                _ = pipeline | beam.Create(list(tasks)) | beam.Reshuffle() | beam.Map(function)
        # A pipeline returns no results; it has failed, or all is done.
        yield from (0 for _ in tasks)

    return do


def _begin(then: Callable[..., None] | None, arguments: Sequence[Any]) -> None:
    """In a worker: no chatter of TensorFlow's start, an interrupt is the first process's affair, its death the end."""
    import signal

    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    null = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError):
        os.dup2(null, 2)
    os.close(null)
    if then is not None:
        then(*arguments)


def _end_with_parent() -> None:
    """Ends this process with the one that started it: workers of a killed process would wait for tasks for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
