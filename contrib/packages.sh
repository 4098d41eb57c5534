# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Read by contrib/quickstart and contrib/check: which Debian packages are
# needed, and how to install those that are missing.

BUILD_PACKAGES="autoconf automake libtool pkg-config gcc make libc6-dev
libssl-dev libcjson-dev libinih-dev liblmdb-dev libsqlite3-dev libpq-dev
libcurl4-openssl-dev libuv1-dev libmicrohttpd-dev"

say() {
	printf '== %s\n' "$*"
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# as_root COMMAND...: as it is for root, else through sudo.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1; then
		sudo "$@"
	else
		die "packages are missing and neither root nor sudo is at hand; as root run: $*"
	fi
}

# missing PACKAGE...: prints those that are not installed.
missing() {
	for p in "$@"; do
		case " $(dpkg-query -W -f '${db:Status-Status} ' "$p" 2>/dev/null)" in
		*" installed "*) ;;
		*) printf '%s ' "$p" ;;
		esac
	done
}

# need PACKAGE...: installs those that are missing; asks apt for nothing else.
# The package lists are fetched when there are none or they are too old. What
# apt says goes to the file $APT_LOG.
need() {
	command -v dpkg-query >/dev/null 2>&1 ||
		die "this is no Debian; install by hand what these are called there: $*"
	lacking=$(missing "$@")
	[ -n "$lacking" ] || return 0
	say "installing $lacking"
	# shellcheck disable=SC2086
	set -- $lacking
	if ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 && apt_install "$@"; then
		return 0
	fi
	as_root apt-get update -q >>"$APT_LOG" 2>&1 && apt_install "$@" && return 0
	tail -n 8 "$APT_LOG" >&2
	die "apt-get could not install $*: see $APT_LOG"
}

apt_install() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
		--no-install-recommends -o Dpkg::Use-Pty=0 "$@" >>"$APT_LOG" 2>&1
}
