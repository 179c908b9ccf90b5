#!/bin/sh
# Runs a Windows program in the Wine prefix that `cargo xtask setup windows` has made; cargo's runner for the target.
export WINEPREFIX="${COFFERDAM_PREFIX:-${COFFERDAM_CACHE:-$HOME/.cache/cofferdam}/windows/prefix}"
export WINEARCH=win64 WINEDEBUG="${WINEDEBUG:--all}"
# No Mono, no browser engine, no desktop entries: what wants them here is a mistake, not a test.
export WINEDLLOVERRIDES='mscoree,mshtml=;winemenubuilder.exe='
# Debian's `wine` is a script that complains about 32-bit programs; wine64 is what it would run.
PATH="/usr/lib/wine:$PATH"
command -v wine64 >/dev/null && exec wine64 "$@"
exec wine "$@"
