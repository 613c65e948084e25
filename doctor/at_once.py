"""Does many things at once, and does not wait for those that take too long."""

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import TypeVar

Result = TypeVar("Result")


def at_once(
    tasks: Sequence[Callable[[], Result]], *, threads: int, seconds: float | None
) -> list[Result | None]:
    """Return what each task returns, in their order, None for those that did not end in time.

    Args:
        tasks: what to do.
        threads: how many at most at once.
        seconds: how long to wait; None waits for all.

    These go on in threads for which nobody waits, not even the end of the program: no timeout of a
    client holds for everything, such as the names that it asks DNS for.
    """
    todo: queue.SimpleQueue[tuple[Future[Result], Callable[[], Result]]] = queue.SimpleQueue()
    futures: list[Future[Result]] = []
    for task in tasks:
        futures.append(Future())
        todo.put((futures[-1], task))

    def work() -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                future, task = todo.get_nowait()
                try:
                    future.set_result(task())
                except BaseException as error:  # noqa: BLE001 - who asks for the result gets it
                    future.set_exception(error)

    for _ in range(min(threads, len(tasks))):
        threading.Thread(target=work, daemon=True).start()
    wait(futures, timeout=seconds)
    return [future.result() if future.done() else None for future in futures]
