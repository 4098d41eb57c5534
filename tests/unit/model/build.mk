# SPDX-License-Identifier: MIT
noinst_HEADERS += tests/unit/model/model_test.h
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/model/test_config
TESTS += tests/unit/model/test_config
tests_unit_model_test_config_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_model_test_config_LDADD = $(TEST_LIBS)
tests_unit_model_test_config_SOURCES = tests/unit/model/test_config.c

check_PROGRAMS += tests/unit/model/test_mapping
TESTS += tests/unit/model/test_mapping
tests_unit_model_test_mapping_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_model_test_mapping_LDADD = $(TEST_LIBS)
tests_unit_model_test_mapping_SOURCES = tests/unit/model/test_mapping.c

check_PROGRAMS += tests/unit/model/test_draft
TESTS += tests/unit/model/test_draft
tests_unit_model_test_draft_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_model_test_draft_LDADD = $(TEST_LIBS)
tests_unit_model_test_draft_SOURCES = tests/unit/model/test_draft.c

check_PROGRAMS += tests/unit/model/test_fold
TESTS += tests/unit/model/test_fold
tests_unit_model_test_fold_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_model_test_fold_LDADD = $(TEST_LIBS)
tests_unit_model_test_fold_SOURCES = tests/unit/model/test_fold.c

check_PROGRAMS += tests/unit/model/test_fold_cache
TESTS += tests/unit/model/test_fold_cache
tests_unit_model_test_fold_cache_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_model_test_fold_cache_LDADD = $(TEST_LIBS)
tests_unit_model_test_fold_cache_SOURCES = tests/unit/model/test_fold_cache.c

check_PROGRAMS += tests/unit/model/test_policy
TESTS += tests/unit/model/test_policy
tests_unit_model_test_policy_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_model_test_policy_LDADD = $(TEST_LIBS)
tests_unit_model_test_policy_SOURCES = tests/unit/model/test_policy.c \
	$(STORE_TEST) $(STORE_GATE)

check_PROGRAMS += tests/unit/model/test_schema
TESTS += tests/unit/model/test_schema
tests_unit_model_test_schema_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_model_test_schema_LDADD = $(TEST_LIBS)
tests_unit_model_test_schema_SOURCES = tests/unit/model/test_schema.c \
	$(STORE_TEST)

check_PROGRAMS += tests/unit/model/test_token
TESTS += tests/unit/model/test_token
tests_unit_model_test_token_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_model_test_token_LDADD = $(TEST_LIBS)
tests_unit_model_test_token_SOURCES = tests/unit/model/test_token.c
endif
