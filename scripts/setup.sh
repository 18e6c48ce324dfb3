#!/bin/sh
# Installs what the harness needs on Debian, and the harness itself into .venv.
# Quick when there is nothing to do. `sh scripts/setup.sh packages` prints the list.
set -eu
cd "$(dirname "$0")/.."

# What for: `harness doctor` says it per tool.
PACKAGES="build-essential bc bison flex libelf-dev libssl-dev cpio kmod lz4 xz-utils perl patch git
 ccache mmdebstrap e2fsprogs fakeroot openssh-client util-linux gnupg ca-certificates
 qemu-system-x86 libcap-dev libnuma-dev python3 python3-venv"
QEMU_WANTED=8.1   # -icount with several vCPUs

if [ "${1:-}" = packages ]; then
	printf '%s\n' $PACKAGES
	exit 0
fi

missing=""
for package in $PACKAGES; do
	dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
		missing="$missing $package"
done

qemu=$(dpkg-query -W -f '${Version}' qemu-system-x86 2>/dev/null | sed 's/^[0-9]*://' || true)
backports=""
. /etc/os-release
if [ "${VERSION_CODENAME:-}" = bookworm ] && ! dpkg --compare-versions "${qemu:-0}" ge "$QEMU_WANTED"; then
	backports=bookworm-backports
	missing="$missing qemu-system-x86"
fi
missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')

if [ -n "${missing# }" ]; then
	if [ "$(id -u)" = 0 ]; then
		as_root=""
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		as_root="sudo"
	else
		echo "setup: run as root first: apt-get update && apt-get install -y --no-install-recommends $missing" >&2
		exit 2
	fi
	list=/etc/apt/sources.list.d/pte-harness-backports.sources
	# First of all: what apt knows of its sources it knows from the lists.
	$as_root apt-get update -qq
	if [ -n "$backports" ] && ! apt-get indextargets --format '$(RELEASE)' | grep -qx "$backports"; then
		site=$(apt-get indextargets --format '$(CODENAME) $(RELEASE) $(SITE)' |
			awk '($1 == "bookworm" || $2 == "bookworm") { print $3; exit }')
		if [ -n "$site" ]; then
			echo "setup: adding $backports of your Debian mirror ($list), for a newer QEMU"
			printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$site" \
				"$backports" /usr/share/keyrings/debian-archive-keyring.gpg | $as_root tee "$list" >/dev/null
		fi
	fi
	[ -z "$backports" ] || $as_root apt-get update -qq
	echo "setup: installing $missing"
	if [ -n "$backports" ] && apt-get indextargets --format '$(RELEASE)' | grep -qx "$backports"; then
		DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends \
			-t "$backports" qemu-system-x86 >/dev/null
	fi
	DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

stamp=.venv/.pte-harness
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ] || [ constraints.txt -nt "$stamp" ]; then
	echo "setup: installing the harness into .venv"
	[ -x .venv/bin/python ] || python3 -m venv .venv
	.venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch "$stamp"
fi
