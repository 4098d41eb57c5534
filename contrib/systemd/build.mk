# SPDX-License-Identifier: MIT
unitdir = $(prefix)/lib/systemd/system
nodist_unit_DATA = contrib/systemd/weir.service
dist_unit_DATA = contrib/systemd/weir.socket
EXTRA_DIST += contrib/systemd/weir.service.in
CLEANFILES += contrib/systemd/weir.service

contrib/systemd/weir.service: contrib/systemd/weir.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) contrib/systemd && \
	sed 's|@bindir[@]|$(bindir)|g' \
		$(top_srcdir)/contrib/systemd/weir.service.in > $@.tmp && \
	mv $@.tmp $@
