"""The series in memory: their labels in columns, one table a metric, and which of them match.

A series has a slot while it is in memory (slots are used again) and a number for ever (`identity`, by which history
knows it). A metric has few label names, so a table per metric wastes nothing and a query that names its metric looks
at no other's series.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mainstay.observe.metrics.promql.plan import NAME, Matcher
from mainstay.observe.metrics.promql.series import Codes, Index, Mask, Series, Symbols, stack
from mainstay.observe.metrics.store.matching import Matching, name_of

Key = bytes


class Table:
    """The series of one metric. Rows are in no order; a row that goes is filled with the last."""

    __slots__ = ("_codes", "_slots", "count", "moves", "names", "version")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._codes = np.zeros((4, len(names)), np.int32)
        self._slots = np.zeros(4, np.int32)
        self.count = 0
        self.version = 0  # counts changes of the set of series
        self.moves = 0  # counts changes of where their samples lie

    @property
    def codes(self) -> Codes:
        return self._codes[: self.count]

    @property
    def slots(self) -> Codes:
        return self._slots[: self.count]

    @property
    def memory_bytes(self) -> int:
        return self._codes.nbytes + self._slots.nbytes

    def add(self, names: Sequence[str], codes: Sequence[int], slot: int) -> int:
        """Add a series; return its row."""
        if tuple(names) != self.names:
            self._widen(names)
        if self.count == len(self._slots):
            more = max(4, self.count // 2)
            self._codes = np.concatenate([self._codes, np.zeros((more, len(self.names)), np.int32)])
            self._slots = np.concatenate([self._slots, np.zeros(more, np.int32)])
        row = self.count
        if tuple(names) == self.names:
            self._codes[row] = codes
        else:
            self._codes[row] = 0
            for name, code in zip(names, codes, strict=True):
                self._codes[row, self.names.index(name)] = code
        self._slots[row] = slot
        self.count += 1
        self.version += 1
        return row

    def _widen(self, names: Sequence[str]) -> None:
        wider = tuple(sorted({*self.names, *names}))
        if wider == self.names:
            return
        codes = np.zeros((len(self._codes), len(wider)), np.int32)
        codes[:, [wider.index(name) for name in self.names]] = self._codes
        self.names, self._codes = wider, codes

    def remove(self, row: int) -> int | None:
        """Take a series out; return the slot of the one that is now in its row, if any."""
        last = self.count - 1
        self.count = last
        self.version += 1
        if row == last:
            return None
        self._codes[row], self._slots[row] = self._codes[last], self._slots[last]
        return int(self._slots[row])

    def column(self, name: str) -> Codes | None:
        return self._codes[: self.count, self.names.index(name)] if name in self.names else None


class SeriesIndex:
    """Slots, numbers and labels of the series in memory. The store's lock protects it."""

    def __init__(self, symbols: Symbols) -> None:
        self.symbols = symbols
        self.matching = Matching(symbols)
        self.tables: dict[str, Table] = {}
        self.version = 0  # of all tables: counts changes of any set of series
        self.moves = 0
        self.next_identity = 1
        self.of_job: Counter[str] = Counter()
        self._by_key: dict[Key, int] = {}
        self._free: list[int] = []
        self._jobs: list[str] = []
        self._job_numbers: dict[str, int] = {}
        self.used = 0
        self.identity = np.zeros(64, np.int32)
        self._table_of: list[Table | None] = [None] * 64
        self._row_of = np.zeros(64, np.int32)
        self._job_of = np.zeros(64, np.int32)

    def __len__(self) -> int:
        return len(self._by_key)

    @property
    def memory_bytes(self) -> int:
        """Estimate the memory of labels and lookups."""
        tables = sum(table.memory_bytes for table in self.tables.values())
        per_key = 190  # bytes of a key with eight labels and its entry, measured
        return tables + len(self._by_key) * per_key + len(self.identity) * 20 + len(self.symbols) * 130

    def find(self, labels: Mapping[str, str]) -> int | None:
        """Return the slot of a label set without registering anything."""
        key = self._key(labels)
        return None if key is None else self._by_key.get(key)

    def _key(self, labels: Mapping[str, str]) -> Key | None:
        find = self.symbols.find
        flat = array("i")
        for name in sorted(labels):
            if not labels[name]:
                continue
            pair = find(name), find(labels[name])
            if pair[0] is None or pair[1] is None:
                return None
            flat.extend(pair)  # type: ignore[arg-type]  # neither is None
        return flat.tobytes()

    def add(self, labels: Mapping[str, str], job: str, identity: int | None = None) -> int:
        """Register a label set that has no slot yet; return its slot."""
        names = [name for name in sorted(labels) if labels[name]]
        code = self.symbols.code
        codes = [code(labels[name]) for name in names]
        flat = array("i")
        for name, value in zip(names, codes, strict=True):
            flat.extend((code(name), value))
        if identity is None:
            identity = self.next_identity
        self.next_identity = max(self.next_identity, identity + 1)
        slot = self._free.pop() if self._free else self.used
        if slot == self.used:
            self.used += 1
            if self.used > len(self.identity):
                self._grow()
        metric = labels.get(NAME, "")
        table = self.tables.get(metric)
        if table is None:
            table = self.tables[metric] = Table(tuple(names))
        self.identity[slot] = identity
        self._table_of[slot] = table
        self._row_of[slot] = table.add(names, codes, slot)
        number = self._job_numbers.get(job)
        if number is None:
            number = self._job_numbers[job] = len(self._jobs)
            self._jobs.append(job)
        self._job_of[slot] = number
        self.of_job[job] += 1
        self._by_key[flat.tobytes()] = slot
        self.version += 1
        return slot

    def _grow(self) -> None:
        more = len(self.identity) // 2 + 64
        self.identity = np.concatenate([self.identity, np.zeros(more, np.int32)])
        self._row_of = np.concatenate([self._row_of, np.zeros(more, np.int32)])
        self._job_of = np.concatenate([self._job_of, np.zeros(more, np.int32)])
        self._table_of.extend([None] * more)

    def remove(self, slot: int) -> None:
        """Take a series out of memory; its slot may be used again."""
        table = self._table_of[slot]
        assert table is not None
        labels = self.labels(slot)
        key = self._key(labels)
        assert key is not None
        del self._by_key[key]
        moved = table.remove(int(self._row_of[slot]))
        if moved is not None:
            self._row_of[moved] = self._row_of[slot]
        job = self._jobs[self._job_of[slot]]
        self.of_job[job] -= 1
        if not self.of_job[job]:
            del self.of_job[job]
        if not table.count:
            del self.tables[labels.get(NAME, "")]
        self._table_of[slot] = None
        self.identity[slot] = 0
        self._free.append(slot)
        self.version += 1

    def labels(self, slot: int) -> dict[str, str]:
        """Return the labels of a slot."""
        table = self._table_of[slot]
        assert table is not None
        texts = self.symbols.texts
        codes = table.codes[self._row_of[slot]].tolist()
        return {name: texts[code] for name, code in zip(table.names, codes, strict=True) if code}

    def job(self, slot: int) -> str:
        """Return the job that registered the series of a slot."""
        return self._jobs[int(self._job_of[slot])]

    def jobs(self, slots: Codes) -> tuple[list[str], Codes]:
        """Return the jobs of some slots, each once, and which one each slot has."""
        numbers, places = np.unique(self._job_of[slots], return_inverse=True)
        return [self._jobs[number] for number in numbers.tolist()], places.astype(np.int32)

    def slots(self) -> Index:
        """Return all slots in use."""
        return np.flatnonzero(self.identity[: self.used])

    def moved(self, slots: Iterable[int]) -> None:
        """Note that the samples of these series lie somewhere else now."""
        for table in {id(table): table for slot in slots if (table := self._table_of[slot]) is not None}.values():
            table.moves += 1
        self.moves += 1

    def stamp(self, matchers: Sequence[Matcher]) -> tuple[object, int, int]:
        """Return what changes when the answer to these matchers may: with the set of series, with their places."""
        name = name_of(matchers)
        if name is None:
            return None, self.version, self.moves
        table = self.tables.get(name)
        return (table, table.version, table.moves) if table is not None else (None, -1, -1)

    def select(self, matchers: Sequence[Matcher]) -> tuple[Series, Codes]:
        """Return the series that match and their slots.

        Raises:
            BadPattern: a regular expression is none.
        """
        name = name_of(matchers)
        if name is not None:
            tables = [self.tables[name]] if name in self.tables else []
        else:
            about = [matcher for matcher in matchers if matcher.name == NAME]
            tables = [
                table
                for metric, table in self.tables.items()
                if all(self.matching.text(matcher, metric) for matcher in about)
            ]
        rest = [matcher for matcher in matchers if matcher.name != NAME]
        parts, slots = [], []
        for table in tables:
            mask = self._rows(table, rest)
            if mask is False:
                continue
            rows = slice(None) if mask is True else np.flatnonzero(mask)
            parts.append(Series(self.symbols, table.names, table.codes[rows].copy()))
            slots.append(table.slots[rows].copy())
        if not parts:
            for matcher in matchers:  # a bad pattern is an error even where nothing is there to match
                self.matching.text(matcher, "")
            return Series(self.symbols, (), np.zeros((0, 0), np.int32)), np.zeros(0, np.int32)
        if len(parts) == 1:
            return parts[0], slots[0]
        return stack(self.symbols, parts), np.concatenate(slots)

    def _rows(self, table: Table, matchers: Sequence[Matcher]) -> Mask | bool:
        """Return which rows match, or one word for all."""
        mask: Mask | None = None
        for matcher in matchers:
            column = table.column(matcher.name)
            if column is None:
                if not self.matching.text(matcher, ""):
                    return False
                continue
            found = self.matching.column(matcher, column)
            mask = found if mask is None else mask & found
        if mask is None:
            return True
        return mask if mask.any() else False

    def tables_of(self, slots: NDArray[np.int32]) -> list[tuple[Table, Index]]:
        """Return slots by table: the table and the rows."""
        by_table: dict[int, tuple[Table, list[int]]] = {}
        for slot in slots.tolist():
            table = self._table_of[slot]
            assert table is not None
            by_table.setdefault(id(table), (table, []))[1].append(int(self._row_of[slot]))
        return [(table, np.array(rows, np.intp)) for table, rows in by_table.values()]
