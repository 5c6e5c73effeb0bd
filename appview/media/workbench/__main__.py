"""One job: read from standard input as JSON, done, and answered on standard output in two lines of JSON.

The first line says that the limits hold and that the libraries are loaded; who dies after it died of the file. Only the
libraries of the kind of job are loaded, so a picture never meets FFmpeg. Nothing of the environment is read, and
nothing that libraries print can be taken for an answer.
"""

import importlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from appview.media.workbench.limits import Caps, confine
from appview.media.workbench.verdicts import Failed, Rejected

_MODULES = {
    "probe": "appview.media.workbench.probe",
    "render": "appview.media.workbench.rendering",
    "picture": "appview.media.workbench.pictures",
}
_EXPENSIVE = {"rejected": "too-expensive: it takes more memory than a job may have"}


def main() -> None:
    """Do the job on standard input."""
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    job: Mapping[str, Any] = json.loads(sys.stdin.buffer.read())
    caps = Caps(**job["limits"])
    confine(caps, job["parent_pid"])
    module = importlib.import_module(_MODULES[job["kind"]])
    _write_line(answers, {"ready": True})
    _write_line(answers, _answer(module.work, job, caps))


def _answer(work: Any, job: Mapping[str, Any], caps: Caps) -> Mapping[str, Any]:
    try:
        return {"done": work(job, caps)}
    except Rejected as rejected:
        return {"rejected": rejected.reason}
    except Failed as failed:
        return {"failed": str(failed)}
    except MemoryError:
        return _EXPENSIVE


def _write_line(descriptor: int, answer: Mapping[str, Any]) -> None:
    os.write(descriptor, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
