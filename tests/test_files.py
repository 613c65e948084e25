"""Files that hold secrets are for their owner alone, and never seen half-written."""

import threading
from pathlib import Path

from dev.files import write_private


def test_a_private_file_is_for_its_owner_alone_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    write_private(file, "first")
    write_private(file, "second")

    assert file.read_text(encoding="utf-8") == "second"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_who_reads_a_private_file_while_it_is_written_sees_a_whole_one(tmp_path: Path) -> None:
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
