# shellcheck shell=bash
# How the scripts run gcloud, or print what they would run. Sourced by deploy.sh, teardown.sh and smoke.sh.
#
# With --dry-run a script prints a shell script: every command with all of its words quoted, both branches wherever something is
# either made or updated. Nothing is run then, not even what only reads. Works with the bash 3.2 of macOS.

dry_run=false
indent=""
PROJECT=""
# shellcheck disable=SC2034 # used by the scripts
REGION=""

export CLOUDSDK_CORE_DISABLE_PROMPTS=1

die() {
  printf '%s\n' "$*" >&2
  exit 1
}

# say TEXT: what comes next; a comment in the dry run.
say() {
  if $dry_run; then printf '\n%s# %s\n' "$indent" "$*"; else printf '== %s\n' "$*"; fi
}

# take_words OPTIONS WORDS: a script's words: PROJECT, REGION and those of OPTIONS, such as '--yes --notify=', where '=' says that a
# value follows. The variable called like the option (--delete-data: delete_data) becomes the value, or true. What it calls, usage,
# is the script's.
take_words() {
  local known=" --dry-run $1 " places=() name
  shift
  while [[ $# -gt 0 ]]; do
    name=${1#--}
    name=${name//-/_}
    case $1 in
      -h | --help)
        usage
        exit 0
        ;;
      -*)
        [[ $name =~ ^[a-z_]+$ && $known == *" $1"[\ =]* ]] || die "There is no option $1. See: deploy/${0##*/} --help"
        if [[ $known == *" $1= "* ]]; then
          [[ $# -ge 2 ]] || die "$1 needs a value. See: deploy/${0##*/} --help"
          printf -v "$name" '%s' "$2"
          shift
        else
          printf -v "$name" true
        fi
        ;;
      *) places+=("$1") ;;
    esac
    shift
  done
  if [[ ${#places[@]} -ne 2 ]]; then
    usage >&2
    exit 2
  fi
  take_place "${places[@]}"
}

# take_place PROJECT REGION: checked, since both go into commands, conditions and addresses.
take_place() {
  [[ $1 =~ ^[a-z][a-z0-9-]{4,28}[a-z0-9]$ ]] || die "'$1' is no project ID. It looks like my-project-123; see: gcloud projects list"
  [[ $2 =~ ^[a-z]+-[a-z]+[0-9]+$ ]] || die "'$2' is no region. It looks like europe-west1; see: gcloud run regions list"
  PROJECT=$1
  # shellcheck disable=SC2034
  REGION=$2
}

need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || die "'$tool' is needed and is not on the path."
  done
}

# quoted WORDS: as one writes them in a shell. A word that holds ${NAME} names the answer of an earlier command.
quoted() {
  local word flag result="" quote="'\\''" plain='^[A-Za-z0-9_./:=@%+,-]+$'
  for word in "$@"; do
    flag=""
    if [[ ! $word =~ $plain || $word == --*= ]]; then
      if [[ $word == --*=* ]]; then
        flag="${word%%=*}="
        word=${word#*=}
      fi
      if [[ $word == *\$\{* ]]; then
        word=${word//\\/\\\\}
        word=${word//\"/\\\"}
        word=${word//\`/\\\`}
        word="\"$word\""
      else
        word="'${word//\'/$quote}'"
      fi
    fi
    result="$result${result:+ }$flag$word"
  done
  printf '%s' "$result"
}

print_line() { printf '%s%s\n' "$indent" "$*"; }

in_project() { printf '%s' "--project=$PROJECT"; }

# google WORDS: gcloud with these words, in the project, without questions.
google() {
  if $dry_run; then print_line "$(quoted gcloud "$@" "$(in_project)" --quiet)"; else gcloud "$@" "$(in_project)" --quiet >/dev/null; fi
}

# patiently WORDS: the same, tried again for a minute: a new service account is unknown to other services for some seconds.
patiently() { for_seconds 60 "$@"; }

# very_patiently WORDS: the same for ten minutes: Firestore may still be at another change of the same field, and so long a new
# metric can be unknown to Monitoring.
very_patiently() { for_seconds 600 "$@"; }

# for_seconds SECONDS WORDS: tried again until the pauses between come to so many seconds.
for_seconds() {
  local most=$1 waited=0 pause=4
  shift
  until google "$@"; do
    if [[ $waited -ge $most ]]; then die "Gave up at: $(quoted gcloud "$@")"; fi
    printf 'Not yet. Once more in %s s.\n' "$pause" >&2
    sleep "$pause"
    waited=$((waited + pause))
    pause=$((pause < 28 ? pause + 4 : 30))
  done
}

# ask NAME WORDS: the variable NAME becomes what the command prints.
ask() {
  local name=$1 answer
  shift
  if $dry_run; then
    print_line "$name=\$($(quoted gcloud "$@" "$(in_project)" --quiet))"
    answer="\${$name}"
  else
    answer=$(gcloud "$@" "$(in_project)" --quiet)
  fi
  printf -v "$name" '%s' "$answer"
}

# either THERE ABSENT WORDS: runs the function THERE if the command succeeds, else the function ABSENT (':' for neither).
either() {
  local there=$1 absent=$2
  shift 2
  if $dry_run; then
    branches "$(quoted gcloud "$@" "$(in_project)" --quiet) >/dev/null 2>&1" "$there" "$absent"
  elif gcloud "$@" "$(in_project)" --quiet >/dev/null 2>&1; then
    "$there"
  else
    "$absent"
  fi
}

# depending_on NAME THERE ABSENT: the same, by whether the variable NAME, which was asked for, is empty.
depending_on() {
  local name=$1
  if $dry_run; then
    branches "[ -n \"\${$name}\" ]" "$2" "$3"
  elif [[ -n ${!name} ]]; then
    "$2"
  else
    "$3"
  fi
}

branches() {
  print_line "if $1; then"
  branch "$2"
  print_line 'else'
  branch "$3"
  print_line 'fi'
}

branch() {
  local indent="$indent  "
  if [[ $1 == : ]]; then print_line :; else "$1"; fi
}
