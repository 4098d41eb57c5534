# SPDX-License-Identifier: MIT
"""The truth that mirrors are compared with: the fold of the journal, computed
from the lines of `weir export` and from nothing else. Values stay the raw JSON
text that they came as."""

import collections
import csv
import json
import sqlite3
from decimal import Decimal
from json.decoder import scanstring

_decoder = json.JSONDecoder()
_white = " \t\r\n"


def _skip(text, i):
    while i < len(text) and text[i] in _white:
        i += 1
    return i


def members(text):
    """The top-level members of a JSON object: name -> raw text, in order; None
    when text is another value."""
    i = _skip(text, 0)
    if text[i : i + 1] != "{":
        return None
    out = collections.OrderedDict()
    i = _skip(text, i + 1)
    while text[i] != "}":
        name, i = scanstring(text, i + 1, True)
        i = _skip(text, i)
        assert text[i] == ":"
        start = _skip(text, i + 1)
        _, i = _decoder.raw_decode(text, start)
        out[name] = text[start:i]
        i = _skip(text, i)
        if text[i] == ",":
            i = _skip(text, i + 1)
    return out


class Record:
    """One line of an export."""

    def __init__(self, line):
        m = members(line)
        meta = members(m["metadata"])
        self.line = line
        self.members = m
        self.type = json.loads(m["aggregate_type"])
        self.id = json.loads(m["aggregate_id"])
        self.event = json.loads(m["event_type"])
        self.payload = m["payload"]
        self.version = int(m["version"])
        self.sequence = int(m["sequence"])
        self.created_at = json.loads(meta["created_at"])
        issued = json.loads(meta["issued_by"])
        self.user = issued["user"] if issued else None


class Aggregate:
    def __init__(self, record):
        self.type, self.id = record.type, record.id
        self.first = record
        self.last = None
        self.version = 0
        self.state = collections.OrderedDict()

    def apply(self, record):
        assert record.version == self.version + 1, record.line
        self.version = record.version
        self.last = record
        got = members(record.payload)
        if got is None:
            got = {"_value": record.payload}
        self.state.update(got)

    def row(self):
        """Base columns as a mirror shows them."""
        return {
            "id": self.id,
            "version": str(self.version),
            "created_at": self.first.created_at,
            "created_by": self.first.user,
            "updated_at": self.last.created_at,
            "updated_by": self.last.user,
        }


def records(text):
    return [Record(line) for line in text.split("\n") if line]


def fold(recs, each=None, first=1):
    """(type, id) -> Aggregate; each(aggregate, record) is called after every
    step. Checks the numbering of versions and, from first on, of sequences."""
    out = collections.OrderedDict()
    for n, r in enumerate(recs, first):
        assert r.sequence == n, "sequence %d stands at %d" % (r.sequence, n)
        key = (r.type, r.id)
        if key not in out:
            out[key] = Aggregate(r)
        out[key].apply(r)
        if each:
            each(out[key], r)
    return out


# ---- cells ------------------------------------------------------------------


def exact(raw):
    """A JSON value with numbers kept exact, to compare what may be written
    another way (jsonb)."""
    return json.loads(raw, parse_float=Decimal, parse_int=Decimal)


def cell_is(raw, cell):
    """Does a mirror's cell (None, int or text) hold the JSON value raw (None:
    the member is absent)?"""
    if raw is None or raw == "null":
        return cell is None
    if cell is None:
        return False
    if raw in ("true", "false"):
        return str(cell) in (
            ("1", "true", "t") if raw == "true" else ("0", "false", "f")
        )
    if raw[0] == '"':
        return cell == json.loads(raw)
    if raw[0] in "{[":
        return cell == raw or exact(cell) == exact(raw)
    return str(cell) == raw


def row_differs(aggregate, row, columns):
    """What is wrong with a mirror's row (column -> cell), or None. columns:
    field -> column."""
    for name, want in aggregate.row().items():
        have = row[name]
        if have is not None:
            have = str(have)
        if name.endswith("_at"):
            if have is None or not same_time(want, have):
                return "%s is %r, not %r" % (name, have, want)
        elif have != want:
            return "%s is %r, not %r" % (name, have, want)
    for field, raw in aggregate.state.items():
        column = columns.get(field)
        if column is None:
            if raw != "null":
                return "field %r has no column" % field
        elif not cell_is(raw, row[column]):
            return "%s is %r, not %s" % (column, row[column], raw)
    known = {columns.get(f) for f in aggregate.state}
    for field, column in columns.items():
        if column not in known and row[column] is not None:
            return "%s is %r, but the state has no %r" % (
                column, row[column], field,
            )
    return None


def same_time(a, b):
    """RFC 3339 with Z, against the same or PostgreSQL's text in UTC."""

    def plain(t):
        t = t.replace(" ", "T")
        for end in ("+00:00", "+00", "Z"):
            if t.endswith(end):
                t = t[: -len(end)]
                break
        day, _, clock = t.partition("T")
        clock, _, part = clock.partition(".")
        return day, clock, part.ljust(6, "0")

    return plain(a) == plain(b)


# ---- mirrors ----------------------------------------------------------------


def _compare(truth, mirror, kind):
    """mirror: type -> (columns, {id: row})."""
    wrong = []
    seen = 0
    for aggregate in truth.values():
        columns, rows = mirror.get(aggregate.type, ({}, {}))
        row = rows.get(aggregate.id)
        if row is None:
            wrong.append("%s %s: no row" % (aggregate.type, aggregate.id))
            continue
        seen += 1
        why = row_differs(aggregate, row, columns)
        if why:
            wrong.append("%s %s: %s" % (aggregate.type, aggregate.id, why))
    extra = sum(len(rows) for _, rows in mirror.values()) - seen
    if extra:
        wrong.append("%d rows of no aggregate" % extra)
    assert not wrong, "%s mirror: %d wrong:\n%s" % (
        kind, len(wrong), "\n".join(wrong[:20]),
    )
    return seen


def _shape(rows):
    """Rows of weir_columns -> type -> (table, {field: column})."""
    tables, columns = {}, collections.defaultdict(dict)
    for kind, aggregate, field, name in rows:
        if kind == "table":
            tables[aggregate] = name
        elif kind != "history":
            columns[aggregate][field] = name
    return {t: (tables[t], columns[t]) for t in tables}


WEIR_COLUMNS = "SELECT kind, aggregate_type, field, name FROM weir_columns"


def _quoted(name):
    return '"' + name.replace('"', '""') + '"'


def sqlite_is(truth, path):
    db = sqlite3.connect("file:%s?mode=ro" % path, uri=True)
    db.text_factory = lambda b: b.decode("utf-8")
    db.row_factory = sqlite3.Row
    assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    mirror = {}
    for t, (table, columns) in _shape(db.execute(WEIR_COLUMNS)).items():
        rows = db.execute("SELECT * FROM " + _quoted(table)).fetchall()
        mirror[t] = (columns, {r["id"]: dict(r) for r in rows})
        assert len(mirror[t][1]) == len(rows)
    db.close()
    return _compare(truth, mirror, "SQLite")


def _postgres_rows(db, table):
    """All rows of a table (its quoted name) as dicts of text."""
    kinds = dict(db.query(
        "SELECT attname, atttypid::regtype FROM pg_attribute WHERE "
        "attnum > 0 AND NOT attisdropped AND attrelid = '%s'::regclass "
        "ORDER BY attnum" % table.replace("'", "''")
    ))
    # Null in a jsonb column is jsonb's own null.
    got = db.query(
        "SET TimeZone = 'UTC'; SELECT %s FROM %s"
        % (
            ", ".join(
                "nullif(%s, 'null'::jsonb)::text" % _quoted(n)
                if kinds[n] == "jsonb"
                else _quoted(n) + "::text"
                for n in kinds
            ),
            table,
        )
    )
    return [dict(zip(kinds, r)) for r in got]


def _weir_columns(db, space):
    return db.query(
        "SELECT kind, aggregate_type, coalesce(field, ''), name FROM "
        + space + "weir_columns"
    )


def postgres_is(truth, db, schema="public"):
    """db: a pg.Database."""
    space = _quoted(schema) + "."
    mirror = {}
    for t, (table, columns) in _shape(_weir_columns(db, space)).items():
        rows = _postgres_rows(db, space + _quoted(table))
        mirror[t] = (columns, {r["id"]: r for r in rows})
        assert len(mirror[t][1]) == len(rows)
    return _compare(truth, mirror, "PostgreSQL")


OF_HISTORY = ("event_type", "sequence", "committed_at")


def history_is(recs, db, schema="public", missing=lambda record: False):
    """The tables of versions hold the state at every version, but for the
    records that are missing, and nothing else."""
    space = _quoted(schema) + "."
    entries = _weir_columns(db, space)
    names = {a: name for kind, a, _, name in entries if kind == "history"}
    histories = {}
    for t, (_, columns) in _shape(entries).items():
        columns = {
            field: "field_" + name if name in OF_HISTORY else name
            for field, name in columns.items()
        }
        rows = _postgres_rows(db, space + _quoted(names[t]))
        histories[t] = (
            columns, {(r["id"], int(r["version"])): r for r in rows}
        )
        assert len(histories[t][1]) == len(rows)
    wrong = []

    def each(aggregate, record):
        where = "%s %s version %d" % (record.type, record.id, record.version)
        columns, rows = histories.get(record.type, ({}, {}))
        row = rows.pop((record.id, record.version), None)
        if missing(record):
            if row is not None:
                wrong.append(where + " is there")
            return
        if row is None:
            wrong.append(where + ": no row")
            return
        meta = members(record.members["metadata"])
        why = row_differs(aggregate, row, columns)
        if row["event_type"] != record.event:
            why = "event_type is " + row["event_type"]
        if row["sequence"] != str(record.sequence):
            why = "sequence is " + row["sequence"]
        if not same_time(json.loads(meta["committed_at"]), row["committed_at"]):
            why = "committed_at is " + row["committed_at"]
        if why:
            wrong.append("%s: %s" % (where, why))

    fold(recs, each)
    for t, (_, rows) in histories.items():
        wrong += ["%s %s: a row of no record" % (t, key) for key in rows]
    assert not wrong, "history: %d wrong:\n%s" % (
        len(wrong), "\n".join(wrong[:20]),
    )


def csv_cell_is(raw, cell):
    if raw is None or raw == "null":
        return cell == ""
    return cell_is(raw, cell)


def csv_is(recs, file_of, column_of=lambda aggregate_type, field: field,
           first=1):
    """Every version has its row, in order. file_of: aggregate type -> path."""
    readers = {}

    def step(aggregate, record):
        if record.type not in readers:
            f = open(file_of(record.type), newline="", encoding="utf-8")
            readers[record.type] = csv.DictReader(f), f
        row = next(readers[record.type][0], None)
        where = "CSV of %s, sequence %d" % (record.type, record.sequence)
        assert row is not None, where + ": the row is missing"
        for name, want in aggregate.row().items():
            if name.endswith("_at"):
                assert same_time(want, row[name]), where + ": " + name
            else:
                assert row[name] == (want or ""), "%s: %s is %r, not %r" % (
                    where, name, row[name], want,
                )
        for field, raw in aggregate.state.items():
            column = column_of(record.type, field)
            if column not in row and raw == "null":
                continue
            assert csv_cell_is(raw, row[column]), "%s: %s is %r, not %s" % (
                where, column, row[column], raw,
            )

    csv.field_size_limit(1 << 30)
    fold(recs, step, first)
    for t, (reader, f) in readers.items():
        extra = next(reader, None)
        f.close()
        assert extra is None, "CSV of %s: a row too many: %r" % (t, extra)


def json_is(recs, path):
    """Every record has its line, once and in order."""
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    assert lines.pop() == "", "the JSON file does not end with a line's end"
    assert len(lines) == len(recs), "JSON: %d lines for %d records" % (
        len(lines), len(recs),
    )
    for line, r in zip(lines, recs):
        m = members(line)
        for name in (
            "sequence", "version", "payload", "hash", "merkle_root",
            "aggregate_type", "aggregate_id", "event_type",
        ):
            if name in r.members:
                assert m[name] == r.members[name], "JSON: %s of sequence %d" % (
                    name, r.sequence,
                )
