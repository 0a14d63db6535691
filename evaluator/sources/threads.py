"""A few threads for an adapter whose library blocks.

This module knows calls and futures. It never knows what a call does. The standard executor is not used because the
interpreter waits for its threads at exit, so that one hung call would keep the daemon from stopping.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Threads:
    """At most `size` daemon threads, started when they are needed and kept until `close`."""

    def __init__(self, name: str, size: int) -> None:
        """Start none yet; `name` is what they are called in a stack dump."""
        self._name = name
        self._size = size
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._started = 0
        self._closed = False

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """Put the call in the queue. Cancelling the future drops a call that has not begun and forgets one that has."""
        future: Future[T] = Future()
        if self._closed:
            future.cancel()
            return future
        self._work.put((future, call))
        if not self._idle.acquire(blocking=False) and self._started < self._size:
            self._started += 1
            threading.Thread(target=self._serve, name=f"{self._name}-{self._started}", daemon=True).start()
        return future

    def close(self) -> None:
        """Drop what has not begun and let every thread end after its call; waits for none."""
        if self._closed:
            return
        self._closed = True
        while not self._work.empty():
            item = self._work.get()
            if item is not None:
                item[0].cancel()
        for _ in range(self._started):
            self._work.put(None)

    def _serve(self) -> None:
        """Do one call after the other."""
        while (item := self._work.get()) is not None:
            future, call = item
            del item
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:  # noqa: BLE001 - whoever waits for the future gets it.
                    _settle(future, error=error)
                else:
                    _settle(future, result=result)
                    del result
            # Nothing of a finished call may stay alive while the thread waits for the next.
            del future, call
            self._idle.release()


def _settle(future: "Future[Any]", result: object = None, error: BaseException | None = None) -> None:
    """Hand over what came of a call."""
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
