"""What a crash campaign plans, and what it reports: for people as a table, for machines as JSON."""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from faults import Proof
from table_hash import TableContent, differences

# Most kills must have interrupted work: frames were sent that were not yet stored.
INTERRUPTED_SHARE = 0.5
KINDS = {
    "kill": "kill -9 at a random moment",
    "kill-in-transaction": "kill -9 inside an open transaction",
    "cut-connections": "connections of the pool cut",
    "cut-leadership": "connection that holds the lock cut",
    "crash-postgres": "Postgres crashed and restarted",
    "time-out": "statement timeout",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is to happen."""

    kills: int = 100
    seed: int = 1
    frames: int = 5000

    def lives(self) -> list[str]:
        """Return the fault of each life of the process, in a random order; each `kill` and other fault is one."""
        inside = max(1, self.kills // 4)
        others = {
            "cut-connections": max(1, self.kills // 10),
            "cut-leadership": max(1, self.kills // 25),
            "crash-postgres": max(1, self.kills // 12),
            "time-out": max(1, self.kills // 20),
        }
        # A life whose connections are cut, or whose statements time out, goes on and ends by a kill.
        ending = others["cut-connections"] + others["time-out"]
        counts = {"kill": max(0, self.kills - inside - ending), "kill-in-transaction": inside, **others}
        lives = [kind for kind, count in counts.items() for _ in range(count)]
        random.Random(self.seed).shuffle(lives)
        return lives


@dataclass
class Report:
    """What happened and what came of it."""

    plan: Plan
    planned: Counter[str] = field(default_factory=Counter)
    proofs: dict[str, list[Proof]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    happened: Counter[str] = field(default_factory=Counter)
    lives: int = 0
    frames: int = 0
    kills: int = 0
    interrupted: int = 0
    tables: dict[str, tuple[int, str, str]] = field(default_factory=dict)  # rows, hash in peace, hash disturbed
    problems: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Tell whether the campaign proves what it is for."""
        return not self.problems

    def compare(self, peaceful: dict[str, TableContent], disturbed: dict[str, TableContent]) -> None:
        """Note which tables differ, and how the first of them does."""
        differing = False
        for name, content in peaceful.items():
            other = disturbed[name]
            self.tables[name] = (len(content.rows), content.digest, other.digest)
            if content.digest != other.digest:
                self.problems.append(f"{name} differs")
                self.problems += [] if differing else differences(content, other)
                differing = True

    def judge(self) -> None:
        """Note which faults did not happen as planned: without them equal tables prove nothing."""
        for kind, title in KINDS.items():
            if len(self.proofs[kind]) < max(1, self.planned[kind]):
                self.problems.append(f"{title}: fired {len(self.proofs[kind])} of {self.planned[kind]} times")
        if self.kills < self.plan.kills:
            self.problems.append(f"{self.kills} kills of {self.plan.kills}")
        if self.interrupted < INTERRUPTED_SHARE * self.kills:
            self.problems.append(f"only {self.interrupted} of {self.kills} kills interrupted work")

    def as_json(self) -> dict[str, Any]:
        """Return the report for machines."""
        return {
            "seed": self.plan.seed,
            "frames": self.frames,
            "lives": self.lives,
            "kills": self.kills,
            "kills_that_interrupted": self.interrupted,
            "faults": {kind: {"planned": self.planned[kind], "fired": len(self.proofs[kind])} for kind in KINDS},
            "proofs": {kind: [proof.what for proof in proofs] for kind, proofs in self.proofs.items()},
            "world": dict(self.happened),
            "tables": {
                name: {"rows": rows, "hash": one, "is_equal": one == two}
                for name, (rows, one, two) in self.tables.items()
            },
            "seconds": self.seconds,
            "problems": self.problems,
            "is_good": self.is_good,
        }

    def as_text(self) -> str:
        """Return the report for people."""
        lines = [
            f"seed {self.plan.seed}, {self.frames:,} frames, {self.lives} lives, {self.kills} kills, {self.interrupted} of them with frames sent and not stored",
            "",
        ]
        for kind, title in KINDS.items():
            example = f"   e.g. {self.proofs[kind][-1].what}" if self.proofs[kind] else ""
            lines.append(f"{title:<38} planned {self.planned[kind]:>3}  fired {len(self.proofs[kind]):>3}{example}")
        lines.append("")
        lines += [
            f"{name:<30} {rows:>7} rows  {one[:12]}  {'equal' if one == two else 'DIFFERENT'}"
            for name, (rows, one, two) in self.tables.items()
        ]
        lines.append("")
        lines.append(", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.seconds.items()))
        lines += self.problems or ["All tables equal."]
        return "\n".join(lines)
