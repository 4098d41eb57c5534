# SPDX-License-Identifier: MIT
"""A PostgreSQL server for tests: in a temporary folder of its own, reached by
a Unix socket alone, ended with the process that started it.

PostgreSQL refuses to run as root. Then it runs as another user who can get to
the programs and the folder: `postgres`, `nobody`, or the owner of the build. In
root's own private folders no other user can; there it is told that it is not
root (notroot.c).
"""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

SOCKET_PATH_MAX = 107  # sun_path, less the NUL
NOBODY = 65534  # what notroot.c says
NOT_ROOT = os.path.join(
    os.environ.get("WEIR_BUILD") or ".", "tests", "lib", ".libs", "notroot.so"
)


def find_bin():
    """The folder with initdb and postgres: WEIR_PG_BIN, the newest that
    Debian has installed, or the PATH's. None when there is none."""
    folders = []
    if os.environ.get("WEIR_PG_BIN"):
        folders.append(os.environ["WEIR_PG_BIN"])
    installed = glob.glob("/usr/lib/postgresql/*/bin")
    folders += sorted(
        installed, key=lambda f: float(f.split("/")[-2]), reverse=True
    )
    initdb = shutil.which("initdb")
    if initdb:
        folders.append(os.path.dirname(os.path.realpath(initdb)))
    for folder in folders:
        if all(
            os.access(os.path.join(folder, name), os.X_OK)
            for name in ("initdb", "postgres", "psql")
        ):
            return folder
    return None


def server_users():
    """Users to try, as passwd entries."""
    users = []
    for name in ("postgres", "nobody"):
        try:
            users.append(pwd.getpwnam(name))
        except KeyError:
            pass
    owner = os.stat(os.environ.get("WEIR_BUILD") or ".").st_uid
    if owner != 0:
        try:
            users.append(pwd.getpwuid(owner))
        except KeyError:
            pass
    return users


class Database:
    def __init__(self, server, name):
        self.server = server
        self.name = name
        self.uri = server.uri(name)

    def query(self, sql):
        """Runs SQL; the rows as lists of text (NULL is None)."""
        return self.server.query(sql, self.name)

    def drop(self):
        self.server.query(
            'DROP DATABASE IF EXISTS "%s" WITH (FORCE)' % self.name
        )


class Server:
    def __init__(self, settings=()):
        """settings: NAME=VALUE over those that suit tests (fsync is off)."""
        self.bin = find_bin()
        self.settings = settings
        self.folder = None
        self.process = None
        self.databases = 0

    # ---- life ----

    def start(self):
        self.folder = tempfile.mkdtemp(prefix="weir-pg-")
        self.prefix = []
        if os.geteuid() == 0:
            self._become()
        self.data = os.path.join(self.folder, "data")
        os.mkdir(self.data, 0o700)
        owner = os.stat(self.folder)
        os.chown(self.data, owner.st_uid, owner.st_gid)
        # The socket lies in the folder, or has an abstract name when its path
        # would be too long.
        self.socket = self.folder
        if len(self.folder) + len("/.s.PGSQL.5432") > SOCKET_PATH_MAX:
            self.socket = "@" + os.path.basename(self.folder)
        self.log = os.path.join(self.folder, "log")
        self._initdb()
        self.restart()

    def _become(self):
        for user in server_users():
            self.prefix = [
                "setpriv", "--reuid=%d" % user.pw_uid,
                "--regid=%d" % user.pw_gid, "--clear-groups",
            ]
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            if self._reaches():
                return
        self.prefix = ["env", "LD_PRELOAD=" + NOT_ROOT]
        os.chown(self.folder, NOBODY, NOBODY)

    def _reaches(self):
        reach = self.prefix + [
            "test", "-w", self.folder, "-a",
            "-x", os.path.join(self.bin, "postgres"),
        ]
        return subprocess.run(
            reach, cwd="/", stderr=subprocess.DEVNULL
        ).returncode == 0

    def _run(self, argv):
        p = subprocess.run(
            argv, cwd=self.folder if not self.prefix else "/",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
            timeout=120,
        )
        if p.returncode != 0:
            raise RuntimeError("%s failed:\n%s" % (" ".join(argv), p.stdout))

    def _initdb(self):
        self._run(
            self.prefix
            + [
                os.path.join(self.bin, "initdb"), "--pgdata", self.data,
                "--username=weir", "--auth=trust", "--encoding=UTF8",
                "--locale=C", "--no-sync", "--no-instructions",
            ]
        )

    def restart(self):
        """Starts the server (again, after a kill or stop)."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.prefix
                + [
                    "setpriv", "--pdeathsig", "QUIT",
                    os.path.join(self.bin, "postgres"), "-D", self.data,
                    "-k", self.socket, "-h", "", "-p", "5432",
                    "-c", "fsync=off", "-c", "max_connections=40",
                    "-c", "shared_buffers=16MB", "-c", "logging_collector=off",
                    "-c", "dynamic_shared_memory_type=mmap",
                    "-c", "huge_pages=off",
                ]
                + [word for s in self.settings for word in ("-c", s)],
                cwd="/", stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + 60
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop(keep=True)
                raise RuntimeError("PostgreSQL did not start:\n" + self.tail())
            time.sleep(0.05)

    def _answers(self):
        return subprocess.run(
            [os.path.join(self.bin, "pg_isready"), "-q", "-h", self.socket],
            stdin=subprocess.DEVNULL,
        ).returncode == 0

    def tail(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as f:
                return f.read()[-4000:]
        except OSError:
            return ""

    def stop(self, sig=signal.SIGINT, keep=False):
        """Ends the server; SIGQUIT is as if it had crashed. keep leaves the
        data, for restart."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(sig)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None
        if not keep and self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    # ---- use ----

    def uri(self, database="postgres"):
        return "host=%s user=weir dbname=%s" % (self.socket, database)

    def query(self, sql, database="postgres"):
        p = subprocess.run(
            [
                os.path.join(self.bin, "psql"), "-XAtq", "-v",
                "ON_ERROR_STOP=1", "-P", "null=\x02", "-F", "\x1f", "-R",
                "\x1e", "-d", self.uri(database), "-f", "-",
            ],
            input=sql.encode(), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=60,
            env=dict(os.environ, PGCLIENTENCODING="UTF8"),
        )
        if p.returncode != 0:
            raise RuntimeError("%s\n%s" % (sql, p.stderr.decode()))
        # Decoded here, as Python's text mode would change line ends.
        text = p.stdout.decode()
        text = text[:-1] if text.endswith("\n") else text
        if text == "":
            return []
        return [
            [None if cell == "\x02" else cell for cell in row.split("\x1f")]
            for row in text.split("\x1e")
        ]

    def create_db(self):
        self.databases += 1
        name = "t%d" % self.databases
        self.query('CREATE DATABASE "%s"' % name)
        return Database(self, name)
