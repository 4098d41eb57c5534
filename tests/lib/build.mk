# SPDX-License-Identifier: MIT
EXTRA_DIST += \
	tests/conftest.py \
	tests/lib/pg.py \
	tests/lib/run.py \
	tests/lib/test_pg.py
