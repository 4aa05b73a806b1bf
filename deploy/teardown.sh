#!/usr/bin/env bash
# Takes DIY Relay out of a project again. What was accepted from the DMP and not yet delivered is kept, unless told otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deploy/names.sh
source deploy/names.sh
# shellcheck source=deploy/commands.sh
source deploy/commands.sh

usage() {
  cat <<'USAGE'
deploy/teardown.sh PROJECT REGION [--yes] [--delete-data] [--dry-run]

Deletes the functions, the Scheduler jobs, the alerts and metrics, and the service accounts with their rights. Keeps the data: the
database with its backups, the secrets, the journal, and the topic with its subscriptions, in which messages wait for up to 31
days. deploy.sh takes all of it up again.

  --yes          does not ask
  --delete-data  the data, too: the database with its backups, all secrets named diy-relay-…, the journal, topic and subscriptions
  --dry-run      prints every command, as a shell script, and runs none
USAGE
}

yes=false
delete_data=false
take_words '--yes --delete-data' "$@"
$dry_run || need gcloud
need python3

confirm() {
  local answer
  printf 'This deletes the functions of DIY Relay in the project %s: the DMP gets no answer any more.\n' "$PROJECT" >&2
  if $delete_data; then
    printf 'It also deletes ALL DATA for good: what is on hold or queued, the audiences, the reports, the journal, the backups, the secrets.\n' >&2
  fi
  printf 'To go on, type the project ID: ' >&2
  read -r answer || true
  [[ $answer == "$PROJECT" ]] || die "Nothing was deleted."
}

# Answers of gcloud that later commands need; 'ask' fills them by name.
# shellcheck disable=SC2034
POLICIES="" CHANNELS="" BACKUPS="" SECRETS=""

# only_if_there WORDS -- WORDS: the second command, if the first one succeeds.
only_if_there() {
  local check=()
  while [[ $1 != -- ]]; do
    check+=("$1")
    shift
  done
  shift
  local command=("$@")
  delete_it() { google "${command[@]}"; }
  either delete_it : "${check[@]}"
}

# each NAME WORDS: the command once for each line of the answer NAME, with the line as its last word.
each() {
  local name=$1 item
  shift
  if $dry_run; then
    print_line "for item in \${$name}; do"
    print_line "  $(quoted gcloud "$@") \"\${item}\" $(in_project) --quiet"
    print_line "done"
  else
    while IFS= read -r -u 3 item; do
      if [[ -n $item ]]; then google "$@" "$item"; fi
    done 3<<<"${!name}"
  fi
}

stop_calls() {
  say "Scheduler"
  local job
  for job in "$TICK_JOB" "$TIDY_JOB"; do
    only_if_there scheduler jobs describe "$job" "--location=$REGION" -- scheduler jobs delete "$job" "--location=$REGION"
  done
  # Without an address to push to, the messages simply wait. deploy.sh gives it one again.
  say "The subscription stops pushing, and keeps what is in it"
  only_if_there pubsub subscriptions describe "$SUBSCRIPTION" -- pubsub subscriptions modify-push-config "$SUBSCRIPTION" --push-endpoint=
}

delete_alerts() {
  say "Alerts, and whom they told"
  ask POLICIES alpha monitoring policies list '--filter=userLabels.app="diy-relay"' '--format=value(name)'
  each POLICIES alpha monitoring policies delete
  ask CHANNELS beta monitoring channels list '--filter=userLabels.app="diy-relay"' '--format=value(name)'
  each CHANNELS beta monitoring channels delete --force
  local file name
  for file in deploy/monitoring/metrics/*.json; do
    name=$(basename "$file" .json)
    only_if_there logging metrics describe "$name" -- logging metrics delete "$name"
  done
}

delete_functions() {
  say "Functions"
  local name
  for name in "${FUNCTIONS[@]}" "$FEEDS"; do
    only_if_there run services describe "$PREFIX-$name" "--region=$REGION" -- run services delete "$PREFIX-$name" "--region=$REGION"
  done
}

# A right stays behind its account as that of "deleted:…" if it is not taken away first.
delete_accounts() {
  say "Rights in the project, and service accounts"
  local name
  for name in create deliver tick console "$FEEDS"; do
    revoke "$name" roles/datastore.user
  done
  for name in create deliver tick "$FEEDS"; do
    revoke "$name" roles/secretmanager.secretAccessor
    revoke "$name" roles/secretmanager.viewer
  done
  revoke console roles/secretmanager.admin
  revoke build roles/run.builder
  for name in "${ACCOUNTS[@]}" "$FEEDS"; do
    only_if_there iam service-accounts describe "$(account "$name")" -- iam service-accounts delete "$(account "$name")"
  done
}

# revoke NAME ROLE: whatever the condition. Nothing to take away is fine.
revoke() {
  local words=(projects remove-iam-policy-binding "$PROJECT" "--member=serviceAccount:$(account "$1")" "--role=$2" --all)
  if $dry_run; then
    print_line "$(quoted gcloud "${words[@]}" "$(in_project)" --quiet) || true"
  else
    google "${words[@]}" || printf 'The right %s of %s was not there.\n' "$2" "$1" >&2
  fi
}

delete_all_data() {
  say "Queue"
  local name
  for name in "$SUBSCRIPTION" "${JOURNAL_DAYS[@]/#/$JOURNAL_SUBSCRIPTION-}"; do
    only_if_there pubsub subscriptions describe "$name" -- pubsub subscriptions delete "$name"
  done
  only_if_there pubsub topics describe "$TOPIC" -- pubsub topics delete "$TOPIC"
  say "Journal"
  only_if_there storage buckets describe "gs://$(journal_bucket)" -- storage rm --recursive "gs://$(journal_bucket)"
  say "Database, and its backups"
  ask BACKUPS firestore backups list "--filter=database~/databases/$DATABASE\$" '--format=value(name)'
  delete_backups
  delete_database() {
    google firestore databases update "--database=$DATABASE" --no-delete-protection
    google firestore databases delete "--database=$DATABASE"
  }
  either delete_database : firestore databases describe "--database=$DATABASE"
  say "Secrets"
  ask SECRETS secrets list "--filter=name~/secrets/$PREFIX-" '--format=value(name.basename())'
  each SECRETS secrets delete
}

delete_backups() {
  local name
  if $dry_run; then
    print_line "for name in \${BACKUPS}; do"
    print_line "  gcloud firestore backups delete --backup=\"\$(basename \"\${name}\")\" --location=$REGION $(in_project) --quiet"
    print_line "done"
  else
    while IFS= read -r -u 3 name; do
      if [[ -n $name ]]; then google firestore backups delete "--backup=${name##*/}" "--location=$REGION"; fi
    done 3<<<"$BACKUPS"
  fi
}

if ! $yes && ! $dry_run; then confirm; fi
stop_calls
delete_alerts
delete_functions
delete_accounts
if $delete_data; then delete_all_data; fi

if ! $dry_run; then
  printf '\nDone.'
  if ! $delete_data; then
    printf ' Kept: the database %s, the topic and its subscriptions, the journal, the secrets. deploy/teardown.sh --delete-data deletes them, too.' "$DATABASE"
  fi
  printf '\nNot touched: the APIs, the images in Artifact Registry (cloud-run-source-deploy) and the uploaded sources in Cloud Storage (run-sources-…).\n'
fi
