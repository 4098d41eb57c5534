# SPDX-License-Identifier: MIT
dist_noinst_SCRIPTS += \
	contrib/check \
	contrib/dpkg-events \
	contrib/quickstart
EXTRA_DIST += \
	contrib/cppcheck.txt \
	contrib/grafana/weir.json \
	contrib/packages.sh \
	contrib/prometheus/weir.rules.yml
EXTRA_DIST += \
	contrib/plugin-example/Makefile \
	contrib/plugin-example/tally.c
