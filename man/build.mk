# SPDX-License-Identifier: MIT
dist_man_MANS += man/weir-format.5
dist_man_MANS += man/weir.conf.5
dist_man_MANS += man/weir-sink.3
dist_man_MANS += man/weir-embed.3
dist_man_MANS += man/weir-text.7
dist_man_MANS += man/weir-rest.7
