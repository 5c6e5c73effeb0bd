"""The flags that several commands share, each with the variable that sets the same."""

from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter

Relay: TypeAlias = Annotated[
    list[str] | None,
    Parameter(
        name="--relay", negative="", help="Relay, or PDS, to follow; several are followed at once [PLYR_RELAY_URL]."
    ),
]
Labeler: TypeAlias = Annotated[
    list[str] | None,
    Parameter(
        name="--labeler",
        negative="",
        help="DID of a labeler whose labels are indexed; several are followed, none unless set [PLYR_LABELERS].",
    ),
]
Plc: TypeAlias = Annotated[str | None, Parameter(name="--plc", help="PLC directory to ask [PLYR_PLC_URL].")]
Port: TypeAlias = Annotated[
    int | None, Parameter(name="--port", help="Port to serve on, 8001 unless set; 0 takes a free one [PLYR_PORT].")
]
Host: TypeAlias = Annotated[
    str | None, Parameter(name="--host", help="Address to serve on, 127.0.0.1 unless set [PLYR_HOST].")
]
MetricsPort: TypeAlias = Annotated[
    int | None,
    Parameter(
        name="--metrics-port",
        help="Port of the indexer's /metrics and /health, none unless set; 0 takes a free one [PLYR_METRICS_PORT].",
    ),
]
DataDir: TypeAlias = Annotated[
    Path | None,
    Parameter(
        name="--data-dir",
        help="Folder of the embedded Postgres, used unless PLYR_DATABASE_URL names a database [PLYR_DATA_DIR].",
    ),
]
AllowHost: TypeAlias = Annotated[
    list[str] | None,
    Parameter(
        name="--allow-host",
        negative="",
        help="HOST:PORT of a development network that may be asked although it is not public [PLYR_ALLOWED_HOSTS].",
    ),
]
Mirror: TypeAlias = Annotated[
    str | None,
    Parameter(
        name="--mirror",
        help="Whether audio and pictures are kept here: always, on-play or never; on-play unless set [PLYR_MIRROR].",
    ),
]
LogLevel: TypeAlias = Annotated[
    str | None, Parameter(name="--log-level", help="debug, info, warning or error [PLYR_LOG_LEVEL].")
]
AsJson: TypeAlias = Annotated[
    bool, Parameter(name="--json", negative="", help="Print one JSON object, for scripts.", show_default=False)
]
