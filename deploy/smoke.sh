#!/usr/bin/env bash
# Looks whether what deploy.sh made in a real project works: what no emulator shows. Ends with 1 if something does not.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deploy/names.sh
source deploy/names.sh
# shellcheck source=deploy/commands.sh
source deploy/commands.sh

usage() {
  cat <<'USAGE'
deploy/smoke.sh PROJECT REGION [--connector NAME] [--dry-run]

Run it some minutes after deploy.sh: indexes and times to live take a while. It needs the command 'diy' (deploy/README.md), and sends a
signed request to a connector of its own, diy-relay-smoke, whose partner cannot be reached, until the change is seen on hold; then it
removes the connector again.

  --connector NAME  sends to this connector of yours instead, until its partner has taken the change: at most ten users with test IDs
                    join and leave one audience named "DIY Relay test – may be deleted". SIMULATE_HMAC_SECRET and, if the connector
                    asks for it, SIMULATE_BASIC must be set
  --dry-run         prints every command, as a shell script, and runs none
USAGE
}

connector=""
take_words --connector= "$@"
[[ -z $connector || $connector =~ ^[a-z0-9@_-]+$ ]] || die "'$connector' is no connector's name."
$dry_run || need gcloud curl
need python3

readonly SMOKE=diy-relay-smoke
readonly AUDIENCE=diy-relay-test.1
readonly PATIENCE_S=240
failed=0
answer="" CREATE_URL="" DELIVER_URL="" TICK_URL="" DIY_URL="" CONSOLE_URL="" INDEXES="" FIELDS="" POLICIES=""

# verdict TITLE REASON: an empty reason means that all is well.
verdict() {
  if $dry_run; then return; fi
  if [[ -z $2 ]]; then
    printf 'ok  %s\n' "$1"
  else
    printf 'NO  %s: %s\n' "$1" "$2"
    failed=$((failed + 1))
  fi
}

# expect TITLE PATTERN WORDS: the command's whole answer fits the pattern (of bash).
expect() {
  local title=$1 pattern=$2
  shift 2
  if $dry_run; then
    google "$@"
    return
  fi
  answer=$(gcloud "$@" "$(in_project)" --quiet) || answer="an error"
  # shellcheck disable=SC2053 # it is a pattern
  if [[ $answer == $pattern ]]; then verdict "$title" ""; else verdict "$title" "it says: ${answer:-nothing}"; fi
}

# expect_status TITLE STATUSES URL WORDS: what somebody without credentials gets.
expect_status() {
  local title=$1 statuses=" $2 " url=$3 status
  shift 3
  if $dry_run; then
    print_line "$(quoted curl -s -o /dev/null -w '%{http_code}' --max-time 30 "$@" "$url")"
    return
  fi
  status=$(curl -s -o /dev/null -w '%{http_code}' --max-time 30 "$@" "$url") || true
  if [[ $statuses == *" $status "* ]]; then verdict "$title" ""; else verdict "$title" "it answers $status"; fi
}

# until_it_works TITLE WORDS: tries the command again for some minutes.
until_it_works() {
  local title=$1 waited=0
  shift
  if $dry_run; then
    print_line "$(quoted "$@")"
    return
  fi
  while ! "$@" >/dev/null 2>&1; do
    if [[ $waited -ge $PATIENCE_S ]]; then
      verdict "$title" "not within $PATIENCE_S s"
      return 1
    fi
    sleep 10
    waited=$((waited + 10))
  done
  verdict "$title" ""
}

# ---------------------------------------------------------------------------------------------------------- what is there

look_at_functions() {
  say "Functions"
  local name
  for name in "${FUNCTIONS[@]}"; do
    expect "$name is ready" True run services describe "$PREFIX-$name" "--region=$REGION" '--format=value(status.conditions[0].status)'
  done
  ask CREATE_URL run services describe "$PREFIX-create" "--region=$REGION" '--format=value(status.url)'
  ask DELIVER_URL run services describe "$PREFIX-deliver" "--region=$REGION" '--format=value(status.url)'
  ask TICK_URL run services describe "$PREFIX-tick" "--region=$REGION" '--format=value(status.url)'
  ask DIY_URL run services describe "$PREFIX-diy" "--region=$REGION" '--format=value(status.url)'
  ask CONSOLE_URL run services describe "$PREFIX-console" "--region=$REGION" '--format=value(status.url)'
  say "Nobody without credentials gets into the private ones, and everybody reaches the receiver"
  expect_status "create refuses strangers" "401 403" "$CREATE_URL" -X POST -d '{}'
  expect_status "deliver refuses strangers" "401 403 404" "$DELIVER_URL" -X POST -d '{}'
  expect_status "tick refuses strangers" "401 403 404" "$TICK_URL" -X POST -d ''
  expect_status "console asks strangers to log in with Google" "302 401 403" "$CONSOLE_URL"
  expect_status "diy is public, and knows no such connector" "404" "$DIY_URL/there-is-no-such-connector" -X POST -d '{}'
}

look_at_queue() {
  say "Queue"
  expect "the subscription is ordered, with 300 s to acknowledge, signed, without a dead-letter topic" \
    "True;300;$(account push);;ACTIVE" pubsub subscriptions describe "$SUBSCRIPTION" \
    '--format=csv[no-heading,separator=";"](enableMessageOrdering,ackDeadlineSeconds,pushConfig.oidcToken.serviceAccountEmail,deadLetterPolicy.deadLetterTopic,state)'
}

look_at_database() {
  say "Database"
  ask INDEXES firestore indexes composite list "--database=$DATABASE" --format=json
  ask FIELDS firestore indexes fields list "--database=$DATABASE" --format=json
  if ! $dry_run; then
    answer=$(printf '{"indexes": %s, "fields": %s}' "${INDEXES:-[]}" "${FIELDS:-[]}" | python3 deploy/firestore.py lacking)
    verdict "indexes and times to live are as firestore.indexes.json asks" "$answer"
  fi
  expect "there are two backup schedules" $'?*\n?*' firestore backups schedules list "--database=$DATABASE" '--format=value(name)'
}

look_at_scheduler() {
  say "Scheduler"
  # The last field is the code of an error.
  expect "the last tick succeeded" 'ENABLED;' scheduler jobs describe "$TICK_JOB" "--location=$REGION" '--format=csv[no-heading,separator=";"](state,status.code)'
  expect "there was a tick within the last five minutes" '20*' logging read \
    "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"$PREFIX-tick\" AND jsonPayload.event=\"tick\"" \
    --freshness=5m --limit=1 '--format=value(timestamp)'
  expect "the last tidying succeeded, or there was none yet" 'ENABLED;' scheduler jobs describe "$TIDY_JOB" "--location=$REGION" \
    '--format=csv[no-heading,separator=";"](state,status.code)'
}

look_at_alerts() {
  say "Alerts"
  local file
  for file in deploy/monitoring/metrics/*.json; do
    expect "the metric $(basename "$file" .json) is there" '?*' logging metrics describe "$(basename "$file" .json)" '--format=value(name)'
  done
  ask POLICIES alpha monitoring policies list '--filter=userLabels.app="diy-relay"' '--format=value(enabled)'
  if $dry_run; then return; fi
  local policies=(deploy/monitoring/policies/*.json) enabled
  enabled=$(grep -c True <<<"$POLICIES" || true)
  answer=""
  if [[ $enabled -ne ${#policies[@]} ]]; then answer="there are $enabled"; fi
  verdict "there are ${#policies[@]} alerts, switched on" "$answer"
}

# ------------------------------------------------------------------------------------------------------------ the whole way

# The one that is on the path, and the Python beside it, which has what it needs; else that of this directory.
find_diy() {
  local here
  here=$(command -v diy || printf '%s/.venv/bin/diy' "$PWD")
  [[ -x $here ]] || die "The command 'diy' is not there. Make it as deploy/README.md says: python3 -m venv .venv && .venv/bin/pip install -r requirements.txt -e ."
  PATH=$(dirname "$here"):$PATH
}

use_google() {
  export BACKEND=google GOOGLE_CLOUD_PROJECT=$PROJECT GOOGLE_CLOUD_REGION=$REGION FIRESTORE_DATABASE=$DATABASE PUBLIC_URL=$DIY_URL
  if $dry_run; then
    print_line "export BACKEND=google GOOGLE_CLOUD_PROJECT=$PROJECT GOOGLE_CLOUD_REGION=$REGION FIRESTORE_DATABASE=$DATABASE PUBLIC_URL=\"$DIY_URL\""
  fi
}

# ours WORDS: a command of 'diy'.
ours() {
  if $dry_run; then print_line "$(quoted diy "$@")"; else diy "$@" >/dev/null; fi
}

readonly HOLDS=(holds list "$SMOKE" --json)

# For this reason and no other: a connector that is off or incomplete would hold the change, too, before any secret is used.
is_on_hold() {
  diy "${HOLDS[@]}" |
    python3 -c 'import json, sys; sys.exit(not any(hold["reason"] == "partner_unavailable" for hold in json.load(sys.stdin)))'
}

# delivered_lines: the words of the command that finds one.
delivered_lines() {
  deliveries=(logging read --freshness=5m --limit=1 '--format=value(timestamp)'
    "resource.type=\"cloud_run_revision\" AND jsonPayload.event=\"attempt\" AND jsonPayload.connector=\"$connector\" AND jsonPayload.delivered>0")
}

is_delivered() { [[ -n $(gcloud "${deliveries[@]}" "$(in_project)" --quiet) ]]; }

go_the_whole_way() {
  say "The whole way: a signed request, the queue, a signed push, the database, the secrets"
  $dry_run || find_diy
  use_google
  if [[ -n $connector ]]; then go_to_your_partner; else go_to_no_partner; fi
}

go_to_your_partner() {
  delivered_lines
  if ! $dry_run && [[ -z ${SIMULATE_HMAC_SECRET:-} ]]; then
    die "SIMULATE_HMAC_SECRET is not set. 'diy connectors activation $connector --show-secrets' shows it."
  fi
  if ! until_it_works "diy has $connector's secret from its mounted document" diy simulate "$DIY_URL/$connector"; then return; fi
  if $dry_run; then
    ours simulate "$DIY_URL/$connector" --send --duration=5s --rate=2
    google "${deliveries[@]}"
    return
  fi
  if answer=$(diy simulate "$DIY_URL/$connector" --send --duration=5s --rate=2 2>&1); then answer=""; fi
  verdict "diy accepts signed traffic as fast as the DMP asks" "$answer"
  until_it_works "the partner of $connector has taken it" is_delivered || true
}

go_to_no_partner() {
  trap remove_smoke EXIT
  ours secrets set smoke-hmac --generate --quiet
  ours secrets set smoke-token --generate --quiet
  ours connectors apply deploy/smoke.yaml --quiet
  if $dry_run; then
    print_line "export SIMULATE_HMAC_SECRET=\$($(quoted gcloud secrets versions access latest "--secret=$PREFIX-smoke-hmac" "$(in_project)" --quiet))"
  else
    SIMULATE_HMAC_SECRET=$(gcloud secrets versions access latest "--secret=$PREFIX-smoke-hmac" "$(in_project)" --quiet)
    export SIMULATE_HMAC_SECRET
  fi
  if ! until_it_works "diy has the connector's secret from its mounted document, and refuses wrong signatures" diy simulate "$DIY_URL/$SMOKE"; then return; fi
  if $dry_run; then
    print_line "$(quoted python3 deploy/signed_change.py "$DIY_URL/$SMOKE")"
    ours "${HOLDS[@]}"
    return
  fi
  if answer=$(python3 deploy/signed_change.py "$DIY_URL/$SMOKE" 2>&1); then answer=""; fi
  verdict "diy accepts a signed change" "$answer"
  until_it_works "Pub/Sub has pushed it to deliver, which found the partner out of reach and put it on hold" is_on_hold || true
}

remove_smoke() {
  local status=$?
  trap - EXIT
  say "The connector of this test goes again"
  ours holds discard "$SMOKE" "$AUDIENCE" --yes --quiet || true
  if ! ours connectors delete "$SMOKE" --yes --quiet; then
    printf 'It is still there. Later: diy holds discard %s %s; diy connectors delete %s\n' "$SMOKE" "$AUDIENCE" "$SMOKE" >&2
  fi
  ours secrets delete smoke-hmac --yes --quiet || true
  ours secrets delete smoke-token --yes --quiet || true
  exit "$status"
}

# The number of failures decides, also where the removal of the connector ends the script.
finish() {
  if $dry_run; then exit 0; fi
  if [[ $failed -eq 0 ]]; then
    printf '\nAll is well.\n'
  else
    printf '\n%s of these are not as they should be.\n' "$failed"
    exit 1
  fi
}

look_at_functions
look_at_queue
look_at_database
look_at_scheduler
look_at_alerts
go_the_whole_way
finish
