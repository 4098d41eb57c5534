# SPDX-License-Identifier: MIT
"""The library as others get it: what libweir.so exports, its name, headers
that C++ takes, a manual with every function, and examples that build with the
flags of weir.pc and run."""

import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess

import pytest

import run

LIBS = os.path.join(run.BUILD, ".libs")
LIBRARY = os.path.join(LIBS, "libweir.so")
EXAMPLES = os.path.join(run.SRC, "contrib", "examples")
PAGE = os.path.join(run.SRC, "man", "weir-embed.3")

needs_library = pytest.mark.skipif(
    not os.path.exists(LIBRARY), reason="this build has no shared libweir"
)


def text_of(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def header():
    """weir.h without comments."""
    text = text_of(os.path.join(run.SRC, "include", "weir", "weir.h"))
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def declared():
    """The functions that weir.h declares but does not define."""
    text = re.sub(r"^static inline.*?^}", "", header(), flags=re.M | re.S)
    text = re.sub(r"^#.*(?:\\\n.*)*", "", text, flags=re.M)
    text = re.sub(r"^typedef[^;]*;", "", text, flags=re.M)
    return set(re.findall(r"\b(weir_\w+)\(", text))


def functions_and_macros():
    inline = re.findall(r"^(weir_\w+)\(", header(), flags=re.M)
    macros = re.findall(r"^#define (WEIR_\w+)\(", header(), flags=re.M)
    return declared() | set(inline) | set(macros)


def symbols(path, *flags):
    out = subprocess.run(
        ["nm", "-D", *flags, path], stdout=subprocess.PIPE, check=True,
        encoding="ascii", timeout=60,
    ).stdout
    return [line.split()[-1] for line in out.splitlines()]


# ---- the library ------------------------------------------------------------

@needs_library
def test_exports_what_the_header_declares():
    assert len(declared()) > 30
    assert set(symbols(LIBRARY, "--defined-only")) == declared()


@needs_library
def test_soname():
    if not shutil.which("readelf"):
        pytest.skip("no readelf (on Debian: apt-get install binutils)")
    out = run.run(["readelf", "-d", LIBRARY], check=0).stdout
    assert re.search(r"SONAME.*\[libweir\.so\.0\]", out)
    needed = set(re.findall(r"NEEDED.*\[(\w+)[^\]]*\]", out))
    # A program that links weir gets no library of a sink with it.
    assert not needed & {"libpq", "libsqlite3", "libcurl"}
    assert os.path.exists(os.path.join(LIBS, "libweir.so.0"))


def test_version():
    text = text_of(os.path.join(run.BUILD, "contrib", "weir.pc"))
    version = re.search(r"^Version: (.*)$", text, re.M).group(1)
    assert run.weir("--version").stdout.split()[1] == version


# ---- headers and manual -----------------------------------------------------

@pytest.mark.parametrize("name", ("weir.h", "sink.h", "types.h"))
@pytest.mark.parametrize("std", ("c++17", "c11", "c2x"))
def test_header_alone(name, std, tmp_path):
    cxx = std.startswith("c++")
    compiler = "g++" if cxx else "gcc"
    if not shutil.which(compiler):
        pytest.skip("no %s (on Debian: apt-get install %s)"
                    % (compiler, compiler))
    source = tmp_path / ("alone.cc" if cxx else "alone.c")
    # Twice: the guard; and with the other one, for names that collide.
    source.write_text(
        "#include <weir/%s>\n#include <weir/%s>\n"
        "#include <weir/weir.h>\n#include <weir/sink.h>\n"
        "int main() { return sizeof(struct weir_err) == 0; }\n" % (name, name)
    )
    run.run(
        [compiler, "-std=" + std, "-fsyntax-only", "-Wall", "-Wextra",
         "-Wpedantic", "-Werror", "-I", os.path.join(run.SRC, "include"),
         str(source)],
        check=0,
    )


@needs_library
def test_cpp_program(tmp_path):
    """C++ calls by the names that C exports."""
    if not shutil.which("g++"):
        pytest.skip("no g++ (on Debian: apt-get install g++)")
    source = tmp_path / "program.cc"
    source.write_text(
        "#include <weir/weir.h>\n#include <cstdio>\n"
        "struct sample { unsigned a, b; };\n"
        "int main(int, char **argv) {\n"
        "  struct weir *w = nullptr; struct weir_stream *s = nullptr;\n"
        "  struct weir_reader *r = nullptr; struct weir_record rec;\n"
        "  struct weir_stream_options o = {};\n"
        "  sample in = {7, 8}, out = {};\n"
        "  struct weir_stream_event e = {3, &in, sizeof in, WEIR_NONE};\n"
        "  o.size = sizeof in;\n"
        "  if (weir_open(&w, argv[1], nullptr, nullptr) ||\n"
        "      weir_stream_open(&s, w, \"run\", &o, nullptr) ||\n"
        "      weir_stream_append(s, nullptr, &e, 1, nullptr) ||\n"
        "      weir_reader_open(&r, w, nullptr) ||\n"
        "      weir_stream_read(s, r, &rec, 3, 1, nullptr) ||\n"
        "      !WEIR_COPY(&out, &rec)) return 1;\n"
        "  std::printf(\"%u\\n\", out.b);\n"
        "  weir_reader_close(r); weir_stream_close(s); weir_close(w);\n"
        "}\n"
    )
    program = compile(source, tmp_path / "program", "g++", "-std=c++17")
    assert start(program, tmp_path / "store") == "8\n"


def test_manual_has_every_function():
    page = text_of(PAGE)
    synopsis = page[page.index(".Sh SYNOPSIS"):page.index(".Sh DESCRIPTION")]
    rest = page[page.index(".Sh DESCRIPTION"):page.index(".Sh RETURN VALUES")]
    named = set(re.findall(r"^\.F[no] (\w+)", synopsis, re.M))
    assert named == functions_and_macros()
    told = set(re.findall(r"^\.Fn (\w+)", rest, re.M))
    assert named - told <= {"weir_copy"}


def test_manual_gives_the_header_s_parameters():
    """Each function of the synopsis, put together, stands in the header."""
    page = text_of(PAGE)
    synopsis = page[page.index(".Sh SYNOPSIS"):page.index(".Sh DESCRIPTION")]
    flat = re.sub(r"\s+", " ", header())
    kind = name = None
    for line in synopsis.splitlines():
        words = shlex.split(line)
        if not words:
            continue
        if words[0] == ".Ft":
            kind = " ".join(words[1:])
        elif words[0] == ".Fn":
            name, arguments = words[1], words[2:]
        elif words[0] == ".Fo":
            name, arguments = words[1], []
        elif words[0] == ".Fa":
            arguments.append(words[1])
        if words[0] in (".Fn", ".Fc") and not name.startswith("WEIR"):
            call = "%s %s(%s)" % (kind, name, ", ".join(arguments))
            assert call.replace("* ", "*") in flat, call


# ---- programs ---------------------------------------------------------------

def sanitizer():
    """A library with a sanitizer is linked by programs that have it too."""
    undefined = " ".join(symbols(LIBRARY, "--undefined-only"))
    flags = []
    for sign, name in (("__asan_init", "address"), ("__ubsan_", "undefined"),
                       ("__tsan_init", "thread")):
        if sign in undefined:
            flags.append("-fsanitize=" + name)
    return flags


def pkg_config(what):
    """The flags that an installed weir.pc gives, for this build's places."""
    if not shutil.which("pkg-config"):
        pytest.skip("no pkg-config (on Debian: apt-get install pkg-config)")
    p = run.run(
        ["pkg-config", what, "--define-variable=libdir=" + LIBS,
         "--define-variable=includedir=" + os.path.join(run.SRC, "include"),
         os.path.join(run.BUILD, "contrib", "weir.pc")],
        check=0,
    )
    return shlex.split(p.stdout)


def compile(source, program, compiler="gcc", std="-std=c11"):
    if not shutil.which(compiler):
        pytest.skip("no %s (on Debian: apt-get install %s)"
                    % (compiler, compiler))
    run.run(
        [compiler, std, "-Wall", "-Wextra", "-Werror", "-pthread",
         *sanitizer(), *pkg_config("--cflags"), str(source),
         *pkg_config("--libs"), "-o", str(program)],
        check=0,
    )
    return str(program)


def environment():
    return dict(os.environ, LD_LIBRARY_PATH=LIBS)


def start(*argv, check=0):
    """Runs a program to its end: what it printed."""
    p = run.run(list(map(str, argv)), check=check, env=environment())
    return p.stdout if check == 0 else p.stderr


def example(name, tmp_path):
    return compile(os.path.join(EXAMPLES, name + ".c"), tmp_path / name)


@needs_library
def test_ledger(tmp_path):
    ledger, store = example("ledger", tmp_path), tmp_path / "store"
    deposit = start(ledger, store, "deposit", "ann", "100")
    assert deposit == '1 ann {"change":100,"balance":100}\n'
    assert start(ledger, store, "transfer", "ann", "bob", "30") == (
        '2 ann {"change":-30,"balance":70}\n3 bob {"change":30,"balance":30}\n'
    )
    wrong = start(ledger, store, "transfer", "ann", "bob", "71", check=1)
    assert wrong == "ledger: ann has only 70\n"
    state = json.loads(start(ledger, store, "show", "ann"))
    assert state["state"] == {"change": -30, "balance": 70}
    assert state["version"] == 2
    start(ledger, store, "show", "eve", check=1)
    start(ledger, store, "borrow", "eve", check=2)
    run.weir("check", data_dir=store)


@needs_library
def test_ledger_side_by_side(tmp_path):
    """Several at once lose no money: LOCK makes them wait for each other."""
    ledger, store = example("ledger", tmp_path), tmp_path / "store"
    start(ledger, store, "deposit", "ann", "10")
    running = [
        subprocess.Popen(
            [ledger, str(store), "transfer", "ann", "bob", "1"],
            stdout=subprocess.DEVNULL, env=environment(),
        )
        for _ in range(6)
    ]
    assert [p.wait(timeout=60) for p in running] == [0] * 6
    state = json.loads(start(ledger, store, "show", "bob"))
    assert state["state"]["balance"] == 6


@needs_library
def test_sensor(tmp_path):
    sensor, store = example("sensor", tmp_path), tmp_path / "store"
    assert start(sensor, store, "measure", "100").endswith("is 100\n")
    follower = subprocess.Popen(
        [sensor, str(store), "follow", "300"], stdout=subprocess.PIPE,
        env=environment(), encoding="ascii",
    )
    try:
        # It has shown the first hundred before the rest is appended.
        lines = [follower.stdout.readline() for _ in range(100)]
        start(sensor, store, "measure", "200")
        out, _ = follower.communicate(timeout=60)
    finally:
        follower.kill()
        follower.wait()
    assert follower.returncode == 0
    lines += out.splitlines(keepends=True)
    assert len(lines) == 300
    for i, line in enumerate(lines):
        count = i if i < 100 else i - 100
        version = count // 4 + 1 + (25 if i >= 100 else 0)
        assert line == "%d sensor %d version %d: %d %d\n" % (
            i + 1, count % 4, version, count, 20000000 + count * 7919 % 100000
        )
    run.weir("check", data_dir=store)


@needs_library
@pytest.mark.parametrize("plugin", ("json", "sqlite"))
def test_mirror(tmp_path, plugin):
    if not run.plugin_path(plugin):
        pytest.skip("this build has no %s plugin" % plugin)
    mirror, store = example("mirror", tmp_path), tmp_path / "store"
    target = tmp_path / "target"
    out = start(mirror, store, plugin, target, "500")
    assert out == "500 durable, 0 refused, the last is 500\n"
    start(mirror, store, plugin, target, "10")
    if plugin == "json":
        lines = [json.loads(x) for x in target.read_text().splitlines()]
        assert [x["sequence"] for x in lines] == list(range(1, 511))
    else:
        with sqlite3.connect(str(target)) as db:
            rows = db.execute('SELECT count(*), max(version) FROM "order"')
            assert rows.fetchone() == (500, 2)
    start(mirror, store, "nonesuch", target, "1", check=1)


@needs_library
def test_listing_of_the_manual(tmp_path):
    page = text_of(PAGE)
    listing = re.search(r"^\.Bd -literal -offset indent\n(#include.*?)^\.Ed$",
                        page, re.M | re.S).group(1)
    source = tmp_path / "listing.c"
    source.write_text(listing.replace("\\e", "\\"))
    program = compile(source, tmp_path / "listing")
    p = run.run([program], cwd=str(tmp_path), env=environment(), check=0)
    assert p.stdout == '{"total":12.50}\n'
    p = run.run([program], cwd=str(tmp_path), env=environment(), check=1)
    assert "version 1" in p.stderr
