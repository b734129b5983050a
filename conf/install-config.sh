#!/bin/sh
# install-config.sh FILE DIRECTORY: puts FILE into DIRECTORY, below $DESTDIR, unless one of that name is there already.
set -eu

directory=${DESTDIR:-}$2
target=$directory/$(basename "$1")

if [ -e "$target" ] || [ -L "$target" ]; then
	echo "Keeping $target"
	exit 0
fi
echo "Installing $target"
mkdir -p "$directory"
cp "$1" "$target"
chmod 644 "$target"
