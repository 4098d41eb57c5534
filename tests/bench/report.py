# SPDX-License-Identifier: MIT
"""Runs the benchmark programs and reports: a table on standard output, the
rows in OUT/results.json, a picture in OUT/results.svg.

    report.py --mode quick|usual|full --dir FOLDER --out OUT PROGRAM...

Each program is run with --json FILE, --dir FOLDER and, by the mode, --quick or
--full, and appends one JSON object a line to FILE; README.md beside this file
has its members. With --from FILE the results.json of an earlier run is shown
again. Exits 1 when a program failed, never for a target that was missed."""

import argparse
import json
import math
import operator
import os
import platform
import re
import subprocess
import sys
import time
from xml.sax.saxutils import escape

TARGET = re.compile(r"(value|ratio) (>=|<=) ([0-9.]+)$")
HOLDS = {">=": operator.ge, "<=": operator.le}


# ---- rows -------------------------------------------------------------------


def run(program, mode, folder, rows_file):
    command = [program, "--dir", folder, "--json", rows_file]
    if program.endswith(".py"):
        command.insert(0, sys.executable)
    if mode != "usual":
        command.append("--" + mode)
    print("== " + " ".join(command), file=sys.stderr, flush=True)
    try:
        return subprocess.run(command, stdout=sys.stderr, check=False).returncode
    except OSError as e:
        print("%s: %s" % (program, e.strerror), file=sys.stderr)
        return 1


def judge(row):
    """Whether the row's target holds; None: it has none."""
    if not row.get("target"):
        return None
    m = TARGET.match(row["target"])
    if m is None:
        raise ValueError("%s: target %r" % (row["name"], row["target"]))
    have = row.get(m.group(1))
    if have is None:
        raise ValueError("%s: target without %s" % (row["name"], m.group(1)))
    return HOLDS[m.group(2)](have, float(m.group(3)))


def read_rows(path, program):
    rows = []
    with open(path, encoding="utf-8") as f:
        for n, line in enumerate(f, 1):
            try:
                row = json.loads(line)
                row["program"] = program
                row["holds"] = judge(row)
                float(row["value"])
                str(row["unit"])
            except (ValueError, KeyError, TypeError) as e:
                sys.exit("%s:%d: not a row: %s" % (path, n, e))
            rows.append(row)
    return rows


def measure(programs, mode, folder, out):
    rows, failed = [], []
    for program in programs:
        name = os.path.splitext(os.path.basename(program))[0]
        path = os.path.join(out, name + ".rows")
        open(path, "w", encoding="utf-8").close()
        if run(program, mode, folder, path) != 0:
            failed.append(name)
        rows += read_rows(path, name)
        os.unlink(path)
    return rows, failed


# ---- the table --------------------------------------------------------------


def figure(v):
    """Three digits that count, with the suffix one reads fastest."""
    if v is None:
        return ""
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(v) >= size:
            return "%.3g %s" % (v / size, suffix)
    return "%.3g" % v


def spread(row, name):
    low, high = row.get(name + "_min"), row.get(name + "_max")
    if low is None or low == high:
        return ""
    return "%s .. %s" % (figure(low), figure(high))


def verdict(row):
    return {None: "", True: "holds", False: "MISSED"}[row["holds"]]


COLUMNS = (
    ("row", lambda r: r["name"]),
    ("median", lambda r: figure(r["value"])),
    ("min .. max", lambda r: spread(r, "value")),
    ("unit", lambda r: r["unit"]),
    ("baseline", lambda r: r.get("baseline_name", "")),
    ("median", lambda r: figure(r.get("baseline"))),
    ("ratio", lambda r: "%.2f" % r["ratio"] if "ratio" in r else ""),
    ("min .. max", lambda r: spread(r, "ratio")),
    ("target", lambda r: r.get("target") or ""),
    ("", verdict),
)


def table(rows):
    lines = [[head for head, _ in COLUMNS]]
    lines += [[get(row) for _, get in COLUMNS] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    for line in lines:
        print("  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip())


# ---- the picture ------------------------------------------------------------

OURS = "#1f5fa8"
OTHERS = ("#c2702b", "#4d8f4f", "#8a5aa5", "#a33f3f", "#6b6b6b", "#3b9aa0",
          "#b59a2b")
GOOD, BAD = "#4d8f4f", "#a33f3f"
TITLES = {
    "append": "Appends",
    "latency": "One append, behind a burst",
    "growth": "One aggregate beside many",
    "read": "Reading",
    "sinks": "Sinks catching up",
}
WIDTH, LEFT, RIGHT = 960, 250, 150
INNER = WIDTH - LEFT - RIGHT


class Picture:
    def __init__(self):
        self.out = []
        self.y = 0

    def text(self, x, y, s, size=12, anchor="start", extra=""):
        self.out.append(
            '<text x="%.1f" y="%.1f" font-size="%d" text-anchor="%s" %s>%s'
            "</text>" % (x, y, size, anchor, extra, escape(s))
        )

    def line(self, x1, y1, x2, y2, colour="#cccccc", extra=""):
        self.out.append(
            '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" %s/>'
            % (x1, y1, x2, y2, colour, extra)
        )

    def rect(self, x, y, w, h, colour):
        self.out.append(
            '<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>'
            % (x, y, max(w, 0.5), h, colour)
        )

    def heading(self, s, note=""):
        self.y += 34
        self.text(24, self.y, s, 16, extra='font-weight="bold"')
        if note:
            self.y += 17
            self.text(24, self.y, note, 12, extra='fill="#555555"')
        self.y += 12

    def svg(self):
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
            'viewBox="0 0 %d %d" font-family="sans-serif" fill="#222222">'
            '<rect width="100%%" height="100%%" fill="#ffffff"/>\n%s\n</svg>\n'
            % (WIDTH, self.y + 24, WIDTH, self.y + 24, "\n".join(self.out))
        )


def decades(low, high):
    """The powers of ten that hold both."""
    a = math.floor(math.log10(low) + 1e-9)
    b = math.ceil(math.log10(high) - 1e-9)
    return a, max(b, a + 1)


def power(n):
    return figure(10.0**n)


def colours(rows):
    """A colour for each side of one part of the picture."""
    names = dict.fromkeys(r["baseline_name"] for r in rows if "baseline" in r)
    return {n: OTHERS[i % len(OTHERS)] for i, n in enumerate(names)}


def legend(p, entries):
    x = LEFT
    p.y += 6
    for name, colour in entries:
        p.rect(x, p.y, 12, 12, colour)
        p.text(x + 17, p.y + 11, name)
        x += 17 + 8 * len(name) + 22
        if x > WIDTH - 140:
            x = LEFT
            p.y += 19
    p.y += 20


def log_grid(p, a, b, height, axis):
    for n in range(a, b + 1):
        x = LEFT + INNER * (n - a) / (b - a)
        p.line(x, p.y, x, p.y + height)
        p.text(x, p.y + height + 15, power(n), 11, "middle")
    p.text(LEFT + INNER / 2, p.y + height + 32, axis, 12, "middle")


def bars(p, rows, unit):
    """One group of bars for each name: ours, then each baseline; a thin line
    goes from the least to the most of the rounds."""
    named = colours(rows)
    groups = {}
    for row in rows:
        groups.setdefault(row["name"], []).append(row)
    values = [r[k] for r in rows for k in
              ("value", "value_min", "baseline", "baseline_max") if k in r]
    a, b = decades(min(values) / 1.5, max(values))  # the least has a bar, too
    legend(p, [("weir", OURS)] + list(named.items()))
    height = sum(15 * (len(g) + 1) + 10 for g in groups.values())
    log_grid(p, a, b, height, "%s, logarithmic" % unit)

    def place(v):
        return LEFT + INNER * min(max((math.log10(v) - a) / (b - a), 0), 1)

    def bar(row, key, colour):
        p.rect(LEFT, p.y, place(row[key]) - LEFT, 13, colour)
        end = place(row[key])
        if key + "_min" in row:
            low, high = place(row[key + "_min"]), place(row[key + "_max"])
            p.line(low, p.y + 6.5, high, p.y + 6.5, "#111111")
            p.line(low, p.y + 4, low, p.y + 9, "#111111")
            p.line(high, p.y + 4, high, p.y + 9, "#111111")
            end = max(end, high)
        p.text(end + 5, p.y + 11, figure(row[key]), 11)
        p.y += 15

    for name, group in groups.items():
        p.y += 5
        p.text(LEFT - 8, p.y + 11, name, 12, "end")
        bar(group[0], "value", OURS)
        for row in group:
            bar(row, "baseline", named[row["baseline_name"]])
        p.y += 5
    p.y += 40


def targets(p, rows):
    """How far each row is from its target: 1 is on it, more is better."""
    height = 22 * len(rows)
    low, high = -1, 1  # a tenth to ten times
    log_grid(p, low, high, height, "times the target, logarithmic; right of "
             "1 it holds")
    middle = LEFT + INNER / 2
    for row in rows:
        m = TARGET.match(row["target"])
        have, want = row[m.group(1)], float(m.group(3))
        times = have / want if m.group(2) == ">=" else want / have
        times = min(max(times, 0.1), 10)
        x = LEFT + INNER * (math.log10(times) - low) / (high - low)
        name = row["name"]
        if m.group(1) == "ratio":
            name += " / " + row["baseline_name"]
        p.text(LEFT - 8, p.y + 15, name if len(name) < 40 else name[:38] + "..",
               11, "end")
        p.rect(min(x, middle), p.y + 4, abs(x - middle), 14,
               GOOD if row["holds"] else BAD)
        p.text(max(x, middle) + 5, p.y + 15,
               "%s, %s" % (figure(have), row["target"]), 11)
        p.y += 22
    p.line(middle, p.y - height, middle, p.y, "#222222")
    p.y += 40


def linear_top(high):
    """A round number at or above high, and the step of a grid below it."""
    step = 10.0 ** math.floor(math.log10(high))
    for factor in (0.2, 0.5, 1, 2):
        if high / (step * factor) <= 6:
            step *= factor
            break
    return math.ceil(high / step) * step, step


def curve(p, rows):
    """One line for ours, one for the baseline, over a logarithmic x."""
    rows = sorted(rows, key=lambda r: r["x"])
    named = colours(rows)
    a, b = decades(rows[0]["x"], rows[-1]["x"])
    sides = [("value", "weir", OURS)]
    if all("baseline" in r for r in rows):
        name = rows[0]["baseline_name"]
        sides.append(("baseline", name, named[name]))
    values = [r[key] for r in rows for key, _, _ in sides]
    rates = rows[0]["unit"].endswith("/s")
    height = 200
    if rates:
        low, high = decades(min(values), max(values))
        ticks = [10.0**n for n in range(low, high + 1)]
        def place(v):
            return (math.log10(v) - low) / (high - low)
    else:
        top, step = linear_top(max(values))
        ticks = [i * step for i in range(int(round(top / step)) + 1)]
        def place(v):
            return v / top
    legend(p, [(name, colour) for _, name, colour in sides])
    log_grid(p, a, b, height, rows[0]["x_name"] + ", logarithmic")
    base = p.y + height
    for tick in ticks:
        y = base - height * place(tick)
        p.line(LEFT, y, LEFT + INNER, y)
        p.text(LEFT - 8, y + 4, figure(tick), 11, "end")
    p.text(24, p.y + height / 2, rows[0]["unit"]
           + (", logarithmic" if rates else ""), 12)
    for key, _, colour in sides:
        points = [
            (LEFT + INNER * (math.log10(r["x"]) - a) / (b - a),
             base - height * place(r[key]))
            for r in rows
        ]
        p.out.append(
            '<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>'
            % (colour, " ".join("%.1f,%.1f" % xy for xy in points))
        )
        for x, y in points:
            p.out.append(
                '<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>'
                % (x, y, colour)
            )
    p.y = base + 40


def picture(rows, about):
    p = Picture()
    p.heading("weir beside its baselines",
              "medians of the rounds of one run; " + about)
    flat = [r for r in rows if not r.get("curve") and "baseline" in r]
    for program, unit in dict.fromkeys((r["program"], r["unit"]) for r in flat):
        p.heading(TITLES.get(program, program)
                  + (", processor time" if unit == "ns/record" else ""))
        bars(p, [r for r in flat
                 if r["program"] == program and r["unit"] == unit], unit)
    wanted = [r for r in rows if r.get("target")]
    if wanted:
        p.heading("Targets")
        targets(p, wanted)
    for title in dict.fromkeys(r["curve"] for r in rows if r.get("curve")):
        p.heading(title)
        curve(p, [r for r in rows if r.get("curve") == title])
    return p.svg()


# ---- main -------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mode", choices=("quick", "usual", "full"),
                        default="usual")
    parser.add_argument("--dir", default=".")
    parser.add_argument("--out", default="bench")
    parser.add_argument("--from", dest="rows", metavar="FILE")
    parser.add_argument("programs", nargs="*")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    os.makedirs(args.dir, exist_ok=True)
    if args.rows is not None:
        with open(args.rows, encoding="utf-8") as f:
            report = json.load(f)
    else:
        rows, failed = measure(args.programs, args.mode, args.dir, args.out)
        report = {
            "about": "mode %s, %d processors, %s, %s" % (
                args.mode, os.cpu_count() or 0, platform.machine(),
                time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())),
            "failed": failed, "rows": rows,
        }
    rows, failed = report["rows"], report["failed"]
    table(rows)
    with open(os.path.join(args.out, "results.json"), "w",
              encoding="utf-8") as f:
        json.dump(report, f, indent=1)
        f.write("\n")
    with open(os.path.join(args.out, "results.svg"), "w",
              encoding="utf-8") as f:
        f.write(picture(rows, report["about"]))
    judged = [r["holds"] for r in rows if r["holds"] is not None]
    print("\n%d of %d targets hold; %s/results.json, %s/results.svg"
          % (sum(judged), len(judged), args.out, args.out))
    for p in failed:
        print("failed: " + p)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
