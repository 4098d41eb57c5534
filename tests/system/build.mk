# SPDX-License-Identifier: MIT
EXTRA_DIST += \
	tests/system/test_arrows.py \
	tests/system/test_quickstart.py
