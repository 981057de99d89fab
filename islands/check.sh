#!/usr/bin/env bash
# Whether the committed islands are what their sources build; where there is no Node, that is said and no more.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v npm >/dev/null || ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'; then
  echo "islands: not compared with their sources; that takes npm and Node 20.19 or newer"
  exit 0
fi
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent --no-audit --no-fund
npm run --silent check
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
npx vite build --logLevel error --outDir "$built"
diff -rq "$built" ../src/safelight/web/static/islands \
  || { echo "islands: the committed files are not what the sources build; run: make islands"; exit 1; }
