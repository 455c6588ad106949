#!/usr/bin/env bash
# Writes the summary of a run as the one comment of its job on a pull request, or anew into that.
# Needs GH_TOKEN, REPORTS (the directory of summary.md), NUMBER of the pull request, and MARKER, by
# which the comment is known; COMMIT and JOB, a URL, are told where there is no summary.
set -euo pipefail
summary="$REPORTS/summary.md"
body="$(mktemp)"
trap 'rm -f "$body"' EXIT
printf '%s\n' "$MARKER" > "$body"
if [ ! -f "$summary" ]; then
  echo "::notice::aqe: the run left no summary to comment with"
  # What an earlier commit came to would stand there as if it were this one's.
  # shellcheck disable=SC2016  # Markdown's
  printf 'The run of `%s` left no summary: [its job](%s) tells why.\n' "${COMMIT:-}" "${JOB:-}" >> "$body"
elif [ "$(wc -c < "$summary")" -gt 60000 ]; then
  # GitHub takes 65,536 characters. Whole lines, and no block of code is left open.
  head -c 60000 "$summary" | iconv -c -f UTF-8 -t UTF-8 | sed '$d' >> "$body"
  if [ "$(grep -c '^ *```' "$body")" -gt 0 ] && [ $(( $(grep -c '^ *```' "$body") % 2 )) -eq 1 ]; then printf '```\n' >> "$body"; fi
  printf '\nCut, since a comment takes no more: the summary of [the job](%s) has all of it.\n' "${JOB:-}" >> "$body"
else
  cat "$summary" >> "$body"
fi
comments="repos/$GITHUB_REPOSITORY/issues/$NUMBER/comments"
write() {
  local known
  known="$(gh api --paginate "$comments" --jq '.[] | select(.body | startswith(env.MARKER)) | .id')" || return 1
  known="${known%%$'\n'*}"
  if [ -n "$known" ]; then
    gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$known" --field "body=@$body"
  elif [ -f "$summary" ]; then
    gh api --silent --method POST "$comments" --field "body=@$body"
  fi
}
# The token of a pull request from a fork may not write: the summary of the job has it all the same.
write || echo "::warning::aqe: the pull request could not be commented on: the job needs pull-requests: write"
