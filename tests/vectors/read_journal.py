#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Reads the folder of a store and prints its records as `weir export` does.

Written from weir-format(5) alone and sharing no code with weir, so that the
page is true as long as both agree. Every CRC, chain value, number, hash, node
and frontier is checked on the way.

usage: read_journal.py [--all] [--root] FOLDER
  --all   reserved aggregates too
  --root  only say how many records there are and the root of the store's tree
"""

import base64
import datetime
import hashlib
import os
import re
import struct
import sys
import uuid

SEGMENT_HEADER = 4096
GROUP_HEADER = 64
GROUP_TRAILER = 8
GROUP_MOST = 64 << 20
MARK, SEAL = 1, 2
END, NODE = 1, 2
CONTENT = ("json", "text", "bytes")
OP = ("event", "archived", "restored", "shredded")
NAMES = ("aggregate_type", "aggregate_id", "event_type", "group", "user",
         "correlation_id", "causation_id", "traceparent")
NAME_MOST = (128, 255, 128, 255, 255, 255, 255, 128)
NAME_FLAG = (0, 0, 0, 4, 8, 16, 32, 64)
SALT_FLAG = 128
EPOCH = datetime.datetime(1970, 1, 1)


class Damage(Exception):
    """What is wrong, and where."""


def want(truth, where, why):
    if not truth:
        raise Damage("%s: %s" % (where, why))


# ---- CRC-32C ------------------------------------------------------------------

def _tables():
    one = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        one.append(byte)
    return one


TABLE = _tables()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


# ---- trees --------------------------------------------------------------------

def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def inner(left, right):
    return sha(b"\x01", left, right)


class Tree:
    """The frontier of a tree that grows."""

    def __init__(self):
        self.leaves = 0
        self.nodes = []

    def add(self, leaf):
        node, ones = leaf, self.leaves
        while ones & 1:
            node = inner(self.nodes.pop(), node)
            ones >>= 1
        self.nodes.append(node)
        self.leaves += 1

    def root(self):
        if not self.nodes:
            return sha()
        node = self.nodes[-1]
        for left in reversed(self.nodes[:-1]):
            node = inner(left, node)
        return node


class Aggregate:
    """Where its versions stand, and its tree."""

    def __init__(self):
        self.position = [0]
        self.tree = Tree()


# ---- records ------------------------------------------------------------------

class Record:
    """A frame, decoded and checked by itself."""

    def __init__(self, data, store, position, where):
        self.where = where
        want(len(data) >= 64 + 128, where, "too short for a frame")
        (self.length, crc, body_len, flags, local, self.prev, self.skip,
         self.hash) = struct.unpack_from("<IIIHHQQ32s", data)
        want(self.length % 8 == 0 and self.length <= len(data), where,
             "the frame does not fit in its group")
        frame = data[:self.length]
        seed = store + struct.pack("<Q", position)
        want(crc == crc32c(seed + frame[8:]), where, "frame CRC")
        want(flags & ~(END | NODE) == 0, where, "frame flags")
        self.position = position
        self.end = bool(flags & END)
        want(local == (96 if flags & NODE else 64), where, "local length")
        self.node = frame[64:96] if flags & NODE else self.hash
        body = frame[local:local + body_len]
        want(len(body) == body_len, where, "body length")
        want(self.length == (local + body_len + 7) // 8 * 8, where, "length")
        want(not any(frame[local + body_len:]), where, "padding is not zero")
        self.decode(body)
        want(bool(flags & NODE) == (self.version % 2 == 0), where, "has a node")
        want(self.hash == self.own_hash(), where, "hash")

    def decode(self, b):
        (form, self.content, self.op, flags, self.sequence, self.version,
         self.created_at, self.committed_at, self.event_id, self.token,
         self.payload_hash) = struct.unpack_from("<HBBIQQqq16sQ32s", b)
        lengths = struct.unpack_from("<8H", b, 96)
        ntags, tag_bytes, salt, zero, payload, zero2 = struct.unpack_from(
            "<HHHHII", b, 112)
        where = self.where
        want(form == 1 and zero == 0 and zero2 == 0, where, "body version")
        want(flags < 256, where, "flags")
        want(self.content < 3 and self.op < 4, where, "content or op")
        at, self.name = 128, []
        for n, most, flag in zip(lengths, NAME_MOST, NAME_FLAG):
            given = flag == 0 or flags & flag
            want(n <= most and (n == 0 if not given else flag or n > 0),
                 where, "a name's length")
            self.name.append(b[at:at + n] if given else None)
            at += n
        tags_end, self.tags = at + tag_bytes, []
        for _ in range(ntags):
            (n,) = struct.unpack_from("<H", b, at)
            self.tags.append(b[at + 2:at + 2 + n])
            at += 2 + n
        want(at == tags_end and ntags <= 32, where, "tags")
        self.salt = b[at:at + salt]
        want(salt == 0 or flags & SALT_FLAG, where, "a salt that is not there")
        self.payload = b[at + salt:]
        want(len(self.payload) == payload, where, "the payload's length")

    def own_hash(self):
        want(self.payload_hash == sha(b"\x03", self.salt, self.payload),
             self.where, "payload_hash")
        form = [struct.pack("<BHBBq16sQI32s", 2, 1, self.content, self.op,
                            self.created_at, self.event_id, self.token,
                            len(self.salt), self.payload_hash)]
        for name in self.name:
            if name is None:
                form.append(b"\xff\xff\xff\xff")
            else:
                form.append(struct.pack("<I", len(name)) + name)
        form.append(struct.pack("<I", len(self.tags)))
        for tag in self.tags:
            form.append(struct.pack("<I", len(tag)) + tag)
        numbers = struct.pack("<QQq", self.sequence, self.version,
                              self.committed_at)
        return sha(b"\x00", sha(*form), numbers)

    # ---- as JSON ----

    def json(self, root):
        n = dict(zip(NAMES, self.name))
        out = '{"aggregate_type":%s,"aggregate_id":%s,"event_type":%s' % (
            quoted(n["aggregate_type"]), quoted(n["aggregate_id"]),
            quoted(n["event_type"]))
        out += ',"payload":%s,"metadata":{"event_id":"%s"' % (
            self.payload_json(), uuid.UUID(bytes=self.event_id))
        out += ',"created_at":"%s","issued_by":' % time(self.created_at)
        if n["group"] is None and n["user"] is None:
            out += "null"
        else:
            out += '{"group":%s,"user":%s}' % (
                quoted(n["group"] or b""), quoted(n["user"] or b""))
        out += ',"committed_at":"%s"' % time(self.committed_at)
        for name in ("correlation_id", "causation_id", "traceparent"):
            if n[name] is not None:
                out += ',"%s":%s' % (name, quoted(n[name]))
        out += '},"version":%d,"hash":"%s","merkle_root":"%s"' % (
            self.version, self.hash.hex(), root.hex())
        out += ',"sequence":%d,"tags":[%s]' % (
            self.sequence, ",".join(quoted(tag) for tag in self.tags))
        if self.content > 0:
            out += ',"content":"%s"' % CONTENT[self.content]
        if self.op > 0:
            out += ',"op":"%s"' % OP[self.op]
        if self.token > 0:
            out += ',"token":%d' % self.token
        if self.salt:
            out += ',"salt":"%s"' % self.salt.hex()
        if self.content == 0 and re.search(b"[\r\n]", self.payload):
            out += ',"payload_base64":"%s"' % (
                base64.b64encode(self.payload).decode())
        return out + "}"

    def payload_json(self):
        if self.content == 0:
            return re.sub("[\r\n]", " ", self.payload.decode())
        if self.content == 1:
            return quoted(self.payload)
        return '{"$base64":"%s"}' % base64.b64encode(self.payload).decode()


ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n",
           "\r": "\\r", "\t": "\\t"}


def quoted(data):
    def escape(m):
        c = m.group()
        return ESCAPES.get(c) or "\\u%04x" % ord(c)

    return '"%s"' % re.sub('[\x00-\x1f"\\\\]', escape, data.decode())


def time(us):
    when = EPOCH + datetime.timedelta(microseconds=us)
    return "%04d-%s.%06dZ" % (
        when.year, when.strftime("%m-%dT%H:%M:%S"), when.microsecond)


# ---- the journal --------------------------------------------------------------

class Journal:
    """A store's folder; records() goes through all that is committed."""

    def __init__(self, folder):
        self.folder = folder
        self.id = self.read_identity()
        self.end = self.read_live()
        self.tree = Tree()
        self.aggregates = {}
        self.chain = self.epoch = self.committed_at = self.synced_before = 0

    def read_identity(self):
        path = os.path.join(self.folder, "STORE")
        with open(path) as f:
            m = re.fullmatch("weir store\nformat 1\nid ([0-9a-f-]{36})\n"
                             "created [0-9T:.Z-]{27}\n", f.read())
        want(m is not None, path, "no identity of a store")
        return uuid.UUID(m.group(1)).bytes

    def read_live(self):
        """The end that the page names, or 0 when it says nothing."""
        try:
            with open(os.path.join(self.folder, "live"), "rb") as f:
                page = f.read(4096)
            with open("/proc/sys/kernel/random/boot_id", "rb") as f:
                boot = f.read(36)
        except OSError:
            return 0
        if (len(page) != 4096 or page[:8] != b"WEIRLIVE" or page[32:68] != boot
                or page[8:12] != b"\x01\0\0\0" or page[16:32] != self.id):
            return 0
        (generation,) = struct.unpack_from("<Q", page, 256)
        slot = page[128:160] if generation % 2 == 0 else page[192:224]
        end, crc = struct.unpack_from("<8xQ8x4xI", slot)
        good = crc == crc32c(page[256:264] + slot[:28])
        return end if good else 0

    def segment(self, number):
        path = os.path.join(self.folder, "journal", "%08d.seg" % number)
        try:
            with open(path, "rb") as f:
                return path, f.read()
        except FileNotFoundError:
            return path, b""

    def enter(self, number, size):
        """The segment's bytes, or None when it is not in use."""
        path, data = self.segment(number)
        if not any(data[:SEGMENT_HEADER]):
            want(number > 1 and len(data) >= size, path, "is missing")
            return None
        (magic, form, length, store, own, own_size, first, _, committed_at,
         chain, nodes) = struct.unpack_from("<8sII16sQQQqqII", data)
        (crc,) = struct.unpack_from("<I", data, SEGMENT_HEADER - 4)
        want(magic == b"WEIRSEG1" and form == 1 and length == SEGMENT_HEADER,
             path, "no segment header")
        want(crc == crc32c(data[:SEGMENT_HEADER - 4]), path, "header CRC")
        want(store == self.id and own == number, path, "of another place")
        want(own_size <= len(data) and size in (0, own_size), path, "size")
        want(first == self.tree.leaves + 1 and chain == self.chain
             and committed_at == self.committed_at, path, "does not follow")
        frontier = [data[128 + 32 * i:160 + 32 * i] for i in range(nodes)]
        want(frontier == self.tree.nodes, path, "frontier")
        return data[:own_size]

    def group(self, data, position):
        """The header of the whole group there, or None."""
        at = position & 0xFFFFFFFF
        head = data[at:at + GROUP_HEADER]
        if len(head) < GROUP_HEADER or head[:4] != b"WGRP":
            return None
        (chain, extent, records, first, epoch, synced, before, body_crc, flags,
         commits, size) = struct.unpack_from("<4xIIIQQQIIIIQ", head)
        seed = self.id + struct.pack("<Q", position)
        if chain != crc32c(seed + head[8:]):
            return None
        body = data[at + GROUP_HEADER:at + extent]
        if extent > GROUP_MOST or len(body) != extent - GROUP_HEADER:
            return None
        if body_crc != crc32c(seed + head[24:32] + body):
            return None
        where = "position %#x" % position
        want(before == self.chain, where, "is not chained to the one before")
        want(first == self.tree.leaves + 1, where, "first sequence")
        want(epoch >= self.epoch and synced <= position, where, "epoch, synced")
        if flags == 0:
            want(extent % 8 == 0 and 0 < commits <= records, where, "counts")
            want(body[-8:] == struct.pack("<I", extent) + b"WEND", where,
                 "trailer")
        else:
            want(flags in (MARK, SEAL) and extent == GROUP_HEADER
                 and records == commits == 0, where, "flags")
        self.chain, self.epoch = chain, epoch
        self.synced_before = max(self.synced_before, synced)
        return extent, records, commits, flags, size, body[:-GROUP_TRAILER]

    def take(self, r):
        """Numbers, prev, skip and node of a record; its aggregate's root."""
        want(r.sequence == self.tree.leaves + 1, r.where, "sequence")
        want(r.committed_at >= self.committed_at, r.where, "committed_at falls")
        self.committed_at = r.committed_at
        a = self.aggregates.setdefault(tuple(r.name[:2]), Aggregate())
        v = len(a.position)
        want(r.version == v, r.where, "version")
        want(r.prev == a.position[v - 1], r.where, "prev")
        want(r.skip == a.position[v - (v & -v)], r.where, "skip")
        a.position.append(r.position)
        a.tree.add(r.hash)
        self.tree.add(r.hash)
        want(r.node == a.tree.nodes[-1], r.where, "node")
        want(self.root_by_skips(r, a), r.where, "root")
        return a.tree.root()

    @staticmethod
    def root_by_skips(r, a):
        """As the manual has it: popcount(v) frames from v on."""
        a.nodes = getattr(a, "nodes", {})
        a.nodes[r.position] = (r.node, r.skip)
        node, skip = a.nodes[r.position]
        root = node
        while skip != 0:
            node, skip = a.nodes[skip]
            root = inner(node, root)
        return root == a.tree.root()

    def records(self):
        """(record, root of its aggregate) in the order of sequence."""
        number, size = 1, 0
        while True:
            data = self.enter(number, size)
            if data is None:
                break
            position = number << 32 | SEGMENT_HEADER
            while self.end == 0 or position < self.end:
                found = self.group(data, position)
                if found is None:
                    want(position >= max(self.end, self.synced_before),
                         "position %#x" % position, "no whole group")
                    return
                extent, records, commits, flags, size, body = found
                yield from self.frames(body, position, records, commits)
                position += extent
                if flags == SEAL:
                    break
            else:
                return
            number += 1
        want(self.end <= number << 32 | SEGMENT_HEADER, self.folder, "is short")

    def frames(self, body, position, records, commits):
        at = 0
        while at < len(body):
            place = position + GROUP_HEADER + at
            r = Record(body[at:], self.id, place, "position %#x" % place)
            yield r, self.take(r)
            at += r.length
            records -= 1
            commits -= r.end
            want(at < len(body) or r.end, r.where, "a commit without an end")
        want(records == commits == 0, "position %#x" % position, "counts")


def main(args):
    options = [a for a in args if a.startswith("--")]
    folders = [a for a in args if not a.startswith("--")]
    if len(folders) != 1 or set(options) - {"--all", "--root"}:
        sys.exit(__doc__)
    journal = Journal(folders[0])
    out = sys.stdout.buffer
    try:
        for r, root in journal.records():
            hidden = r.name[0].startswith(b"$") and "--all" not in options
            if not hidden and "--root" not in options:
                out.write(r.json(root).encode() + b"\n")
    except (Damage, struct.error) as e:
        out.flush()
        sys.exit("%s: %s" % (folders[0], e))
    if "--root" in options:
        print(journal.tree.leaves, journal.tree.root().hex())


if __name__ == "__main__":
    main(sys.argv[1:])
