# SPDX-License-Identifier: MIT
EXTRA_DIST += \
	tests/system/conftest.py \
	tests/system/follow.js \
	tests/system/test_arrows.py \
	tests/system/test_cli.py \
	tests/system/test_diag.py \
	tests/system/test_embed.py \
	tests/system/test_format.py \
	tests/system/test_import.py \
	tests/system/test_mirrors.py \
	tests/system/test_quickstart.py \
	tests/system/test_readme.py \
	tests/system/test_server.py \
	tests/system/test_stream.py \
	tests/system/test_supervisor.py \
	tests/system/test_text.py
