#!/usr/bin/env bash
# photos.sh FOLDER: the photographs of packaging/photos.tsv into FOLDER, with that list beside them.
#
# Downloads the packages through apt, which checks their signatures, and unpacks them; installs
# nothing. Done before: does nothing. Exit 1, with the reason, when they cannot be had.
set -euo pipefail
list=$(dirname "${BASH_SOURCE[0]}")/photos.tsv
folder=$1

rows() { grep -v '^#' "$list"; }

complete() {
  cmp -s "$list" "$folder/photos.tsv" || return 1
  local path
  while IFS=$'\t' read -r _ path _; do
    [[ -s $folder/${path##*/} ]] || return 1
  done < <(rows)
}

fetch() {
  work=$(mktemp -d)  # not local: the trap reads it when all is over
  trap 'rm -rf "$work"' EXIT
  # apt's own user writes there.
  chmod 755 "$work"
  if [[ $EUID -eq 0 ]] && id -u _apt >/dev/null 2>&1; then chown _apt "$work"; fi
  local package path
  for package in $(rows | cut -f1 | sort -u); do
    echo "photos: fetching $package" >&2
    if ! (cd "$work" && apt-get download -q "$package") >"$work/log" 2>&1; then
      # A machine that never asked for the lists does not know the package.
      if [[ $EUID -eq 0 ]]; then apt-get update -q >/dev/null 2>&1 || true; fi
      (cd "$work" && apt-get download -q "$package") >"$work/log" 2>&1 ||
        { echo "photos: $(grep -m1 '^E:' "$work/log" || tail -n 1 "$work/log")" >&2; return 1; }
    fi
    dpkg-deb -x "$work/$package"_*.deb "$work/tree"
  done
  mkdir -p "$folder"
  while IFS=$'\t' read -r _ path _; do
    cp "$work/tree/$path" "$folder/"
  done < <(rows)
  cp "$list" "$folder/photos.tsv"  # last: it says that all are there
}

complete || fetch
