# SPDX-License-Identifier: MIT
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/embed/test_embed
TESTS += tests/unit/embed/test_embed
# Against the library as others link it: only what weir.h promises is there.
tests_unit_embed_test_embed_CPPFLAGS = -I$(top_srcdir)/include $(CMOCKA_CFLAGS)
tests_unit_embed_test_embed_LDADD = libweir.la $(CMOCKA_LIBS)
tests_unit_embed_test_embed_SOURCES = tests/unit/embed/test_embed.c

check_PROGRAMS += contrib/examples/ledger
contrib_examples_ledger_LDADD = libweir.la
contrib_examples_ledger_SOURCES = contrib/examples/ledger.c
endif
