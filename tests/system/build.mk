# SPDX-License-Identifier: MIT
EXTRA_DIST += \
	tests/system/test_quickstart.py
