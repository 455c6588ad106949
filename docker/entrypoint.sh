#!/bin/sh
# Secrets reach containers as files: NAME_FILE names the one whose text becomes the variable NAME.
set -eu
for name in AQE_SERVE_TOKEN LIONAGI_QE_MEMORY LIONAGI_QE_SIGNING_KEYS PGPASSWORD; do
  eval "file=\${${name}_FILE:-}"
  if [ -n "$file" ]; then
    value="$(cat "$file")"
    export "$name=$value"
  fi
done
exec aqe "$@"
