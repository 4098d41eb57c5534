# SPDX-License-Identifier: MIT
core_libcore_la_SOURCES += \
	core/model/config.c \
	core/model/config.h \
	core/model/diagconf.c \
	core/model/diagconf.h \
	core/model/draft.c \
	core/model/draft.h \
	core/model/draft_int.h \
	core/model/draft_mem.c \
	core/model/fold.c \
	core/model/fold.h \
	core/model/fold_cache.c \
	core/model/hash.c \
	core/model/hash.h \
	core/model/inifile.c \
	core/model/inifile.h \
	core/model/intake.c \
	core/model/intake.h \
	core/model/mapping.c \
	core/model/policy.c \
	core/model/policy.h \
	core/model/policy_int.h \
	core/model/schema.c \
	core/model/schema.h \
	core/model/schema_check.c \
	core/model/schema_doc.c \
	core/model/schema_int.h \
	core/model/schema_type.c \
	core/model/token.c \
	core/model/token.h \
	core/model/token_admin.c \
	core/model/token_doc.c \
	core/model/token_int.h
