# SPDX-License-Identifier: MIT
weirincludedir = $(includedir)/weir
weirinclude_HEADERS = \
	include/weir/sink.h \
	include/weir/types.h \
	include/weir/weir.h
