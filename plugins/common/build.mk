# SPDX-License-Identifier: MIT
# What several plugins share. Plugins never see core's headers.
SINK_CPPFLAGS = -I$(top_srcdir)/include -I$(top_srcdir)/plugins
SINK_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared \
	-export-symbols-regex '^weir_sink_plugin$$'
