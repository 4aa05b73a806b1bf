# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the scripts that source this file
# What everything is called in the project, once. Sourced by deploy.sh, teardown.sh and smoke.sh.

readonly PREFIX=diy-relay
readonly TOPIC=$PREFIX
readonly SUBSCRIPTION=$PREFIX-deliver
readonly DATABASE=$PREFIX

# The inbound document. Connectors' secrets have the same prefix: "acme-token" is diy-relay-acme-token; one that is called "inbound"
# is stored under another name.
readonly INBOUND_SECRET=$PREFIX-inbound

# The journal: a subscription for each number of days that a connector can keep it, each of which writes below its own prefix of
# the bucket.
readonly JOURNAL_SUBSCRIPTION=$PREFIX-journal
readonly JOURNAL_DAYS=(1 7 30)

readonly FUNCTIONS=(create deliver tick diy console)
# The function of mediarithmics' feeds, which is there only where it was asked for.
readonly FEEDS=external-feed
# One service account for each function, and those as whom Pub/Sub, Scheduler and Cloud Build act.
readonly ACCOUNTS=(create deliver tick diy console push scheduler build)

readonly TICK_JOB=$PREFIX-tick
readonly TIDY_JOB=$PREFIX-tidy

readonly APIS=(
  run.googleapis.com
  cloudbuild.googleapis.com
  artifactregistry.googleapis.com
  pubsub.googleapis.com
  firestore.googleapis.com
  secretmanager.googleapis.com
  storage.googleapis.com
  cloudscheduler.googleapis.com
  iam.googleapis.com
  iap.googleapis.com
  cloudresourcemanager.googleapis.com
  logging.googleapis.com
  monitoring.googleapis.com
)

# account FUNCTION: the e-mail address of its service account.
account() { printf '%s-%s@%s.iam.gserviceaccount.com' "$PREFIX" "$1" "$PROJECT"; }

# journal_bucket: its name. Names of buckets are everybody's, so the project is in it.
journal_bucket() { printf '%s-%s-journal' "$PROJECT" "$PREFIX"; }
