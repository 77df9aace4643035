#!/usr/bin/env bash
# `npm run compat`: the clients, then the matrix of what they can do, into docs/compatibility.md. Needs a build.
#
#   bash test/compat/run.sh [arguments of vitest, such as the name of one test file]
#
# COMPAT_CACHE   where clients are kept between runs; ~/.cache/millrace-compat if it is not set
# CI             compares docs/compatibility.md with what came out, and writes nothing
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cache=${COMPAT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace-compat}

[ -n "${COMPAT_INSTALLED:-}" ] || bash test/compat/install.sh "$cache"
# shellcheck source=/dev/null
. "$cache/environment"
export COMPATIBILITY=1
exec npx vitest run -c vitest.compat.config.ts "$@"
