# SPDX-License-Identifier: MIT
"""The rules of the house that a machine can see: which room includes which,
what is exported, where system calls are made, how long things are."""

import os
import re
import subprocess

import pytest

import run

# A room includes itself and what stands to its right.
ROOMS = ["cli", "server", "embed", "bus", "model", "store", "base"]
FILE_MAX = 800
FUNCTION_MAX = 60
# Flat switches and a narrated recovery, by name: "path:function".
LONG_FUNCTIONS = set()

# What only os.c calls by its own name.
CALLS = (
    "open|openat|creat|pread|pwrite|preadv|pwritev|fdatasync|fsync|ftruncate"
    "|truncate|rename|renameat|unlink|rmdir|mkdir|flock|mmap|munmap|msync"
    "|fallocate|posix_fallocate|syscall|clock_gettime|gettimeofday|time"
    "|getrandom|malloc|calloc|realloc|strdup|strndup|asprintf|opendir|readdir"
    "|fopen|fdopen|tmpfile|mkstemp|mkdtemp"
)
CALL = re.compile(r"(?<![\w.>])(" + CALLS + r")\s*\(")
CALLS_IN = "core/base/os.c"

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)
DEFINITION = re.compile(r"^(?!__attribute__)(\w+)\(", re.M)


def sources(*tops):
    for top in tops:
        for folder, _, names in os.walk(os.path.join(run.SRC, top)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    path = os.path.join(folder, name)
                    yield os.path.relpath(path, run.SRC)


def text_of(path):
    with open(os.path.join(run.SRC, path), encoding="utf-8") as f:
        return f.read()


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def code_of(path):
    """The text with comments and strings blanked, lines kept."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, blank, text_of(path), flags=re.S)


def functions(path):
    """(name, line, lines of the body, static) of each function defined."""
    lines = code_of(path).split("\n")
    for i, line in enumerate(lines):
        m = DEFINITION.match(line)
        if m is None:
            continue
        start = i
        while start < len(lines) and not lines[start].startswith(("{", "}")):
            if lines[start].rstrip().endswith(";"):
                break
            start += 1
        if start == len(lines) or not lines[start].startswith("{"):
            continue
        end = start
        while not lines[end].startswith("}"):
            end += 1
        static = "static" in lines[i - 1].split()
        yield m.group(1), i + 1, end - start - 1, static


def included(path):
    return [(m[0] == "<", m[1]) for m in INCLUDE.findall(text_of(path))]


def none_of(faults):
    assert not faults, "\n" + "\n".join(sorted(faults))


def test_there_is_something_to_look_at():
    assert len(list(sources("core"))) > 20
    assert len(list(functions("core/base/json.c"))) > 20


def test_core_arrows():
    faults = []
    for path in sources("core"):
        room = path.split("/")[1]
        assert room in ROOMS, path
        for system, name in included(path):
            top = name.split("/")[0]
            if system:
                if top == "weir" and not os.path.exists(
                    os.path.join(run.SRC, "include", name)
                ):
                    faults.append("%s: no header <%s>" % (path, name))
                continue
            if "/" not in name or top not in ROOMS:
                faults.append('%s: "%s" names no room' % (path, name))
            elif ROOMS.index(top) < ROOMS.index(room):
                faults.append('%s: "%s" stands to its left' % (path, name))
            elif top == "embed" and room not in ("cli", "embed"):
                faults.append('%s: "%s" is for cli alone' % (path, name))
    none_of(faults)


def test_public_headers_stand_alone():
    faults = []
    for path in sources("include"):
        for system, name in included(path):
            if not system:
                faults.append('%s: "%s"' % (path, name))
    none_of(faults)


def test_plugin_arrows():
    faults = []
    for path in sources("plugins"):
        own = path.split("/")[1]
        for system, name in included(path):
            top = name.split("/")[0]
            if system and top == "weir" and name not in (
                "weir/sink.h",
                "weir/types.h",
            ):
                faults.append("%s: <%s>" % (path, name))
            if system or top in (own, "common"):
                continue
            beside = os.path.join(run.SRC, os.path.dirname(path), name)
            if "/" in name or not os.path.exists(beside):
                faults.append('%s: "%s"' % (path, name))
    none_of(faults)


def widens(header, own):
    """A header for the files of one part (x_int.h) that includes x.h."""
    return (
        os.path.basename(header).startswith(os.path.basename(own)[:-2] + "_")
        and os.path.exists(os.path.join(run.SRC, header))
        and (False, own.split("/", 1)[1]) in included(header)
    )


def test_own_header_first():
    faults = []
    for path in sources("core", "plugins"):
        own = path[:-2] + ".h"
        if not path.endswith(".c"):
            continue
        if not os.path.exists(os.path.join(run.SRC, own)):
            continue
        system, first = included(path)[0]
        header = os.path.join(os.path.dirname(path), os.path.basename(first))
        if system or header != own and not widens(header, own):
            faults.append("%s: %s comes before %s" % (path, first, own))
    none_of(faults)


def test_weir_names_are_public():
    """weir_ is for what include/weir declares."""
    public = "".join(code_of(p) for p in sources("include"))
    faults = []
    for path in sources("core", "plugins"):
        for name, line, _, _ in functions(path):
            if not name.startswith("weir_"):
                continue
            if not re.search(r"\b%s\s*\(" % name, public):
                faults.append("%s:%d: %s" % (path, line, name))
    none_of(faults)


def test_room_prefixes():
    """Exported functions of base carry the name of their file."""
    words = {"mem": ("mem", "must")}
    faults = []
    for path in sources("core/base"):
        stem = os.path.basename(path)[:-2].split("_")[0]
        for name, line, _, static in functions(path):
            wanted = words.get(stem, (stem,))
            if not static and not name.startswith(wanted):
                faults.append("%s:%d: %s" % (path, line, name))
    none_of(faults)


def test_calls_that_can_fail():
    """In core only os.c makes them; everything else goes through os()."""
    faults = []
    for path in sources("core"):
        if path == CALLS_IN:
            continue
        for n, line in enumerate(code_of(path).split("\n"), 1):
            m = CALL.search(line)
            # a definition of ours begins in column 0
            if m is not None and m.start() > 0:
                faults.append("%s:%d: %s" % (path, n, line.strip()))
    none_of(faults)


def test_sizes():
    faults = []
    for path in sources("core", "plugins", "include", "tests"):
        lines = text_of(path).count("\n")
        if lines > FILE_MAX:
            faults.append("%s has %d lines" % (path, lines))
        for name, line, length, _ in functions(path):
            if length > FUNCTION_MAX and not path.startswith("tests/"):
                if "%s:%s" % (path, name) not in LONG_FUNCTIONS:
                    faults.append(
                        "%s:%d: %s has %d lines" % (path, line, name, length)
                    )
    none_of(faults)


def test_exceptions_are_still_needed():
    long = {
        "%s:%s" % (path, name)
        for path in sources("core", "plugins")
        for name, _, length, _ in functions(path)
        if length > FUNCTION_MAX
    }
    none_of(LONG_FUNCTIONS - long)


def test_licence_line():
    faults = []
    for path in sources("core", "plugins", "include", "tests", "contrib"):
        first = text_of(path).split("\n", 1)[0]
        if first != "/* SPDX-License-Identifier: MIT */":
            faults.append("%s: %s" % (path, first))
    none_of(faults)


def test_header_guards():
    faults = []
    for path in sources("core", "plugins", "include"):
        if not path.endswith(".h"):
            continue
        head = text_of(path)
        m = re.search(r"^#ifndef (\w+)\n#define (\w+)$", head, re.M)
        if m is None or m.group(1) != m.group(2):
            faults.append(path)
    none_of(faults)


def exported(path):
    out = subprocess.run(
        ["nm", "-D", "--defined-only", path],
        stdout=subprocess.PIPE,
        check=True,
        encoding="ascii",
        timeout=60,
    ).stdout
    return {line.split()[-1] for line in out.splitlines()}


@pytest.mark.parametrize("name", run.PLUGINS)
def test_a_plugin_exports_one_symbol(name):
    path = run.plugin_path(name)
    if path is None:
        pytest.skip("this build has no %s plugin" % name)
    assert exported(path) == {"weir_sink_plugin"}


def test_libweir_exports_only_its_own():
    path = os.path.join(run.BUILD, ".libs", "libweir.so")
    if not os.path.exists(path):
        pytest.skip("this build has no shared libweir")
    names = exported(path)
    assert names
    none_of([name for name in names if not name.startswith("weir_")])
