# SPDX-License-Identifier: MIT
EXTRA_DIST += \
	tests/abi/1.0/frozen.c \
	tests/abi/1.0/weir/sink.h \
	tests/abi/1.0/weir/types.h \
	tests/abi/test_abi.py \
	tests/abi/variant.c
