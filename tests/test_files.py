"""Files that hold secrets are for their owner alone, and never seen half-written."""

import threading
from pathlib import Path

from dev.files import write_private


def test_a_private_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Nothing stays beside it."""
    file = tmp_path / "secret"
    write_private(file, "first")
    write_private(file, "second")

    assert file.read_text(encoding="utf-8") == "second"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_reader_never_sees_half_of_a_private_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    texts = [letter * 2_000_000 for letter in "ab"]
    write_private(file, texts[0])
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for text in texts:
                write_private(file, text)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        assert {file.read_text(encoding="utf-8") in texts for _ in range(100)} == {True}
    finally:
        stop.set()
        for writer in writers:
            writer.join()
