# SPDX-License-Identifier: MIT
EXTRA_DIST += tests/vectors/read_journal.py
