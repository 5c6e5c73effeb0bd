"""Folders for files on their way are gone when their process is, however it ended."""

import os
import subprocess
import sys
from pathlib import Path

from appview.media.scratch import make_scratch_folder

ROOT = Path(__file__).resolve().parents[3]
_KILLED = """
import os, signal, sys
from pathlib import Path
from appview.media.scratch import make_scratch_folder
(make_scratch_folder(Path(sys.argv[1])) / "half").write_bytes(b"x")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed_by_the_next_and_nothing_else_is(tmp_path: Path) -> None:
    mine = make_scratch_folder(tmp_path)
    (tmp_path / "plyr-media-notes").mkdir()
    (tmp_path / f"plyr-media-1-{'x' * 8}").mkdir()
    subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert len(list(tmp_path.iterdir())) == 4
    again = make_scratch_folder(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(
        [mine, again, tmp_path / "plyr-media-notes", tmp_path / f"plyr-media-1-{'x' * 8}"]
    )
