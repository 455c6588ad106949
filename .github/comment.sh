#!/usr/bin/env bash
# Writes the summary of a run as the one comment of its job on a pull request, or anew into that.
# Needs GH_TOKEN, REPORTS (the directory of summary.md), NUMBER of the pull request, and MARKER, by
# which the comment is known.
set -euo pipefail
summary="$REPORTS/summary.md"
if [ ! -f "$summary" ]; then
  echo "::notice::aqe: the run left no summary to comment with"
  exit 0
fi
body="$(mktemp)"
# GitHub takes 65,536 characters.
{ printf '%s\n' "$MARKER"; head -c 60000 "$summary" | iconv -c -f UTF-8 -t UTF-8; } > "$body"
comments="repos/$GITHUB_REPOSITORY/issues/$NUMBER/comments"
write() {
  local known
  known="$(gh api --paginate "$comments" --jq '.[] | select(.body | startswith(env.MARKER)) | .id' | head -n 1)" || return 1
  if [ -n "$known" ]; then
    gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$known" --field "body=@$body"
  else
    gh api --silent --method POST "$comments" --field "body=@$body"
  fi
}
# The token of a pull request from a fork may not write: the summary of the job has it all the same.
write || echo "::warning::aqe: the pull request could not be commented on: the job needs pull-requests: write"
