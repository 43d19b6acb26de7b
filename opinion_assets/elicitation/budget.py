"""Hard budgets: money is reserved before a request is sent, so that no budget is ever passed.

Belongs here: reserving and settling amounts for a run and, across processes, for the project. Does not belong here:
prices (``models.registry``).
"""

import fcntl
import glob
import math
import os
import struct
from pathlib import Path

import orjson

from opinion_assets.errors import InputError
from opinion_assets.models.registry import ModelVersion
from opinion_assets.paths import path_key

#: Environment variable with the project's budget, US dollars.
PROJECT_BUDGET_VARIABLE = "OPINION_PROJECT_BUDGET_USD"
_NANO = 1_000_000_000
_CELL = struct.Struct("<q")


class Budget:
    """Money of one run, and its share of the project's.

    The project's sum lives in ``ledger``, an integer of 10⁻⁹ US dollars changed under a file lock. A process that is
    killed leaves its reservations in it: the requests were under way and may have been charged. Where the ledger is
    missing it starts from the costs in the journals beside it. ``None`` is no limit.
    """

    def __init__(self, ledger: Path, run_usd: float | None, project_usd: float | None) -> None:
        self.run_usd, self.project_usd = run_usd, project_usd
        self._run_limit = _nano(run_usd)
        self._project_limit = _nano(project_usd)
        self._run = 0
        ledger.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(ledger, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            if os.fstat(self._fd).st_size < _CELL.size:
                os.pwrite(self._fd, _CELL.pack(math.ceil(journalled_usd(ledger.parent) * _NANO)), 0)
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the ledger."""
        os.close(self._fd)

    def reserve(self, usd: float) -> bool:
        """Set aside the most a request may cost; False where that would pass a budget."""
        amount = math.ceil(usd * _NANO)
        if self._run_limit is not None and self._run + amount > self._run_limit:
            return False
        if not self._change(amount):
            return False
        self._run += amount
        return True

    def settle(self, reserved_usd: float, cost_usd: float) -> None:
        """Replace a reservation by what the request cost."""
        change = math.ceil(cost_usd * _NANO) - math.ceil(reserved_usd * _NANO)
        self._run += change
        self._change(change)

    def sync(self) -> None:
        """Force the project's sum onto the disk."""
        os.fdatasync(self._fd)

    def adopt(self, usd: float) -> None:
        """Count towards this run a reservation that an earlier process left in the project's sum."""
        self._run += math.ceil(usd * _NANO)

    @property
    def room_usd(self) -> float:
        """The most that could be reserved now, US dollars; infinite without a limit."""
        run = math.inf if self._run_limit is None else self._run_limit - self._run
        spent = _CELL.unpack(os.pread(self._fd, _CELL.size, 0))[0]
        project = math.inf if self._project_limit is None else self._project_limit - spent
        return max(0.0, min(run, project) / _NANO)

    @property
    def project_spent_usd(self) -> float:
        """What the project has spent or reserved, US dollars."""
        return float(_CELL.unpack(os.pread(self._fd, _CELL.size, 0))[0]) / _NANO

    def _change(self, amount: int) -> bool:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            total: int = _CELL.unpack(os.pread(self._fd, _CELL.size, 0))[0] + amount
            if amount > 0 and self._project_limit is not None and total > self._project_limit:
                return False
            os.pwrite(self._fd, _CELL.pack(total), 0)
            return True
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)


def _nano(usd: float | None) -> int | None:
    return None if usd is None else math.floor(usd * _NANO)


def journalled_usd(journal_dir: Path, model_version: str | None = None) -> float:
    """Sum of the costs of all journals below a folder and of what is set aside for batches under way, US dollars.

    Of all model versions, or of one.
    """
    folder = glob.escape(path_key(model_version)) if model_version else "*"
    total = 0.0
    for path in sorted(journal_dir.glob(f"{folder}/*/batches/*.json")):
        try:
            total += float(orjson.loads(path.read_bytes())["reserved_usd"])
        except FileNotFoundError:
            continue  # finished meanwhile
        except (ValueError, KeyError, TypeError):
            raise InputError("the record of a batch is damaged; what it may cost cannot be told", file=path) from None
    # Translations lie beside the answers, one file a model version.
    translations = journal_dir.glob(f"translation/{folder}.jsonl")
    for path in sorted([*journal_dir.glob(f"{folder}/*/*.jsonl"), *translations]):
        with path.open("rb") as file:
            for line in file:
                try:
                    total += orjson.loads(line).get("cost_usd", 0.0)
                except (orjson.JSONDecodeError, AttributeError):
                    continue  # a torn line: not an answer
    return total


def check_budget(usd: float | None, name: str) -> float | None:
    """The budget as given; :class:`InputError` naming the field where it is no amount of money."""
    if usd is not None and not (math.isfinite(usd) and 0 <= usd <= 1e9):
        raise InputError(f"must be an amount of US dollars from 0 to 1e9, not {usd}", field=name)
    return usd


def project_budget(usd: float | None = None) -> float | None:
    """The project's budget: ``usd``, else $OPINION_PROJECT_BUDGET_USD, else None: no limit."""
    text = os.environ.get(PROJECT_BUDGET_VARIABLE, "")
    if usd is not None or not text:
        return usd
    try:
        return check_budget(float(text), PROJECT_BUDGET_VARIABLE)
    except ValueError:
        raise InputError(f"environment variable {PROJECT_BUDGET_VARIABLE} is no number: {text[:40]!r}") from None


def spent_usd(journal_dir: Path) -> float:
    """What the project has spent or reserved, US dollars. Writes nothing."""
    try:
        return float(_CELL.unpack((journal_dir / "spent").read_bytes()[: _CELL.size])[0]) / _NANO
    except (FileNotFoundError, struct.error):
        return journalled_usd(journal_dir)


def run_limit_usd(journal_dir: Path, model: ModelVersion, budget_usd: float | None) -> float | None:
    """What a run may spend: its own budget, and no more than is left of the model version's. None is no limit."""
    if model.budget_usd is None:
        return budget_usd
    left = max(0.0, model.budget_usd - journalled_usd(journal_dir, model.model_version))
    return left if budget_usd is None else min(left, budget_usd)
