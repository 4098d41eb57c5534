# SPDX-License-Identifier: MIT
"""Plugin ABI 1.0 stays as it is. tests/abi/1.0 holds the header as it was
frozen, and a plugin that is built from nothing else."""

import os
import re
import shlex
import shutil

import pytest

import run

HERE = os.path.join(run.SRC, "tests", "abi")
FROZEN = os.path.join(HERE, "1.0")
TODAY = os.path.join(run.SRC, "include")
# They stand in arrays: their size is part of the ABI.
FIXED = {"weir_str", "weir_sink_option", "weir_sink_setting", "weir_sink_member"}
# Of the embedding API alone.
NOT_OURS = {"weir_err", "weir_code"}
# The version itself, guards, and what is no number.
NO_VALUE = {"WEIR_SINK_H", "WEIR_TYPES_H", "WEIR_SINK_HAS",
            "WEIR_SINK_ABI_MAJOR", "WEIR_SINK_ABI_MINOR"}


def cc():
    argv = shlex.split(os.environ.get("CC", "cc"))
    if not shutil.which(argv[0]):
        pytest.skip("no C compiler (on Debian: apt-get install gcc)")
    return argv


# ---- what a header declares ---------------------------------------------------


def header(folder):
    text = ""
    for name in ("types.h", "sink.h"):
        with open(os.path.join(folder, "weir", name), encoding="utf-8") as f:
            text += re.sub(r"/\*.*?\*/", " ", f.read(), flags=re.S)
    return text


def structs(text):
    """name -> its declarations in order, blanks evened."""
    found = re.findall(r"^struct (\w+) \{(.*?)^\};", text, re.M | re.S)
    return {
        name: [" ".join(d.split()) for d in body.split(";") if d.strip()]
        for name, body in found if name not in NOT_OURS
    }


def members(declaration):
    pointer = re.match(r"[^(]*\(\*(\w+)\)\(", declaration)
    if pointer:
        return [pointer.group(1)]
    parts = re.sub(r"\[[^]]*\]", "", declaration).split(",")
    return [re.search(r"(\w+)\s*$", p).group(1) for p in parts]


def constants(text):
    out = set()
    for name, body in re.findall(r"^enum (\w+) \{(.*?)^\};", text, re.M | re.S):
        if name not in NOT_OURS:
            out |= set(re.findall(r"\b(WEIR_\w+)\s*=", body))
    out |= set(re.findall(r"^#define (WEIR_\w+)\s+\S", text, re.M))
    return out - NO_VALUE


def layout(tmp_path, include, text):
    """What a compiler makes of `text`'s names with that folder's header."""
    lines = ['printf("%s %%lld\\n", (long long)(%s));' % (c, c)
             for c in sorted(constants(text))]
    for name, declarations in structs(text).items():
        lines.append('printf("sizeof %s %%zu\\n", sizeof(struct %s));'
                     % (name, name))
        for m in (m for d in declarations for m in members(d)):
            lines.append(
                'printf("%s.%s %%zu %%zu\\n", offsetof(struct %s, %s), '
                "sizeof(((struct %s *)0)->%s));" % ((name, m) * 3))
    source, program = tmp_path / "layout.c", tmp_path / "layout"
    source.write_text(
        "#include <weir/sink.h>\n#include <stddef.h>\n#include <stdio.h>\n"
        "int main(void)\n{\n" + "\n".join(lines) + "\nreturn 0;\n}\n")
    run.run(cc() + ["-std=c11", "-I", str(include), "-o", str(program),
                    str(source)], check=0)
    out = run.run([str(program)], check=0).stdout
    return dict(line.rsplit(" ", 1) if line.startswith("sizeof")
                else line.split(" ", 1) for line in out.splitlines())


def test_the_reading_of_headers():
    found = structs(header(FROZEN))
    assert len(found) == 13
    assert sum(len(d) for d in found.values()) > 120
    assert members("int (*open)(void **out, const struct weir_sink_open *o)") \
        == ["open"]
    assert members("uint32_t abi_major, abi_minor") == ["abi_major", "abi_minor"]
    assert members("char code[32]") == ["code"]
    assert {"WEIR_SINK_OK", "WEIR_BATCH_PARKED", "WEIR_OP_EVENT",
            "WEIR_PAYLOAD_MAX"} <= constants(header(FROZEN))
    assert len(constants(header(FROZEN))) > 50


def test_members_are_only_appended():
    """Types and parameters too: what a compiler would let pass."""
    then, now = structs(header(FROZEN)), structs(header(TODAY))
    for name, declarations in then.items():
        assert now[name][:len(declarations)] == declarations, name
        if name in FIXED:
            assert now[name] == declarations, name


def test_layout_is_the_same(tmp_path):
    text = header(FROZEN)
    then = layout(tmp_path, FROZEN, text)
    now = layout(tmp_path, TODAY, text)
    assert len(then) > 200
    for name, value in then.items():
        if name.startswith("sizeof") and name.split()[1] not in FIXED:
            assert int(now[name]) >= int(value), name
        else:
            assert now[name] == value, name


def test_a_change_would_be_noticed(tmp_path):
    """The two tests above can fail."""
    folder = tmp_path / "changed" / "weir"
    shutil.copytree(os.path.join(FROZEN, "weir"), folder)
    path = folder / "sink.h"
    path.chmod(0o644)
    text = path.read_text()
    path.write_text(text.replace("uint32_t found;", "uint64_t found;")
                    .replace("WEIR_SINK_GONE = 5", "WEIR_SINK_GONE = 6"))
    changed = tmp_path / "changed"
    then = layout(tmp_path, FROZEN, header(FROZEN))
    now = layout(tmp_path, changed, header(FROZEN))
    other = {n for n in then if now[n] != then[n]}
    assert {"WEIR_SINK_GONE", "weir_sink_cursor.found",
            "weir_sink_cursor.hash"} <= other
    assert structs(header(FROZEN)) != structs(header(changed))


def test_version_is_one_point_something():
    with open(os.path.join(TODAY, "weir", "sink.h"), encoding="utf-8") as f:
        text = f.read()
    assert re.search(r"^#define WEIR_SINK_ABI_MAJOR 1u$", text, re.M)


# ---- a plugin of that time ----------------------------------------------------


def build(tmp_path, source, name, *flags, include=FROZEN):
    folder = tmp_path / "plugins"
    folder.mkdir(mode=0o755, exist_ok=True)
    out = folder / (name + ".so")
    run.run(cc() + ["-std=c11", "-Wall", "-fPIC", "-shared",
                    "-fvisibility=hidden", "-I", str(include), *flags, "-o", str(out), source], check=0)
    out.chmod(0o755)
    return out


@pytest.fixture
def frozen(tmp_path):
    return build(tmp_path, os.path.join(FROZEN, "frozen.c"), "frozen")


@pytest.mark.parametrize("state", ["true", "false"])
def test_frozen_plugin_keeps_the_rules(frozen, state):
    p = run.run([os.path.join(run.BUILD, "weir-sink-conform"), "--set",
                 "path=%d", "--set", "state=" + state, "--show",
                 "sed 1d %d/state", str(frozen)], timeout=280)
    print(p.stdout, p.stderr)
    assert p.returncode == 0
    assert re.search(r"^[1-9]\d* passed, 0 failed", p.stdout, re.M)


def test_frozen_plugin_delivers(frozen, tmp_path):
    store, target = tmp_path / "store", tmp_path / "target"
    target.mkdir()
    more = ("--plugin-dir", str(frozen.parent))
    put = ("aggregate", "apply", "order", "1", "placed")
    run.weir(*put, "--field", "n:=1", *more, data_dir=store)
    run.weir("plugin", "frozen", "--path", target, *more, data_dir=store)
    run.weir("sink", "run", "--once", "frozen", *more, data_dir=store)
    run.weir(*put, "--field", "m:=2", *more, data_dir=store)
    run.weir("sink", "run", "--once", "frozen", *more, data_dir=store)
    lines = (target / "state").read_text().splitlines()
    assert lines[1:] == ['1 1 order 1 placed {"n":1}',
                         '2 2 order 1 placed {"n":1,"m":2}']
    hashes = [line for line in run.weir("export", data_dir=store)
              .stdout.splitlines() if lines[0].split()[3] in line]
    assert len(hashes) == 1 and '"sequence":2' in hashes[0]


# ---- the loader ---------------------------------------------------------------

SIZE = "sizeof(struct weir_sink_plugin)"
LEAST = ("offsetof(struct weir_sink_plugin, close) + "
         "sizeof(((struct weir_sink_plugin *)0)->close)")


def info(tmp_path, code=0, flags=(), **what):
    values = {"MAJOR": 1, "MINOR": 0, "SIZE": SIZE, "NEEDS": 0, "CAPS": 0}
    values.update(what)
    so = build(tmp_path, os.path.join(HERE, "variant.c"), "variant",
               *("-D%s=%s" % v for v in values.items()), *flags, include=TODAY)
    p = run.weir("plugin", "info", "variant", "--plugin-dir", so.parent,
                 data_dir=tmp_path / "store", check=None)
    assert p.returncode == code, p.stdout + p.stderr
    return p.stdout + p.stderr


def test_as_it_is(tmp_path):
    assert "variant" in info(tmp_path)


@pytest.mark.parametrize("major", [0, 2])
@pytest.mark.parametrize("size", [0, SIZE])
def test_another_major_is_refused(tmp_path, major, size):
    """Before anything else is looked at: there the struct may be another."""
    said = info(tmp_path, code=1, MAJOR=major, SIZE=size)
    assert "variant.so was built for plugin ABI %d" % major in said
    assert "this weir speaks 1" in said


def test_a_newer_and_longer_plugin_is_taken(tmp_path):
    said = info(tmp_path, MINOR=99, SIZE="sizeof(struct longer)")
    assert "1.99" in said


def test_an_older_and_shorter_plugin_is_taken(tmp_path):
    """What lies beyond its struct_size is not called."""
    flags = ("-DOLDER",)
    assert "variant" in info(tmp_path, SIZE=LEAST, flags=flags)
    more = ("--plugin-dir", tmp_path / "plugins")
    store = tmp_path / "store"
    run.weir("aggregate", "apply", "a", "1", "e", *more, data_dir=store)
    run.weir("plugin", "variant", *more, data_dir=store)
    run.weir("sink", "run", "--once", "variant", *more, data_dir=store)
    p = run.run([os.path.join(run.BUILD, "weir-sink-conform"),
                 str(tmp_path / "plugins" / "variant.so")], timeout=200)
    assert p.returncode == 0, p.stdout + p.stderr


def test_too_short_a_plugin_is_refused(tmp_path):
    said = info(tmp_path, code=1, SIZE="%s - 1" % LEAST)
    assert "its descriptor has" in said and "build it anew" in said


def test_needs_and_capabilities_of_later_times(tmp_path):
    said = info(tmp_path, code=1, MINOR=7, NEEDS="1u<<31")
    assert "ABI 1.7 and needs what this weir (1." in said
    assert "variant" in info(tmp_path, MINOR=7, CAPS="1u<<31")


def test_several_lanes_need_their_calls(tmp_path):
    said = info(tmp_path, code=1, CAPS="WEIR_SINK_MULTI_LANE")
    assert "lane_open" in said
