#!/usr/bin/env bash
# Brings DIY Relay into a Google Cloud project, or brings what is there up to date. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deploy/names.sh
source deploy/names.sh
# shellcheck source=deploy/commands.sh
source deploy/commands.sh

usage() {
  cat <<'USAGE'
deploy/deploy.sh PROJECT REGION [--notify EMAIL] [--roles LIST] [--journal] [--feeds HOST:PORT] [--dry-run]

  PROJECT         ID of the Google Cloud project; it must exist and have billing
  REGION          where everything is, e.g. europe-west1
  --notify EMAIL  who is told when something is wrong; kept by later runs
  --roles LIST    who may do what in the console, e.g. 'alice@example.com=admin,*@example.com=viewer': the first that fits counts. An
                  admin changes connectors and secrets, an operator switches, resumes and tests, a viewer looks, as does everybody
                  without a list. Kept by later runs
  --journal       makes what connectors with retention.journal need: a bucket, and subscriptions that write to it; kept by later runs
  --feeds HOST:PORT  serves mediarithmics' external feeds, too; its plugin gateway is there. The secrets plugin-worker-id and
                  plugin-authentication-token have to be set before. Kept by later runs
  --dry-run       prints every command, as a shell script, and runs none

It uses the account that gcloud is logged in with. What it makes is listed in deploy/README.md.
USAGE
}

notify=""
roles=""
journal=false
feeds=""
take_words '--notify= --roles= --journal --feeds=' "$@"
address='^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$'
[[ -z $notify || $notify =~ $address ]] || die "'$notify' is no e-mail address."
one_role='[A-Za-z0-9._%+*?@-]+=(viewer|operator|admin)'
[[ -z $roles || $roles =~ ^$one_role(,$one_role)*$ ]] || die "'$roles' is no list of roles. It looks like alice@example.com=admin,*@example.com=viewer; a role is viewer, operator or admin."
[[ -z $feeds || $feeds =~ ^[A-Za-z0-9.-]+:[0-9]{1,5}$ ]] || die "'$feeds' is no place of a gateway. It looks like plugin-gateway.platform:8080."
$dry_run || need gcloud
need python3

# Answers of gcloud that later commands need; 'ask' fills them by name.
# shellcheck disable=SC2034
PROJECT_NUMBER="" INDEXES="" FIELDS="" DAILY="" WEEKLY="" ORDERED="" CREATE_URL="" DELIVER_URL="" TICK_URL="" DIY_URL="" CONSOLE_URL=""
# shellcheck disable=SC2034
CHANNEL="" CHANNELS="" POLICY="" JOURNAL_BUCKET="" JOURNALED="" FEED_SERVICE="" FEED_URL=""

enable_apis() {
  say "APIs"
  google services enable "${APIS[@]}"
  ask PROJECT_NUMBER projects describe "$PROJECT" '--format=value(projectNumber)'
}

# What cannot be changed once a subscription is there is looked at before anything is made.
check_subscription() {
  say "Is there a subscription already that cannot be made right?"
  look_at_subscription() {
    ask ORDERED pubsub subscriptions describe "$SUBSCRIPTION" '--format=csv[no-heading](enableMessageOrdering,topic.basename(),filter)'
    if $dry_run || [[ $ORDERED == "True,$TOPIC," ]]; then return; fi
    die "The subscription $SUBSCRIPTION is there, and is not as it has to be: in order, of the topic $TOPIC, without a filter (it says: $ORDERED).
That cannot be changed afterwards. deploy/README.md says how it is replaced: 'A wrong subscription'."
  }
  either look_at_subscription : pubsub subscriptions describe "$SUBSCRIPTION"
  local days
  for days in "${JOURNAL_DAYS[@]}"; do
    look_at_journal() {
      ask JOURNALED pubsub subscriptions describe "$JOURNAL_SUBSCRIPTION-$days" '--format=value[separator=","](enableMessageOrdering,topic.basename(),filter)'
      if $dry_run || [[ $JOURNALED == "True,$TOPIC,$(journal_filter "$days")" ]]; then return; fi
      die "The subscription $JOURNAL_SUBSCRIPTION-$days is there, and is not as it has to be: in order, of the topic $TOPIC, with the filter $(journal_filter "$days") (it says: $JOURNALED).
That cannot be changed afterwards. Delete it, which loses what it has not written yet, and run this again."
    }
    either look_at_journal : pubsub subscriptions describe "$JOURNAL_SUBSCRIPTION-$days"
  done
}

# journal_filter DAYS: which messages are kept for so many days. The publisher says it in an attribute.
journal_filter() { printf 'attributes.journal = "%s"' "$1"; }

# ---------------------------------------------------------------------------------------------------------------- accounts

make_accounts() {
  say "Service accounts: one for each function, and those as whom Pub/Sub, Scheduler and Cloud Build act"
  local name
  for name in "${ACCOUNTS[@]}"; do make_account "$name"; done
  # Google's own accounts, which exist only once asked for: the one signs the push calls, the other lets people into the console.
  patiently beta services identity create --service=pubsub.googleapis.com
  patiently beta services identity create --service=iap.googleapis.com
}

# make_account NAME
make_account() {
  local name=$1
  # shellcheck disable=SC2329
  create_account() { patiently iam service-accounts create "$PREFIX-$name" "--display-name=DIY Relay: $name"; }
  either : create_account iam service-accounts describe "$(account "$name")"
}

grant_project_rights() {
  say "Rights in the project"
  local secrets name
  for name in create deliver tick console; do grant_database "$name"; done
  for name in create deliver tick; do grant_secrets "$name"; done
  # The console is where secrets are set, rotated and forgotten, and where a published connector enters the inbound document: all of
  # ours, and no others. To make one and to list them are rights in the project, whatever the secret is called; no other right of this
  # role is one in a project.
  secrets="resource.name.startsWith(\"projects/$PROJECT_NUMBER/secrets/$PREFIX-\") || resource.type == \"cloudresourcemanager.googleapis.com/Project\""
  grant console roles/secretmanager.admin diy-relay-secrets-written "$secrets"
  patiently projects add-iam-policy-binding "$PROJECT" "--member=serviceAccount:$(account build)" --role=roles/run.builder --condition=None
  # Needed in projects made before April 2021 only (https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions).
  patiently iam service-accounts add-iam-policy-binding "$(account push)" --role=roles/iam.serviceAccountTokenCreator \
    "--member=serviceAccount:service-$PROJECT_NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com"
}

# grant_database FUNCTION
grant_database() {
  # https://cloud.google.com/firestore/docs/security/iam: a condition limits the role to one database.
  grant "$1" roles/datastore.user diy-relay-database "resource.name == \"projects/$PROJECT/databases/$DATABASE\""
}

# grant_secrets FUNCTION: to read the connectors' secrets.
grant_secrets() {
  # Secret Manager names a resource with the project's number. By the beginning of the name rather than secret by secret: then one
  # that is not set yet is "not found", and not "not allowed". The inbound document is left out: it is given below to those who need
  # it.
  local secrets="projects/$PROJECT_NUMBER/secrets"
  secrets="resource.name.startsWith(\"$secrets/$PREFIX-\") && !resource.name.startsWith(\"$secrets/$INBOUND_SECRET/\")"
  grant "$1" roles/secretmanager.secretAccessor diy-relay-secrets "$secrets"
  # Viewer: which version is the previous one is said beside the values.
  grant "$1" roles/secretmanager.viewer diy-relay-secrets "$secrets"
}

# grant FUNCTION ROLE TITLE CONDITION
grant() {
  patiently projects add-iam-policy-binding "$PROJECT" "--member=serviceAccount:$(account "$1")" "--role=$2" \
    "--condition=^;^title=$3;expression=$4"
}

# ---------------------------------------------------------------------------------------------------------------- database

make_database() {
  say "Firestore database"
  create_database() {
    patiently firestore databases create "--database=$DATABASE" "--location=$REGION" --type=firestore-native --edition=standard --delete-protection
  }
  either : create_database firestore databases describe "--database=$DATABASE"

  say "Its indexes and times to live: those of firestore.indexes.json that are not there yet. Google builds them within minutes"
  ask INDEXES firestore indexes composite list "--database=$DATABASE" --format=json
  ask FIELDS firestore indexes fields list "--database=$DATABASE" --format=json
  if $dry_run; then INDEXES="[]" FIELDS="[]"; fi
  local needed words
  needed=$(printf '{"indexes": %s, "fields": %s}' "${INDEXES:-[]}" "${FIELDS:-[]}" | python3 deploy/firestore.py commands "$DATABASE")
  # Read by another number than gcloud's standard input.
  while IFS=$'\t' read -r -u 3 -a words; do
    if [[ ${#words[@]} -gt 0 ]]; then very_patiently "${words[@]}"; fi
  done 3<<<"$needed"

  say "Its backups: daily, kept for a week, and weekly, kept for eight"
  # A daily schedule has nothing to say of itself, and a filter does not see an empty field.
  schedule_backups DAILY 'NOT weeklyRecurrence:*' 7d --recurrence=daily
  schedule_backups WEEKLY 'weeklyRecurrence:*' 8w --recurrence=weekly --day-of-week=SUN
}

# schedule_backups NAME WHICH KEPT WORDS: the variable NAME becomes the ID of the schedule that the filter WHICH finds, if any.
schedule_backups() {
  local name=$1 which=$2 kept=$3 recurrence
  shift 3
  recurrence=("$@")
  update_backups() {
    local id="${!name}"
    google firestore backups schedules update "--database=$DATABASE" "--backup-schedule=$id" "--retention=$kept"
  }
  create_backups() { google firestore backups schedules create "--database=$DATABASE" "${recurrence[@]}" "--retention=$kept"; }
  ask "$name" firestore backups schedules list "--database=$DATABASE" "--filter=$which" '--format=value(name.basename())' --limit=1
  depending_on "$name" update_backups create_backups
}

# ----------------------------------------------------------------------------------------------------------------- secrets

# Only what the receiver mounts: the connectors' secrets are set with 'diy secrets set', which prints none.
make_secrets() {
  say "Secrets"
  # It has to be there before the receiver, which mounts it. 'diy connectors apply' fills it.
  create_inbound() {
    patiently secrets create "$INBOUND_SECRET" --replication-policy=user-managed "--locations=$REGION" --data-file=deploy/empty-inbound.json
  }
  either : create_inbound secrets describe "$INBOUND_SECRET"

  patiently secrets add-iam-policy-binding "$INBOUND_SECRET" "--member=serviceAccount:$(account diy)" --role=roles/secretmanager.secretAccessor
  # tick brings the document up to date if one who changed a connector was stopped halfway.
  patiently secrets add-iam-policy-binding "$INBOUND_SECRET" "--member=serviceAccount:$(account tick)" --role=roles/secretmanager.secretAccessor
  patiently secrets add-iam-policy-binding "$INBOUND_SECRET" "--member=serviceAccount:$(account tick)" --role=roles/secretmanager.secretVersionManager
}

# ------------------------------------------------------------------------------------------------------------------- topic

make_topic() {
  say "Topic"
  # Messages of a key keep their order within one region only (https://cloud.google.com/pubsub/docs/ordering).
  create_topic() { patiently pubsub topics create "$TOPIC" "--message-storage-policy-allowed-regions=$REGION"; }
  update_topic() { google pubsub topics update "$TOPIC" "--message-storage-policy-allowed-regions=$REGION"; }
  either update_topic create_topic pubsub topics describe "$TOPIC"
  local name
  # The console: whoever builds an audience anew, or has something sent again, puts that into the queue.
  for name in diy deliver tick console; do
    patiently pubsub topics add-iam-policy-binding "$TOPIC" "--member=serviceAccount:$(account "$name")" --role=roles/pubsub.publisher
  done
}

# ----------------------------------------------------------------------------------------------------------------- journal

make_journal_bucket() {
  local bucket
  bucket=$(journal_bucket)
  say "The journal's bucket, where there is to be one: not public, and what is deleted is gone"
  # Objects grow old by the days of their prefix, those that were rewritten by the day on which they were first written.
  local settings=(
    --uniform-bucket-level-access --public-access-prevention --soft-delete-duration=0 --lifecycle-file=deploy/journal-lifecycle.json
  )
  create_bucket() { patiently storage buckets create "gs://$bucket" "--location=$REGION" "${settings[@]}"; }
  if $journal; then either : create_bucket storage buckets describe "gs://$bucket"; fi
  ask JOURNAL_BUCKET storage buckets list "--filter=name=$bucket" '--format=value(name)'
  update_bucket() {
    google storage buckets update "gs://$bucket" "${settings[@]}"
    # Pub/Sub writes as its own account (https://cloud.google.com/pubsub/docs/create-cloudstorage-subscription#assign_roles_service_agent).
    local pubsub="service-$PROJECT_NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com" role
    for role in roles/storage.objectCreator roles/storage.legacyBucketReader; do
      patiently storage buckets add-iam-policy-binding "gs://$bucket" "--member=serviceAccount:$pubsub" "--role=$role"
    done
    # A replay reads; the console says how much there is to be sent again.
    local name
    for name in deliver console; do
      patiently storage buckets add-iam-policy-binding "gs://$bucket" "--member=serviceAccount:$(account "$name")" --role=roles/storage.objectViewer
    done
  }
  depending_on JOURNAL_BUCKET update_bucket :
}

make_journal_subscriptions() {
  say "The journal's subscriptions: in order, each writes what is kept for its number of days below a prefix"
  write_journal() {
    local days
    for days in "${JOURNAL_DAYS[@]}"; do write_days "$days"; done
  }
  depending_on JOURNAL_BUCKET write_journal :
}

# write_days DAYS. An object a minute, the shortest: so long a replay waits. 600 s, the longest: an object is acknowledged when it
# is whole. 64 MB: an object is rewritten in one piece. No dead-letter policy: what cannot be written waits, and keeps its order.
write_days() {
  local name=$JOURNAL_SUBSCRIPTION-$1 filter
  filter=$(journal_filter "$1")
  local settings=(
    --ack-deadline=600 --message-retention-duration=31d --expiration-period=never
    "--cloud-storage-bucket=$(journal_bucket)" "--cloud-storage-file-prefix=$1/" --cloud-storage-file-suffix=.avro
    --cloud-storage-file-datetime-format=YYYY-MM-DDThh:mm:ssZ --cloud-storage-max-duration=1m --cloud-storage-max-bytes=64MB
    --cloud-storage-output-format=avro --cloud-storage-write-metadata
  )
  # shellcheck disable=SC2329
  create_writer() {
    patiently pubsub subscriptions create "$name" "--topic=$TOPIC" --enable-message-ordering "--message-filter=$filter" "${settings[@]}"
  }
  # shellcheck disable=SC2329
  update_writer() { patiently pubsub subscriptions update "$name" "${settings[@]}"; }
  either update_writer create_writer pubsub subscriptions describe "$name"
}

# --------------------------------------------------------------------------------------------------------------- functions

# deploy_function NAME VARIABLES WORDS: from this directory (what .gcloudignore lets through), as its own service account.
#
# WORKERS=1 with one CPU: a second process would only take memory. THREADS is the function's concurrency, so that no request waits
# for a thread while Cloud Run believes that it is being handled.
# CLOUD_RUN_TIMEOUT_SECONDS=0: gunicorn's watchdog is off. Cloud Run takes an idle instance's CPU away, and the watchdog would kill
# the worker as hung when it comes back. What ends a request is --timeout.
# CPU is given while a request is being handled: everything that matters is done before the answer.
deploy_function() {
  local name=$1 variables=$2 track=(run)
  shift 2
  local variables_as=--set-env-vars
  # --iap.
  if [[ $name == console ]]; then track=(beta run); fi
  # The console's list of roles, and the feeds' gateway, stay as they are where none is given.
  if [[ $name == console || $name == "$FEEDS" ]]; then variables_as=--update-env-vars; fi
  google "${track[@]}" deploy "$PREFIX-$name" --source=. "--function=${name//-/_}" --base-image=python313 \
    "--region=$REGION" "--service-account=$(account "$name")" \
    "--build-service-account=projects/$PROJECT/serviceAccounts/$(account build)" \
    --execution-environment=gen2 --cpu=1 --cpu-throttling --cpu-boost \
    "$variables_as=BACKEND=google,GOOGLE_CLOUD_PROJECT=$PROJECT,GOOGLE_CLOUD_REGION=$REGION,FIRESTORE_DATABASE=$DATABASE,TOPIC=$TOPIC,SECRET_PREFIX=$PREFIX-,JOURNAL_BUCKET=$JOURNAL_BUCKET,ACK_DEADLINE_S=300,WORKERS=1,CLOUD_RUN_TIMEOUT_SECONDS=0,$variables" \
    "$@"
  # After a rollback the traffic is tied to an older revision.
  google run services update-traffic "$PREFIX-$name" "--region=$REGION" --to-latest
}

address_of() { ask "$1" run services describe "$PREFIX-$2" "--region=$REGION" '--format=value(status.url)'; }

# may_call WHO NAME: this service account may call that function.
may_call() {
  patiently run services add-iam-policy-binding "$PREFIX-$2" "--region=$REGION" "--member=serviceAccount:$1" --role=roles/run.invoker
}

deploy_create() {
  say "create: makes audiences at the partner"
  # Rare, but the DMP waits: the receiver gives it 2.5 s. An instance that starts takes about that long, so that the first creation
  # after a quiet time may be finished behind the DMP's back (connectors with the partner's IDs: 504, and the DMP asks again).
  # --min-instances=1 avoids it. 60 s: the creation goes on after the receiver has given up. Any ingress: the receiver calls it by
  # its public address, and IAM keeps everybody else out.
  deploy_function create THREADS=16 --memory=512Mi --concurrency=16 --min-instances=0 --max-instances=5 --timeout=60s \
    --ingress=all --no-allow-unauthenticated
  address_of CREATE_URL create
  may_call "$(account diy)" create
}

deploy_deliver() {
  say "deliver: handles the queue's messages"
  # A turn waits for the partner nearly all of its time, so one CPU carries 16; each may hold what a hold's resume has gathered, some
  # MB: 1 GiB. 20 instances: 320 audiences at once. 240 s: above the worker's budget of 120 s, below the acknowledgement deadline
  # of 300 s, so that a message is never handed out again while its request still runs. Internal: Pub/Sub of this project.
  deploy_function deliver THREADS=16 --memory=1Gi --concurrency=16 --min-instances=0 --max-instances=20 --timeout=240s \
    --ingress=internal --no-allow-unauthenticated
  address_of DELIVER_URL deliver
  may_call "$(account push)" deliver
}

deploy_tick() {
  say "tick: resumes the holds that are due"
  # One instance: it looks at all holds. It stays until the next minute's call, and the hourly tidying may take minutes (900 s) while
  # ticks go on: four at once. Internal: Scheduler of this project.
  deploy_function tick THREADS=4 --memory=512Mi --concurrency=4 --min-instances=0 --max-instances=1 --timeout=900s \
    --ingress=internal --no-allow-unauthenticated
  address_of TICK_URL tick
  may_call "$(account scheduler)" tick
}

deploy_diy() {
  say "diy: the receiver, which the DMP calls. The only one that is public; it checks the signature of each request"
  # One instance is always warm: starting takes longer than the second in which the DMP wants its answer. Asynchronous, about 1 ms
  # of CPU a request: 80 at once wait for their confirmations side by side. 1 GiB: 80 of the usual 16 KB are nothing, but a body may
  # have 10 MiB. 30 s: far above what it ever needs; a slow upload ends there. The inbound document is its one secret.
  deploy_function diy "INBOUND_FILE=/secrets/inbound/document,CREATE_URL=$CREATE_URL" --memory=1Gi --concurrency=80 \
    --min-instances=1 --max-instances=20 --timeout=30s --ingress=all --allow-unauthenticated \
    "--set-secrets=/secrets/inbound/document=$INBOUND_SECRET:latest"
  # Where a policy of the organization forbids it, the deployment only warns, and the DMP would be refused. This fails.
  patiently run services add-iam-policy-binding "$PREFIX-diy" "--region=$REGION" --member=allUsers --role=roles/run.invoker
  address_of DIY_URL diy
}

deploy_console() {
  say "console: the operator's pages, behind Identity-Aware Proxy"
  # A comma would end the variable.
  local listed=${roles:+,CONSOLE_ROLES=${roles//,/;}}
  # The proxy signs for this service who is there, and the console checks that; it asks for no password.
  # --timeout: a page takes no second, but the CSV of a million rejections is streamed for minutes.
  local signed_for="/projects/$PROJECT_NUMBER/locations/$REGION/services/$PREFIX-console"
  deploy_function console "PUBLIC_URL=$DIY_URL,IAP_AUDIENCE=$signed_for,THREADS=8$listed" --memory=512Mi --concurrency=8 --min-instances=0 --max-instances=2 \
    --timeout=900s --ingress=all --no-allow-unauthenticated --iap
  address_of CONSOLE_URL console
  may_call "service-$PROJECT_NUMBER@gcp-sa-iap.iam.gserviceaccount.com" console
}

deploy_feeds() {
  say "$FEEDS: mediarithmics' feeds, where they are asked for, now or before"
  if [[ -n $feeds ]]; then
    serve_feeds
    return
  fi
  ask FEED_SERVICE run services list "--region=$REGION" "--filter=metadata.name=$PREFIX-$FEEDS" '--format=value(metadata.name)'
  depending_on FEED_SERVICE serve_feeds :
}

# It makes audiences, looks at the store and publishes. The platform signs nothing, so IAM decides who may call it, and nobody does yet.
serve_feeds() {
  make_account "$FEEDS"
  grant_database "$FEEDS"
  grant_secrets "$FEEDS"
  patiently pubsub topics add-iam-policy-binding "$TOPIC" "--member=serviceAccount:$(account "$FEEDS")" --role=roles/pubsub.publisher
  # Asynchronous. 1 GiB: 80 of the usual requests are nothing, but a batch may have 12 MB, which are a dozen times as much while it is
  # delivered. 80: the function itself takes 72 at once, and tells the others to come again. 60 s: an answer that waits for its turn
  # takes 20 s at most, a creation 25 s, and the gateway 15 s before that.
  deploy_function "$FEEDS" "FEED_ACCESS=iam${feeds:+,GATEWAY_HOST=${feeds%:*},GATEWAY_PORT=${feeds##*:}}" --memory=1Gi --concurrency=80 \
    --min-instances=0 --max-instances=20 --timeout=60s --ingress=internal --no-allow-unauthenticated \
    "--set-secrets=PLUGIN_WORKER_ID=$PREFIX-plugin-worker-id:latest,PLUGIN_AUTHENTICATION_TOKEN=$PREFIX-plugin-authentication-token:latest"
  address_of FEED_URL "$FEEDS"
}

# ------------------------------------------------------------------------------------------------------------ subscription

make_subscription() {
  say "Subscription: in order, pushed to deliver, signed"
  # 300 s: above deliver's time-out, so that nobody else gets a message while a worker has it.
  # 31 days, the longest: what cannot be handled waits, and is not lost. It never expires for want of traffic.
  # A failure answered to Pub/Sub means that the database was out of reach or an instance died, never that a partner is in trouble:
  # so again soon (10 s, the least) and at most a minute later.
  # No dead-letter policy: forwarding a message would let those behind it overtake. The worker counts crashes itself.
  local settings=(
    --ack-deadline=300 --message-retention-duration=31d --expiration-period=never --min-retry-delay=10s --max-retry-delay=60s
    "--push-endpoint=$DELIVER_URL" "--push-auth-service-account=$(account push)" "--push-auth-token-audience=$DELIVER_URL"
  )
  create_subscription() {
    google pubsub subscriptions create "$SUBSCRIPTION" "--topic=$TOPIC" --enable-message-ordering "${settings[@]}"
  }
  update_subscription() {
    google pubsub subscriptions update "$SUBSCRIPTION" "${settings[@]}" --clear-dead-letter-policy
  }
  either update_subscription create_subscription pubsub subscriptions describe "$SUBSCRIPTION"
}

# --------------------------------------------------------------------------------------------------------------- scheduler

make_jobs() {
  say "Scheduler: tick every minute, the tidying every hour"
  # No repetition of a tick that failed: the next one looks at the same holds.
  schedule "$TICK_JOB" '* * * * *' "$TICK_URL/" 180s 0
  schedule "$TIDY_JOB" '7 * * * *' "$TICK_URL/tidy" 900s 2
}

# schedule JOB WHEN URL DEADLINE REPETITIONS
schedule() {
  local job=$1
  local settings=(
    "--location=$REGION" "--schedule=$2" --time-zone=Etc/UTC "--uri=$3" --http-method=post "--attempt-deadline=$4" "--max-retry-attempts=$5"
    "--oidc-service-account-email=$(account scheduler)" "--oidc-token-audience=$TICK_URL"
  )
  create_job() { google scheduler jobs create http "$job" "${settings[@]}"; }
  update_job() { google scheduler jobs update http "$job" "${settings[@]}"; }
  either update_job create_job scheduler jobs describe "$job" "--location=$REGION"
}

# -------------------------------------------------------------------------------------------------------------- monitoring

make_metrics() {
  local file name
  say "Metrics of log lines. Early, since it takes minutes until alerts can be made of a new one"
  for file in deploy/monitoring/metrics/*.json; do
    name=$(basename "$file" .json)
    create_metric() { patiently logging metrics create "$name" "--config-from-file=$file"; }
    update_metric() { google logging metrics update "$name" "--config-from-file=$file"; }
    either update_metric create_metric logging metrics describe "$name"
  done
}

make_alerts() {
  local file name
  say "Whom to tell"
  if [[ -n $notify ]]; then
    create_channel() {
      google beta monitoring channels create "--display-name=DIY Relay: $notify" --type=email "--channel-labels=email_address=$notify" --user-labels=app=diy-relay
    }
    ask CHANNEL beta monitoring channels list "--filter=userLabels.app=\"diy-relay\" AND labels.email_address=\"$notify\"" '--format=value(name)' --limit=1
    depending_on CHANNEL : create_channel
  fi
  ask CHANNELS beta monitoring channels list '--filter=userLabels.app="diy-relay"' "--format=value(name)"
  CHANNELS=${CHANNELS//$'\n'/,}

  say "Alerts"
  for file in deploy/monitoring/policies/*.json; do
    name=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["displayName"])' "$file")
    create_policy() { very_patiently alpha monitoring policies create "--policy-from-file=$file" ${CHANNELS:+"--notification-channels=$CHANNELS"}; }
    update_policy() { very_patiently alpha monitoring policies update "$POLICY" "--policy-from-file=$file" ${CHANNELS:+"--set-notification-channels=$CHANNELS"}; }
    ask POLICY alpha monitoring policies list "--filter=displayName=\"$name\"" '--format=value(name)' --limit=1
    depending_on POLICY update_policy create_policy
  done
}

# -------------------------------------------------------------------------------------------------------------------- whole

enable_apis
check_subscription
make_metrics
make_accounts
grant_project_rights
make_database
make_secrets
make_topic
make_journal_bucket
# What is published to a topic without a subscription is lost: nothing that makes messages is there before it.
deploy_create
deploy_deliver
make_subscription
make_journal_subscriptions
deploy_tick
make_jobs
deploy_diy
deploy_console
deploy_feeds
make_alerts

$dry_run && exit 0
cat <<DONE

Everything is in place.
  the DMP's address  $DIY_URL
  the console        $CONSOLE_URL${FEED_URL:+
  external feeds     $FEED_URL}

Let yourself into the console:
  gcloud beta iap web add-iam-policy-binding --member=user:YOU@EXAMPLE.COM --role=roles/iap.httpsResourceAccessor --region=$REGION --resource-type=cloud-run --service=$PREFIX-console --project=$PROJECT

For the command 'diy' in this shell:
  export BACKEND=google GOOGLE_CLOUD_PROJECT=$PROJECT GOOGLE_CLOUD_REGION=$REGION FIRESTORE_DATABASE=$DATABASE PUBLIC_URL=$DIY_URL JOURNAL_BUCKET=$JOURNAL_BUCKET

What comes next is in deploy/README.md: a connector, its secrets, the DMP. To see that it works: deploy/smoke.sh $PROJECT $REGION
DONE
