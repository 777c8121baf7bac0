#!/bin/sh
# Brings one run of a backup-cloud archive back with stock tools alone; RECOVER.txt says how to use it.
#
#   sh recover.sh [--admin FINGERPRINT] [--passphrases FILE]... [--set-id] [--devices] [--erasures FILE]... [--without-erasures] SOURCE RUN DIR
#
# It lies in the archive and reads the one it lies in. It checks every signature, length and digest before it opens an
# object, and each file's digest before the file gets its name. What is damaged is left out and listed on standard
# error; the rest comes back. Nothing decrypted is written outside DIR; no secret is in an argument, the environment or a
# file. Extended attributes and ACLs are not restored, sockets are not made again.
#
# Exit status: 0 well, 2 usage, 10 no such run, 12 refused, 20 a tool is missing or fails, 30 something is missing,
# 31 something does not verify.
set -u +x
LC_ALL=C TZ=UTC0
export LC_ALL TZ
unset POSIXLY_CORRECT GZIP TAR_OPTIONS ZSTD_CLEVEL CDPATH 2>/dev/null
umask 077
nl='
'
say() { printf '%s\n' "$*" >&2; }
die() {
  code=$1
  shift
  say "recover.sh: $*"
  exit "$code"
}
tampered=0 incomplete=0
bad() { say "DOES NOT VERIFY: $*"; tampered=1; }
lack() { say "MISSING: $*"; incomplete=1; }
usage() { die 2 "usage: sh recover.sh [--admin FINGERPRINT] [--passphrases FILE]... [--set-id] [--devices] [--erasures FILE]... [--without-erasures] SOURCE RUN DIR"; }

# --- arguments ------------------------------------------------------------------------------------------------------
admin='' releases='' records='' set_id=0 devices=0 without_erasures=0
while [ $# -gt 0 ]; do
  case $1 in
    --admin) [ $# -gt 1 ] || usage; admin=$2; shift ;;
    --passphrases)
      [ $# -gt 1 ] || usage
      # Opening standard input by its name fails where it is a socket.
      case $2 in - | /dev/stdin) part=$(cat) ;; *) part=$(cat <"$2") ;; esac || die 10 "cannot read $2"
      # A mark before each document, so that several releases can be told apart.
      releases="$releases$part$nl#$nl"; shift ;;
    --set-id) set_id=1 ;;
    --devices) devices=1 ;;
    --erasures)
      [ $# -gt 1 ] || usage
      part=$(cat <"$2") || die 10 "cannot read $2"
      records="$records$part$nl#$nl"; shift ;;
    --without-erasures) without_erasures=1 ;;
    -*) usage ;;
    *) break ;;
  esac
  shift
done
[ $# -eq 3 ] || usage
source=$1 run=$2 target=$3
case $admin in *[!0-9A-F]*) die 2 "--admin takes 40 upper-case hex digits without spaces" ;; esac
[ -z "$admin" ] || [ ${#admin} -eq 40 ] || die 2 "--admin takes 40 upper-case hex digits without spaces"
case $source in '' | -* | *[!a-z0-9-]*) die 2 "not the name of a source: $source" ;; esac
run_id() { # is $1 of the form of a run id?
  case $1 in
    *[!0-9a-fTZ-]*) return 1 ;;
    [0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z-????????) return 0 ;;
  esac
  return 1
}
run_id "$run" || die 2 "not a run id: $run"
for tool in gpg zstd tar awk sha256sum sed cut tr cat mkdir mkfifo ln mv cp rm touch chmod chown find sort dd; do
  command -v "$tool" >/dev/null 2>&1 || die 20 "the program $tool is missing"
done
# Secrets go through printf, which must be the shell's own: another program's arguments can be seen.
case $(command -v printf) in printf) ;; *) die 20 "this shell has no printf of its own; use dash, bash or busybox sh" ;; esac
case $0 in */*) archive=${0%/*} ;; *) archive=. ;; esac
archive=$(cd "${archive:-/}" && pwd && printf x) || die 10 "cannot enter the archive"
archive=${archive%"$nl"x}
[ -f "$archive/archive.json" ] || die 10 "there is no archive.json beside recover.sh"
recorded=0
[ ! -d "$archive/erasures" ] || recorded=$(find "$archive/erasures" -name '*.json.gpg' | awk 'END { print NR }')
if [ $without_erasures = 0 ] && [ "$recorded" -gt 0 ] && [ -z "$records" ]; then
  say "This archive records that some data must not come back. Holders and operators can read the records; for each file:"
  say "  gpg -d $archive/erasures/000001.json.gpg >record-1"
  say "Call again with --erasures record-1 and so on for all of them; of those that a later one replaces, that one will do."
  say "Where you may bring back all the same, call again with --without-erasures."
  die 12 "stopped at erasures/"
fi

# --- places ---------------------------------------------------------------------------------------------------------
[ -d "$target" ] || mkdir -p -- "$target" || die 20 "cannot make $target"
case $target in -*) target=./$target ;; esac
cd "$target" || die 20 "cannot enter $target"
[ -z "$(find . ! -name . | sed 1q)" ] || die 12 "$target is not empty"
stage=.recover-$$
mkdir "$stage" || die 20 "cannot write in $target"
# GnuPG homes hold no plaintext, and the sockets in them must have short paths.
homes=${TMPDIR:-/tmp}/rcv.$$
[ ${#homes} -lt 60 ] || homes=/tmp/rcv.$$
mkdir -m 700 "$homes" 2>/dev/null || { homes=$PWD/$stage/gpg && mkdir -m 700 "$homes"; } || die 20 "cannot make a temporary directory"
finish() {
  code=$?
  trap - EXIT
  gpgconf --homedir "$homes/open" --kill all >/dev/null 2>&1
  rm -rf "$homes" "$stage"
  exit "$code"
}
trap finish EXIT
trap 'exit 20' HUP INT TERM
mkdir -m 700 "$homes/open"
TMPDIR=$PWD/$stage
export TMPDIR
root_user=0
[ -z "$(find "$stage" -prune -user 0)" ] || root_user=1
mkdir "$stage/run" "$stage/c" "$stage/f" "$stage/s"

digest_of() { sha256sum <"$1" | cut -c 1-64; }
# Is the length of file $1 one of the others? In bytes.
length_is() {
  measured=$1 sizes=
  shift
  for each; do sizes="$sizes${sizes:+ -o }-size ${each}c"; done
  # shellcheck disable=SC2086
  [ -n "$(find "$measured" -prune -type f \( $sizes \))" ]
}
powers() { # 65536 * 2^n up to $1
  n=65536
  while [ $n -le "$1" ]; do printf '%s ' $n; n=$((n * 2)); done
}

# --- signed JSON: one member a line, in the schema's order; gives "member<TAB>value" -----------------------------------
json_awk='
function fail() { broken = 1; exit 1 }
function path(at, name) { return at == "" ? name : at "." name }
# Passes over optional members of the object at "at" until the one named "until".
function skip(at, until,  next_one) {
  while (seen[depth] < count[at]) {
    next_one = child[at, seen[depth] + 1]
    if (next_one == until || !spare[path(at, next_one)]) return
    seen[depth]++
  }
}
function spaces(n) { return substr("                ", 1, 2 * n) }
BEGIN {
  n = split(schema, list, " ")
  for (i = 1; i <= n; i++) {
    split(list[i], pair, "="); at = pair[1]; kind[at] = substr(pair[2], 1, 1); spare[at] = pair[2] ~ /\?$/; up = ""; name = at
    if (match(at, /^.*\./)) { up = substr(at, 1, RLENGTH - 1); name = substr(at, RLENGTH + 1) }
    child[up, ++count[up]] = name
  }
}
NR == 1 { if ($0 != "{") fail(); depth = 1; mode[1] = "o"; where[1] = ""; seen[1] = 0; last = "open"; next }
depth == 0 { fail() }
{
  end = spaces(depth - 1) (mode[depth] == "o" ? "}" : "]")
  if ($0 == end || $0 == end ",") {
    if (last != "plain") fail()
    if (mode[depth] == "o") { skip(where[depth]); if (seen[depth] != count[where[depth]]) fail() }
    last = $0 == end ? "plain" : "comma"
    if (--depth == 0 && last == "comma") fail()
    next
  }
  if (last == "plain" || substr($0, 1, 2 * depth) != spaces(depth)) fail()
  rest = substr($0, 2 * depth + 1); at = where[depth]
  if (mode[depth] == "o") {
    match(rest, /^"[a-z0-9_]+": /); skip(at, substr(rest, 2, RLENGTH - 4))
    name = child[at, ++seen[depth]]; head = "\"" name "\": "
    if (name == "" || substr(rest, 1, length(head)) != head) fail()
    rest = substr(rest, length(head) + 1); at = path(at, name); k = kind[at]
  } else k = mode[depth] == "S" ? "s" : mode[depth] == "N" ? "n" : "o"
  if (rest == "{" && k == "o" || rest == "[" && k ~ /[SON]/) {
    depth++; mode[depth] = k; where[depth] = at; seen[depth] = 0; last = "open"; next
  }
  last = "plain"
  if (substr(rest, length(rest)) == ",") { last = "comma"; rest = substr(rest, 1, length(rest) - 1) }
  if (k ~ /[SON]/) { if (rest != "[]") fail(); next }
  if (k == "s") {
    if (rest !~ /^"([^"\\]|\\["\\])*"$/ || rest ~ /[[:cntrl:]]/) fail()
    rest = substr(rest, 2, length(rest) - 2); gsub(/\\"/, "\"", rest); gsub(/\\\\/, "\\", rest)
  } else if (k == "n") { if (rest !~ /^(0|[1-9][0-9]*)$/ || length(rest) > 16) fail() }
  else if (k != "b" || rest != "true" && rest != "false") fail()
  print at "\t" rest
}
END { if (broken || depth != 0 || NR == 0) exit 1 }'
standing() { for each in name file sha256 fingerprint status since; do printf '%s.%s=s ' "$1" $each; done; }
archive_schema='format=s type=s archive=s created=s'
policy_schema="format=s type=s archive=s number=n created=s previous=s administrator=o administrator.file=s administrator.sha256=s
administrator.fingerprint=s release=s threshold=n recover=s holders=O $(standing holders) operators=O $(standing operators) sources=O
sources.name=s sources.kind=s sources.schedule=s sources.fresh_after=s sources.keys=O sources.keys.file=s sources.keys.sha256=s
sources.keys.fingerprint=s sources.keys.accept_until=s rules=o rules.horizon_days=n rules.grace_days=n rules.retention_days=n
handed=O? handed.file=s handed.sha256=s handed.pkesk=s keep=O? keep.source=s keep.last=n keep.hourly=n keep.daily=n keep.weekly=n
keep.monthly=n keep.yearly=n keep.within_days=n keep.minimum=n holds=O? holds.source=s holds.run=s holds.name=s holds.until=s
media=o? media.copies=n media.locations=n media.offline=n media.max_age_days=n drills=O? drills.source=s drills.every_days=n
drills.rto_minutes=n drills.rpo_minutes=n verifiers=O? $(standing verifiers) verifiers.sources=S"
receipt_schema='format=s type=s archive=s source=s run=s number=n policy=n outcome=s started=s finished=s kind=s release=s check=s recipients=S
previous=S uses=O uses.run=s uses.sums=s uses.volumes=s uses.catalogues=s entries=n bytes=n errors=S handed=O handed.file=s
handed.sha256=s handed.pkesk=s objects=S'
release_schema='format=s type=s archive=s request=s created=s expires=s holder=s operator=s source=s run=s kind=s erasures=n
without_erasures=b secrets=S'
erasure_schema='format=s type=s archive=s number=n created=s previous=s source=s until=s paths=S files=S sql=s database=s reason=s
ticket=s replaces=N'
flat() { # stdin: a document, $1: schema
  schema=$(printf '%s' "$1" | tr '\n' ' ')
  awk -v schema="$schema" "$json_awk"
}
member() { awk -F '\t' -v name="$2" '$1 == name { print $2; exit }' <"$1"; } # of a flat file
says() { # flat file $1 has each member=value that follows
  flat_file=$1
  shift
  for each; do [ "$(member "$flat_file" "${each%%=*}")" = "${each#*=}" ] || return 1; done
}

# --- signatures (docs/format.md, section 3) ---------------------------------------------------------------------------
quiet_gpg() { gpg --homedir "$@" 2>/dev/null; }
# Sets $home to a home with the one certificate in file $1, which has digest $2 and fingerprint $3.
certificate() {
  [ -f "$1" ] && [ "$(digest_of "$1")" = "$2" ] || return 1
  home=$homes/$(printf '%s' "$2" | cut -c 1-16)
  if [ ! -d "$home" ]; then
    mkdir -m 700 "$home" || return 1
    quiet_gpg "$home" --no-options --batch --no-tty --no-autostart --import <"$1" >/dev/null
  fi
  [ "$(quiet_gpg "$home" --no-options --batch --no-tty --no-autostart --no-auto-check-trustdb --with-colons --list-keys |
    awk -F : '$1 == "pub" { n++; primary = 1 } $1 == "sub" { primary = 0 } $1 == "fpr" && primary { f = f $10 } END { print n + 0, f }')" = "1 $3" ]
}
# Does the signature in file $2 by the key $3 in $home count for file $1? The key may have expired since.
signed() {
  [ -f "$1" ] && [ -f "$2" ] || return 1
  length=$(quiet_gpg "$home" --no-options --batch --no-tty --list-packets <"$2" |
    awk '/^# off=/ { n++; for (i = 2; i <= NF; i++) { split($i, p, "="); v[p[1]] = p[2] } } END { if (n == 1 && v["tag"] == 2) print v["hlen"] + v["plen"] }')
  [ -n "$length" ] && length_is "$2" "$length" || return 1
  status=$(quiet_gpg "$home" --no-options --batch --no-tty --no-autostart --no-auto-check-trustdb --trust-model always --status-fd 1 --verify "$2" "$1") || return 1
  printf '%s\n' "$status" | awk -v key="$3" '
    $1 != "[GNUPG:]" { next }
    $2 == "NEWSIG" { new++ }
    $2 == "GOODSIG" || $2 == "EXPKEYSIG" { good++ }
    $2 == "VALIDSIG" { valid++; if ($7 != 4 || $10 !~ /^(8|9|10)$/ || $11 != "00" || $12 != key) wrong++ }
    $2 ~ /^(BADSIG|ERRSIG|REVKEYSIG|EXPSIG)$/ { wrong++ }
    END { exit !(new == 1 && good == 1 && valid == 1 && !wrong) }'
}

# --- the policy -------------------------------------------------------------------------------------------------------
flat "$archive_schema" <"$archive/archive.json" >"$stage/archive" || die 31 "archive.json is not what it must be"
says "$stage/archive" format=backup-cloud/1 type=archive || die 31 "archive.json is not of this format"
archive_id=$(member "$stage/archive" archive)
pinned=$admin
[ -n "$pinned" ] || {
  flat "$policy_schema" <"$archive/config/policy-000001.json" >"$stage/p" || die 31 "the first policy is not what it must be"
  pinned=$(member "$stage/p" administrator.fingerprint)
}
holder_rules() { awk -F '\t' '$1 ~ /^(holders|release$|threshold$|verifiers)/' <"$1"; }
# Are there enough signatures of the holders present in flat policy $1 on file $2?
cosigned() {
  awk -F '\t' '$1 == "holders.file" { f = $2 } $1 == "holders.sha256" { s = $2 } $1 == "holders.fingerprint" { k = $2 }
    $1 == "holders.status" && $2 == "present" { print f, s, k }' <"$1" >"$stage/present"
  votes=0
  while read -r file sum key <&4; do
    certificate "$archive/config/public-keys/$file" "$sum" "$key" && signed "$2" "$2.$key.sig" "$key" && votes=$((votes + 1))
  done 4<"$stage/present"
  [ "$votes" -ge "$(member "$1" threshold)" ]
}
policy_at() { # reads policy $1 after $1 - 1
  document=$archive/config/policy-$(printf '%06d' "$1").json
  flat "$policy_schema" <"$document" >"$stage/policy-$1" || return 1
  before=
  [ "$1" -eq 1 ] || before=$(digest_of "$archive/config/policy-$(printf '%06d' $(($1 - 1))).json")
  says "$stage/policy-$1" format=backup-cloud/1 type=policy archive="$archive_id" number="$1" previous="$before" \
    administrator.file="$pinned.asc" administrator.fingerprint="$pinned" || return 1
  certificate "$archive/config/admin/$pinned.asc" "$(member "$stage/policy-$1" administrator.sha256)" "$pinned" || return 1
  signed "$document" "$document.sig" "$pinned" || return 1
  [ "$1" -eq 1 ] || [ "$(holder_rules "$stage/policy-$(($1 - 1))")" = "$(holder_rules "$stage/policy-$1")" ] || cosigned "$stage/policy-$(($1 - 1))" "$document"
}
policy=0
while [ -f "$archive/config/policy-$(printf '%06d' $((policy + 1))).json" ]; do
  policy_at $((policy + 1)) || { say "policy number $((policy + 1)) does not count: no valid signatures, or not after the one before"; break; }
  policy=$((policy + 1))
done
[ $policy -gt 0 ] || die 31 "no policy is signed by the administrator $pinned"

# --- runs: sums, signatures, receipts ---------------------------------------------------------------------------------
# Certificates of the source in flat policy $1: file, digest, fingerprint and end of each.
source_keys() {
  awk -F '\t' -v source="$source" '$1 == "sources.name" { mine = $2 == source } !mine { next } $1 == "sources.keys.file" { f = $2 } $1 == "sources.keys.sha256" { s = $2 }
    $1 == "sources.keys.fingerprint" { k = $2 } $1 == "sources.keys.accept_until" { print f, s, k, $2 }' <"$1"
}
# Checks number $2 of run $1 after the numbers before it; says why not.
number_at() {
  place=$archive/backup/$source/$1 here=$stage/run/$1 n=$(printf '%04d' "$2") before=$(printf '%04d' $(($2 - 1)))
  what=backup/$source/$1
  [ -f "$place/receipt-$n.json" ] && [ -f "$place/SHA256SUMS-$n" ] || { lack "$what: receipt or sums of number $2"; return 1; }
  flat "$receipt_schema" <"$place/receipt-$n.json" >"$here/$2" || { bad "$what/receipt-$n.json: not in the one accepted form"; return 1; }
  says "$here/$2" format=backup-cloud/1 type=receipt archive="$archive_id" source="$source" run="$1" number="$2" ||
    { bad "$what/receipt-$n.json: is of another archive, source, run or number"; return 1; }
  named=$(member "$here/$2" policy)
  [ "$named" -ge "$lowest" ] || { bad "$what/receipt-$n.json: names a lower policy than before it"; return 1; }
  lowest=$named
  [ "$named" -ge 1 ] && [ "$named" -le $policy ] || { bad "$what/receipt-$n.json: names policy $named, which does not count"; return 1; }
  source_keys "$stage/policy-$named" >"$stage/keys"
  found=0
  while read -r file sum key until <&4; do
    [ $found = 0 ] && certificate "$archive/config/sources/$file" "$sum" "$key" && signed "$place/SHA256SUMS-$n" "$place/SHA256SUMS-$n.sig" "$key" && found=1 && signer=$key
  done 4<"$stage/keys"
  [ $found = 1 ] || { bad "$what/SHA256SUMS-$n.sig: no signature of the source counts"; return 1; }
  ended=$(source_keys "$stage/policy-$policy" | awk -v key="$signer" '$3 == key { print $4 }')
  [ -z "$ended" ] || say "note: the key that signed $what counts only for what arrived before $ended; a copy cannot tell when that was"
  awk -F '\t' '$1 == "objects" { print $2 }' <"$here/$2" | awk '
    $0 !~ /^[^ ]+ (0|[1-9][0-9]*) [0-9a-f]+$/ || length($3) != 64 || NR > 1 && "x" $0 <= "x" last { exit 1 }
    $1 !~ /^(key\.gpg|share-[a-z0-9][a-z0-9-]*\.gpg|(volume|catalogue)-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]\.tar\.zst\.gpg|root-[0-9][0-9][0-9][0-9]\.gpg)$/ { exit 1 }
    { last = $0; print }' >"$here/objects-$2" || { bad "$what/receipt-$n.json: its list of objects is not what it must be"; return 1; }
  {
    awk '{ print $3 "  " $1 }' <"$here/objects-$2"
    printf '%s  %s\n' "$(digest_of "$place/receipt-$n.json")" "receipt-$n.json"
    [ "$2" -eq 1 ] || for each in "SHA256SUMS-$before" "SHA256SUMS-$before.sig"; do printf '%s  %s\n' "$(digest_of "$place/$each")" "$each"; done
  } | sort -t ' ' -k 3,3 >"$stage/sums"
  [ "$(cat "$place/SHA256SUMS-$n" && printf x)" = "$(cat "$stage/sums" && printf x)" ] ||
    { bad "$what/SHA256SUMS-$n: is not what the receipt says, or not in the one accepted form"; return 1; }
  awk -v number="$2" '{ print $0, number }' <"$here/objects-$2" >>"$here/objects"
}
# Checks run $1 and sets $top to its highest valid number, 0 if there is none.
load_run() {
  top=0 lowest=1
  mkdir -p "$stage/run/$1"
  : >"$stage/run/$1/objects"
  while [ -f "$archive/backup/$source/$1/SHA256SUMS-$(printf '%04d' $((top + 1))).sig" ]; do
    number_at "$1" $((top + 1)) || break
    top=$((top + 1))
  done
  printf '%s\n' $top >"$stage/run/$1/top"
}
# Says which of the administrator's expiry lists name run $1: what they name is missing on purpose.
expired_by() {
  for document in "$archive"/expiries/[0-9][0-9][0-9][0-9][0-9][0-9].json; do
    [ -f "$document" ] && awk -v source="      \"source\": \"$source\"," -v run="      \"run\": \"$1\"," '
      $0 == source { at = NR } $0 == run && at == NR - 1 { found = 1 } END { exit !found }' <"$document" || continue
    certificate "$archive/config/admin/$pinned.asc" "$(member "$stage/policy-1" administrator.sha256)" "$pinned" &&
      signed "$document" "$document.sig" "$pinned" || continue
    say "note: run $1 was taken away, or parts of it, by the administrator's expiry list ${document##*/}; another copy may have it"
  done
}
[ -f "$archive/backup/$source/$run/SHA256SUMS-0001.sig" ] || die 10 "there is no run $run of $source: no backup/$source/$run/SHA256SUMS-0001.sig"
load_run "$run"
[ $top -gt 0 ] || die 31 "nothing of run $run can be trusted"
run_top=$top own=$stage/run/$run
expired_by "$run"
if [ -f "$archive/backup/$source/$run/SHA256SUMS-$(printf '%04d' $((top + 2))).sig" ]; then bad "backup/$source/$run: a number in between is missing"; fi
own_policy=$(member "$own/1" policy)
awk -F '\t' '$1 == "previous" { print $2 }' <"$own/1" >"$stage/previous"
while read -r earlier _ <&3; do
  [ -f "$archive/backup/$source/$earlier/SHA256SUMS-0001.sig" ] || { say "note: the run before, $earlier, is not in this copy"; continue; }
  load_run "$earlier"
  [ $top -gt 0 ] || { bad "the run before, $earlier"; continue; }
  [ "$(member "$stage/run/$earlier/$top" policy)" -le "$own_policy" ] || die 31 "run $run names a lower policy than the run before, $earlier"
done 3<"$stage/previous"

# --- secrets: in shell variables and pipes only --------------------------------------------------------------------------
secrets='' keys=''
while [ -n "$releases" ]; do
  part=${releases%%"$nl#$nl"*}
  releases=${releases#*"$nl#$nl"}
  part=$(printf '%s\n' "$part" | flat "$release_schema") || die 31 "--passphrases: this is not a decrypted release"
  [ "$(printf '%s\n' "$part" | awk -F '\t' '$1 ~ /^(format|type|archive|source)$/ { printf "%s ", $2 }')" = "backup-cloud/1 release $archive_id $source " ] ||
    die 31 "--passphrases: the release is of another archive or source"
  stated=$(printf '%s\n' "$part" | awk -F '\t' '$1 == "erasures" { print $2 }')
  [ $without_erasures = 1 ] || [ "$stated" -le "$recorded" ] ||
    die 12 "the release states $stated records of what must not come back, and $recorded are here: use a newer copy of the archive"
  secrets=$secrets$(printf '%s\n' "$part" | awk -F '\t' '$1 == "secrets" { print $2 }')$nl
done
part=
secret_of() { printf '%s' "$secrets" | awk -v run="$1" -v base="$2" '$1 == run && $2 == base && length($3) == 64 && $3 !~ /[^0-9a-f]/ { v = $3 } END { print v }'; }
hex() { sha256sum | cut -c 1-64; }
# Sets $K to the key of run $1 with check value $2; says why not.
key_of() {
  K=$(printf '%s' "$keys" | awk -v run="$1" '$1 == run { print $2 }')
  [ -z "$K" ] || return 0
  K=$(secret_of "$1" key.gpg)
  if [ -z "$K" ] && [ -z "$secrets" ]; then
    for file in "$archive/backup/$source/$1/key.gpg" "$archive/reseals/$source/$1"/*.gpg; do
      [ -f "$file" ] || continue
      if [ "${file##*/}" = key.gpg ] && ! intact "$1" key.gpg; then continue; fi
      text=$(gpg --quiet -d "$file" 2>"$stage/gpg-said") || { sed 's/^/  /' <"$stage/gpg-said" | tr -d '\000-\010\013-\037\177' >&2; continue; }
      K=${text##*"${nl}key: "}
      [ "$text" = "backup-cloud/1 run key${nl}archive: $archive_id${nl}source: $source${nl}run: $1${nl}key: $K" ] && text= && break
      K= text=
      bad "$1/${file##*/}: what it holds is not the key of this run"
    done
  fi
  [ -n "$K" ] || return 1
  [ "$(printf 'backup-cloud/1:check:%s' "$K" | hex)" = "$2" ] || { bad "the key of run $1 does not have the check value of the receipt"; K=; return 1; }
  keys=$keys"$1 $K$nl"
}
# Sets $P to the passphrase of object $2 of run $1.
passphrase_of() {
  K=$(printf '%s' "$keys" | awk -v run="$1" '$1 == run { print $2 }')
  if [ -n "$K" ]; then
    P=$(printf '%s:%s' "$K" "$(printf 'backup-cloud/1:%s:%s:%s' "$K" "$1" "$2" | hex)" | hex)
  else
    P=$(secret_of "$1" "$2")
  fi
  [ -n "$P" ]
}

# --- objects ------------------------------------------------------------------------------------------------------------
# Has object $2 of run $1 the length and digest of the receipts? Says so if not.
intact() {
  line=$(awk -v base="$2" '$1 == base' <"$stage/run/$1/objects")
  what=backup/$source/$1/$2 file=$archive/backup/$source/$1/$2
  [ -n "$line" ] || { if [ -s "$stage/run/$1/objects" ]; then bad "$what: no receipt names it"; else lack "$what"; fi; return 1; }
  printf '%s %s\n' "$1" "$2" >>"$stage/looked-at"
  [ -f "$file" ] || { lack "$what"; return 1; }
  digest=${line#* } length=${digest%% *} digest=${digest#* }
  length_is "$file" "$length" && [ "$(digest_of "$file")" = "${digest%% *}" ] || { bad "$what: not the bytes of the receipt"; return 1; }
}
# Decrypts object $2 of run $1, once its digest is right, to file $3.
open_object() {
  intact "$1" "$2" || return 1
  passphrase_of "$1" "$2" || { lack "$what: neither its passphrase nor the run's key is at hand"; return 1; }
  rm -f "$3" "$stage/status"
  printf '%s\n' "$P" | gpg --homedir "$homes/open" --no-options --batch --no-tty --quiet --pinentry-mode loopback --passphrase-fd 0 \
    --status-fd 3 --output "$3" --decrypt "$file" 3>"$stage/status" 2>"$stage/gpg-said" || { bad "$what: does not open"; rm -f "$3"; return 1; }
  P=
  awk '$2 == "DECRYPTION_OKAY" { okay++ } $2 == "GOODMDC" { mdc++ } $2 == "PLAINTEXT" { plain++ } $2 == "DECRYPTION_INFO" && $3 == 2 && $4 == 9 { info++ }
    $2 ~ /^(DECRYPTION_FAILED|BADMDC|ERROR|FAILURE)$/ { wrong++ } END { exit !(okay == 1 && mdc == 1 && plain == 1 && info == 1 && !wrong) }' <"$stage/status" ||
    { bad "$what: opens, but is not a message as the format has it"; rm -f "$3"; return 1; }
}
# Unpacks object $2 of run $1 into directory $3; its chunks and their lengths go to file $3.members.
unpack() {
  open_object "$1" "$2" "$stage/sealed" || return 1
  # shellcheck disable=SC2046
  length_is "$stage/sealed" 66977792 $(powers 33554432) || { bad "$what: its padded length is not one of those allowed"; return 1; }
  # 256 MiB of tar, in blocks of 512 bytes, and its end: what would unpack to more is refused.
  (ulimit -f 524300 2>/dev/null; zstd -q -dc --memory=8MB "$stage/sealed" >"$stage/tar" 2>/dev/null) || { bad "$what: does not decompress"; return 1; }
  tar -tvf "$stage/tar" 2>/dev/null | awk '
    NF != 6 || $1 != "-rw-------" || $2 != "0/0" || $4 != "1970-01-01" || length($6) != 64 || $6 ~ /[^0-9a-f]/ || $3 !~ /^[0-9]+$/ || $3 + 0 < 1 || $3 + 0 > 4194304 { exit 1 }
    $6 in seen { exit 1 }
    { seen[$6] = 1; print $6, $3; total += 512 + $3 + (512 - $3 % 512) % 512 }
    END { printf "%d\n", total + 1024 }' >"$stage/listing"
  length_is "$stage/tar" "$(sed -n '$p' <"$stage/listing" | tr -cd 0-9)" 2>/dev/null || { bad "$what: its tar members are not what they must be"; return 1; }
  mkdir "$3" && tar -xof "$stage/tar" -C "$3" 2>"$stage/tar-said" || { sed 's/^/  /' <"$stage/tar-said" >&2; die 20 "tar could not unpack $what (is the disk full?)"; }
  sed '$d' <"$stage/listing" >"$3.members"
  rm -f "$stage/sealed" "$stage/tar"
}

# --- root and catalogue -----------------------------------------------------------------------------------------------
# What number $1 may use: "<run> v|c <first> <last>", this run last; other runs and their keys are checked on the way.
find_uses() {
  awk -F '\t' '$1 == "uses.run" { r = $2 } $1 == "uses.sums" { s = $2 } $1 == "uses.volumes" { v = $2 } $1 == "uses.catalogues" { print r, s, "v" v, "c" $2 }' <"$own/$1" >"$stage/uses-list"
  : >"$stage/uses"
  while read -r used sums volumes catalogues <&3; do
    run_id "$used" || { bad "the receipt's uses"; return 1; }
    ranges=$volumes,$catalogues
    printf '%s\n' "$ranges" | awk -v run="$used" '{
      n = split($0, part, ",")
      for (i = 1; i <= n; i++) {
        if (part[i] ~ /^[vc]/) { kind = substr(part[i], 1, 1); part[i] = substr(part[i], 2) }
        if (part[i] == "") continue
        m = split(part[i], end, "-"); print run, kind, end[1], end[m]
      } }' >>"$stage/uses"
    # A part of an archive, or a damaged one, may lack it: then its volumes are missing, and the rest comes back.
    [ -f "$stage/run/$used/top" ] || load_run "$used"
    top=$(cat "$stage/run/$used/top")
    [ "$top" -gt 0 ] || { lack "backup/$source/$used: the run uses volumes of it"; continue; }
    known=0 n=1
    while [ $n -le "$top" ]; do
      [ "$(digest_of "$archive/backup/$source/$used/SHA256SUMS-$(printf '%04d' $n)")" != "$sums" ] || known=1
      n=$((n + 1))
    done
    [ $known = 1 ] || { bad "backup/$source/$used: is not what the receipt of $run used"; return 1; }
    key_of "$used" "$(member "$stage/run/$used/1" check)" || : # released passphrases may do
  done 3<"$stage/uses-list"
  awk -v run="$run" -v most="$1" '$1 ~ /^(volume|catalogue)-/ && $4 <= most { kind = substr($1, 1, 1); n = $1; gsub(/[^0-9]/, "", n); print run, kind, n + 0, n + 0 }' <"$own/objects" >>"$stage/uses"
}
base_of() { printf '%s-%08d.tar.zst.gpg' "$1" "$2"; }
read_catalogue() { # of number $1, to $stage/catalogue
  find_uses "$1" || return 1
  open_object "$run" "root-$(printf '%04d' "$1").gpg" "$stage/root" || return 1
  # shellcheck disable=SC2046
  length_is "$stage/root" $(powers 1073741824) || { bad "$what: its length is not a power of two"; return 1; }
  head="backup-cloud/1 root${nl}archive $archive_id${nl}source $source${nl}run $run${nl}number $1${nl}kind $(member "$own/$1" kind)${nl}outcome $(member "$own/$1" outcome)"
  [ "$(sed 7q <"$stage/root")" = "$head" ] || { bad "$what: is the root of something else"; return 1; }
  awk 'NR <= 7 { next }
    NR == 8 && /^entries (0|[1-9][0-9]*)$/ || NR == 9 && /^errors (0|[1-9][0-9]*)$/ || NR == 10 && /^bytes (0|[1-9][0-9]*)$/ { print; next }
    NR == 11 && /^catalogue [1-9][0-9]* [0-9a-f]+$/ { print; next }
    NR > 11 && !ended && /^\+ [0-9a-f]+ [1-9][0-9]* [^ ]+ [1-9][0-9]*$/ && length($2) == 64 { print; next }
    NR > 11 && !ended && /^pad \.*$/ { ended = 1; next }
    { exit 1 }
    END { if (!ended) print "x" }' <"$stage/root" >"$stage/root-list"
  [ "$(sed -n '$p' <"$stage/root-list" | cut -c 1-2)" = '+ ' ] || { bad "$what: is not what a root must be"; return 1; }
  rm -rf "$stage/cat"
  mkdir "$stage/cat"
  awk 'FILENAME == ARGV[1] { n++; r[n] = $1; k[n] = $2; a[n] = $3; z[n] = $4; next }
    $1 == "+" { ok = 0; for (i = 1; i <= n; i++) if (r[i] == $4 && k[i] == "c" && a[i] <= $5 && $5 <= z[i]) ok = 1; if (!ok) exit 1; if (!(($4, $5) in seen)) print $4, $5; seen[$4, $5] = 1 }' \
    "$stage/uses" "$stage/root-list" >"$stage/cat-list" || { bad "$what: names a catalogue volume that is not in uses"; return 1; }
  while read -r used number <&3; do
    unpack "$used" "$(base_of catalogue "$number")" "$stage/cat/$used.$number" || return 1
  done 3<"$stage/cat-list"
  awk -v dir="$stage/cat" '$1 != "+" { next }
    { f = dir "/" $4 "." $5 ".members"; if (!(f in read)) { read[f] = 1; while ((getline line < f) > 0) { split(line, m, " "); size[f, m[1]] = m[2] } close(f) }
      if (size[f, $2] != $3) exit 1
      if (n++ % 200 == 0) printf "%scat", (n > 1 ? "\n" : "")
      printf " %s", dir "/" $4 "." $5 "/" $2 }
    END { print "" }' <"$stage/root-list" >"$stage/cat.sh" || { bad "$what: a chunk of the catalogue is not there, or has another length"; return 1; }
  . "./$stage/cat.sh" >"$stage/catalogue"
  rm -rf "$stage/cat"
  # shellcheck disable=SC2046
  set -- $(sed -n 4p <"$stage/root-list")
  length_is "$stage/catalogue" "$2" && [ "$(digest_of "$stage/catalogue")" = "$3" ] || { bad "the catalogue is not what the root says"; return 1; }
}
key_of "$run" "$(member "$own/1" check)" || [ -n "$secrets" ] || {
  [ $tampered = 0 ] || die 31 "the key of run $run cannot be had"
  [ -f "$archive/backup/$source/$run/key.gpg" ] || die 30 "key.gpg of run $run is missing (where several holders must join, a release is needed)"
  die 12 "no private key at hand opens key.gpg of run $run; a released FILE is given with --passphrases"
}
chosen=$run_top
until read_catalogue "$chosen"; do
  chosen=$((chosen - 1))
  if [ $chosen -eq 0 ]; then
    [ $tampered = 0 ] || die 31 "there is no root and catalogue that can be trusted, so nothing can be brought back"
    die 30 "the root or catalogue of run $run cannot be had, so nothing can be brought back"
  fi
  say "going back to number $chosen of the run"
done

# --- the plan: what of the catalogue comes back is judged as a whole before anything is written ------------------------
# Percent encoding to what a shell reads in quotes (any bytes but NUL), and the order of decoded bytes with / as 0.
names_awk='
BEGIN {
  FS = "[ ]"
  for (i = 1; i < 256; i++) { c = sprintf("%c", i); code = sprintf("%02X", i); byte[code] = i == 39 ? "\047\\\047\047" : c; number[c] = i; if (c ~ "[A-Za-z0-9/._+,:@~-]") plain[code] = 1 }
}
function quoted(s, a, n, i, o) {
  if (index(s, "%") == 0) return "\047" s "\047"
  n = split(s, a, "%"); o = a[1]
  for (i = 2; i <= n; i++) o = o byte[substr(a[i], 1, 2)] substr(a[i], 3)
  return "\047" o "\047"
}
function encoded(s, a, n, i) {
  if (s == "%2D") return 1
  if (s == "" || s == "-" || s !~ "^([A-Za-z0-9/._+,:@~-]|%[0-9A-F][0-9A-F])*$") return 0
  if (index(s, "%") == 0) return 1
  n = split(s, a, "%")
  for (i = 2; i <= n; i++) if (substr(a[i], 1, 2) in plain) return 0
  return 1
}
function orderly(s, i, n, o, c) {
  n = length(s)
  for (i = 1; i <= n; i++) {
    c = substr(s, i, 1)
    if (c == "/") o = o "00"; else if (c == "%") { o = o substr(s, i + 1, 2); i += 2 } else o = o sprintf("%02X", number[c])
  }
  return o
}
function before(a, b) {
  if (index(a, "%") || index(b, "%")) return "x" orderly(a) < "x" orderly(b)
  gsub("/", "\001", a); gsub("/", "\001", b)
  return "x" a < "x" b
}'
# Reads the records that were given, for each of those in the archive that no other replaces; the rules go to $stage/rules.
read_records() {
  certificate "$archive/config/admin/$pinned.asc" "$(member "$stage/policy-1" administrator.sha256)" "$pinned" || die 31 "the administrator's certificate"
  n=1
  while [ $n -le "$recorded" ]; do
    object=$archive/erasures/$(printf '%06d' $n).json.gpg
    signed "$object" "$object.sig" "$pinned" || die 31 "erasures/$(printf '%06d' $n).json.gpg: no signature of the administrator counts"
    n=$((n + 1))
  done
  : >"$stage/replaced"
  while [ -n "$records" ]; do
    part=${records%%"$nl#$nl"*}
    records=${records#*"$nl#$nl"}
    printf '%s\n' "$part" | flat "$erasure_schema" >"$stage/record" || die 31 "--erasures: this is not a decrypted record"
    n=$(member "$stage/record" number) before=
    [ "$n" -le 1 ] || before=$(digest_of "$archive/erasures/$(printf '%06d' $((n - 1))).json.gpg")
    [ "$n" -ge 1 ] && [ "$n" -le "$recorded" ] && says "$stage/record" format=backup-cloud/1 type=erasure archive="$archive_id" previous="$before" ||
      die 31 "--erasures: record $n is none of this archive"
    mv "$stage/record" "$stage/record-$n"
    awk -F '\t' '$1 == "replaces" { print $2 }' <"$stage/record-$n" >>"$stage/replaced"
  done
  started=$(member "$own/$run_top" started)
  n=0
  while [ $n -lt "$recorded" ]; do
    n=$((n + 1))
    [ -z "$(awk -v n=$n '$1 == n' <"$stage/replaced")" ] || continue
    [ -f "$stage/record-$n" ] || die 12 "record $n of what must not come back is not given: gpg -d $archive/erasures/$(printf '%06d' $n).json.gpg, and --erasures"
    says "$stage/record-$n" source="$source" || continue
    until=$(member "$stage/record-$n" until)
    [ -z "$until" ] || awk -v a="$started" -v b="$until" 'BEGIN { exit !("x" a <= "x" b) }' || continue
    awk -F '\t' '$1 == "paths" { print "p " $2 } $1 == "files" { print "f " $2 }' <"$stage/record-$n" >>"$stage/rules"
    [ -z "$(member "$stage/record-$n" sql)" ] ||
      say "ERASURE $n: before anybody uses the database $(member "$stage/record-$n" database), run in it what the record has as sql, in base64"
  done
}
: >"$stage/rules"
if [ $without_erasures = 0 ] && [ "$recorded" -gt 0 ]; then read_records; fi
# Of globs, those with no more than * are known here; of names, one as good as another for the same file.
if [ -s "$stage/rules" ]; then
  mv "$stage/catalogue" "$stage/all"
  awk -v left="$stage/left-out" "$names_awk"'
  function pattern(s, i, c, o) {
    for (i = 1; i <= length(s); i++) {
      c = substr(s, i, 1)
      o = o (c == "*" ? "[^/]*" : c ~ "[.+]" ? "[" c "]" : c ~ "[A-Za-z0-9/_,:@~-]" ? c : sprintf("%%%02X", number[c]))
    }
    return "^" o "$"
  }
  function hit(path, type, i, name) {
    if (path == "%2D") path = "-"
    if (type != "d" && path in exact) return 1
    name = path; sub("^.*/", "", name)
    for (i = 1; i <= globs; i++) if ((type == "d" || !folder[i]) && (deep[i] ? name : path) ~ glob[i]) return 1
    return 0
  }
  pass == 1 && $1 == "f" { exact[substr($0, 3)]; next }
  pass == 1 {
    s = substr($0, 3); if (index(s, "?") || index(s, "[") || index(s, "{") || index(s, "\\") || index(s, "**")) { print s; exit 1 }
    anchored = sub("^/", "", s); folder[++globs] = sub("/+$", "", s); deep[globs] = !anchored && !index(s, "/"); glob[globs] = pattern(s); next
  }
  $1 == "+" { if (pass == 3 && !leave) print; next }
  $7 == "." { above = "" }
  {
    leave = above != "" && index($7, above) == 1
    if (!leave && $7 != "." && hit($7, $1)) { leave = 1; if ($1 == "d") above = $7 "/" }
    if (pass == 2) { if (leave) { if ($1 == "h") first[$8]; else gone[$7] } next }
    if ($7 in first || $1 == "h" && ($8 in first || $8 in gone)) leave = 1
    if (leave) n++; else print
  }
  END { print n + 0 > left }' pass=1 "$stage/rules" pass=2 "$stage/all" pass=3 "$stage/all" >"$stage/catalogue" ||
    die 12 "the pattern $(sed 1q <"$stage/catalogue") says what must not come back, and is not known to this script: bring back with --without-erasures where you may, and remove it"
  say "left out: $(cat "$stage/left-out") entries that must not come back"
  rm -f "$stage/all"
fi

# Each file's last chunk carries its digest, whether it was sparse, and its path. A chunk is appended in the step of the
# latest volume that it or a chunk before it lies in. Order of a volume: 1,000,000 x its run's place in uses + number.
: >"$stage/plan" >"$stage/need"
awk -v plan="$stage/plan" -v need="$stage/need" "$names_awk"'
function fail(why) { print "line " FNR ": " why; broken = 1; exit 1 }
function close_file() {
  if (left != 0) fail("the chunks are not as long as the file")
  if (pending != "") print pending " " digest " " sparse " " path > plan
  pending = ""
}
pass == 1 { if (!($1 in place)) place[$1] = ++runs; if ($2 == "v") { r = place[$1]; of[r]++; first[r, of[r]] = $3 + 0; last[r, of[r]] = $4 + 0 } next }
pass == 2 { if ($1 == "h") target[$8] = 0; next }
$1 == "+" {
  if (NF != 5 || length($2) != 64 || $2 ~ /[^0-9a-f]/ || $3 !~ /^[1-9][0-9]*$/ || $3 + 0 > 4194304 || $5 !~ /^[1-9][0-9]*$/) fail("not a chunk line")
  if (type != "f" || digest == "-") fail("a chunk of what has no content")
  r = place[$4]; ok = 0
  for (i = 1; i <= of[r]; i++) if (first[r, i] <= $5 + 0 && $5 + 0 <= last[r, i]) { ok = 1; break }
  if (!ok) fail("a chunk in a volume that the run does not use")
  volume = r * 1000000 + $5; if (volume > step) step = volume
  left -= $3
  if (pending != "") print pending > plan
  pending = sprintf("%d %d %d %d %s", step, entry, ++chunk, volume, $2)
  # Of each volume: which chunk, of what length, kept until which step.
  printf "%d %s %s %d %s %s\n", volume, $2, $3, step, $4, $5 > need
  next
}
{
  close_file()
  entry++; chunk = 0; step = 0; type = $1; path = $7; digest = $6; left = $5 + 0; sparse = 0; error = ""
  if (NF < 8 || type !~ /^[fdlhpsbcu]$/) fail("not an entry")
  if ($2 !~ /^[0-7][0-7][0-7][0-7]$/ || $3 !~ /^(0|[1-9][0-9]*):(0|[1-9][0-9]*)$/) fail("mode or owner")
  if ($4 !~ /^-?[0-9]+\.[0-9]+$/ || length($4) - index($4, ".") != 9 || $5 !~ /^(0|[1-9][0-9]*)$/) fail("time or size")
  if (!encoded(path) || index(path, "%00")) fail("path")
  if (entry == 1 ? path != "." || type != "d" : path ~ /(^|\/)\.?\.?(\/|$)/) fail("path")
  n = split(path, part, "/")
  for (i = 1; i <= n; i++) if (length(part[i]) > 255) { c = part[i]; j = gsub(/%/, "", c); if (length(part[i]) - 2 * j > 255) fail("path") }
  if (entry > 2 && !before(previous, path)) fail("not in order, or twice")
  previous = path
  up = path; if (!sub("/[^/]*$", "", up)) up = "."
  if (entry > 1) { while (depth > 0 && within[depth] != up) depth--; if (depth == 0) fail("its directory is not in the catalogue") }
  if (type == "d") within[++depth] = path
  if (type == "l" || type == "h" ? !encoded($8) || index($8, "%00") : $8 != "-") fail("link")
  if (type == "h" && target[$8] != 1) fail("a hard link to what does not come before it")
  if (path in target && type ~ /[fpsbcl]/) target[path] = 1
  if (type != "f" && ($5 != "0" || digest != "-")) fail("size or digest")
  name = ""
  for (i = 9; i <= NF; i++) {
    j = index($i, "="); n = substr($i, 1, j - 1); v = substr($i, j + 1)
    if (j < 2 || !encoded(n) || v != "" && v != "-" && !encoded(v) || name != "" && "x" n <= "x" name) fail("attributes")
    name = n
    if (n == "sparse" && v == "1") sparse = 1
    if (n == "error") error = v
    if (n == "device" && v !~ /^[0-9]+,[0-9]+$/) fail("attributes")
  }
  if (type == "f" && digest == "-" && (error == "" || left != 0)) fail("digest")
  if (type == "f" && digest != "-" && (length(digest) != 64 || digest ~ /[^0-9a-f]/)) fail("digest")
}
END { if (broken) exit 1; close_file(); if (broken || entry == 0) exit 1 }
' pass=1 "$stage/uses" pass=2 "$stage/catalogue" pass=3 "$stage/catalogue" >"$stage/said" ||
  die 31 "the catalogue is not what it must be: $(cat "$stage/said")"
sort -T "$stage" -k 1,1n -k 2,2n -k 3,3n "$stage/plan" >"$stage/plan-sorted" &&
  sort -T "$stage" -u -k 1,1n -k 2,2 -k 4,4n "$stage/need" >"$stage/need-sorted" || die 20 "sort fails"
awk -v dir="$stage/s/" '$1 != at { if (at) close(f); at = $1; f = dir at ".plan" } { print > f }' <"$stage/plan-sorted"
awk -v dir="$stage/s/" 'function flush() { if (at) { close(f); print at, run, number, until } }
  $1 != at { flush(); at = $1; f = dir at ".need"; until = 0; run = $5; number = $6 } { print $2, $3 > f; if ($4 > until) until = $4 } END { flush() }' <"$stage/need-sorted" >"$stage/volumes"
rm -f "$stage/plan" "$stage/need" "$stage/plan-sorted" "$stage/need-sorted"

# --- writing ------------------------------------------------------------------------------------------------------------
# The scripts that awk writes quote every name and begin it with ./; many names go to one process where that is possible.
batch_awk='
function flush() { if (n) print command list (command ~ /^touch/ ? " || untimed" : " || made"); n = 0; list = ""; size = 0 }
function batch(c, arg) { if (c != command || n >= 300 || size > 60000) { flush(); command = c } list = list " " arg; n++; size += length(arg) }'
made() { die 20 "cannot write in $target (is the disk full?)"; }
untimed() { say "note: a time could not be set"; }
empty=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
: >"$stage/recovered" >"$stage/differs"
awk -v empty=$empty -v recovered="$stage/recovered" "$names_awk$batch_awk"'
  $1 == "+" { next }
  { entry++ }
  $1 == "d" && $7 != "." { batch("mkdir", "./" quoted($7)) }
  $1 == "f" && $5 == "0" && $6 == empty { flush(); print "printf \"\" >./" quoted($7) " || made"; print entry > recovered }
  END { flush() }' <"$stage/catalogue" >"$stage/do.sh"
. "./$stage/do.sh"

# Appends chunks $2... to file number $1, unless one of them is not there.
append() {
  to=$stage/f/$1
  [ ! -f "$to.lost" ] || return 0
  shift
  for each; do [ -f "$each" ] || { rm -f "$to"; printf '' >"$to.lost"; return 0; }; done
  cat "$@" >>"$to" || made
}
holes() { dd if="$1" of="$2" bs=65536 conv=sparse 2>/dev/null || cp "$1" "$2" || made; }
# Writes the files that step $1 completes: appends, checks the digests of all in a few processes, and names them.
step() {
  awk -v stage="$stage" -v done_list="$stage/done" '
    function flush() { if (n) print "append " entry list; n = 0; list = "" }
    $2 != entry { flush(); entry = $2 }
    $3 == 1 && NF > 5 { print $2, $6, $7, $8, stage "/c/" $4 "/" $5, "cp" > done_list; next }
    { list = list " " stage "/c/" $4 "/" $5; if (++n >= 300) flush() }
    NF > 5 { flush(); print $2, $6, $7, $8, stage "/f/" $2, "mv" > done_list }
    END { flush(); printf "" > done_list }' <"$stage/s/$1.plan" >"$stage/do.sh"
  . "./$stage/do.sh"
  awk '{ printf "%s %s", (n++ % 300 ? "" : "\nsha256sum"), $5 } END { print "" }' <"$stage/done" >"$stage/do.sh"
  . "./$stage/do.sh" >"$stage/hashes" 2>/dev/null
  awk -v recovered="$stage/recovered" -v differs="$stage/differs" "$names_awk"'
    pass == 1 { hash[$3] = $1; next }
    !($5 in hash) { next }
    hash[$5] != $2 { print $4 >> differs; if ($6 == "mv") print "rm -f " $5; next }
    { print ($3 == 1 ? "holes " : $6 " ") $5 " ./" quoted($4) " || made"; print $1 >> recovered; if ($3 == 1 && $6 == "mv") print "rm -f " $5 }' pass=1 "$stage/hashes" pass=2 "$stage/done" >"$stage/do.sh"
  . "./$stage/do.sh"
}
kept=
while read -r volume used number until <&3; do
  if unpack "$used" "$(base_of volume "$number")" "$stage/c/$volume"; then
    awk 'pass == 1 { length_of[$1] = $2; next } length_of[$1] != $2 { print $1 }' pass=1 "$stage/c/$volume.members" pass=2 "$stage/s/$volume.need" >"$stage/wrong"
    while read -r id <&5; do
      bad "$what: a chunk is not there, or has another length"
      rm -f "$stage/c/$volume/$id"
    done 5<"$stage/wrong"
  fi
  [ ! -f "$stage/s/$volume.plan" ] || step "$volume"
  still=
  for each in $kept "$volume:$until"; do
    if [ "${each#*:}" -le "$volume" ]; then rm -rf "$stage/c/${each%:*}" "$stage/c/${each%:*}.members"; else still="$still $each"; fi
  done
  kept=$still
done 3<"$stage/volumes"

# --- links, devices, owners, modes, times -------------------------------------------------------------------------------
printf '' >"$stage/t"
clock=none
touch -h -d @1 "$stage/t" 2>/dev/null && clock=seconds
touch -h -d @1.5 "$stage/t" 2>/dev/null && clock=nanoseconds
[ $clock != none ] || say "note: this touch cannot set times; they are the present ones"
[ $root_user = 1 ] || say "note: not root, so owners are not restored"
if [ $devices = 1 ]; then command -v mknod >/dev/null 2>&1 || die 20 "the program mknod is missing"; fi
# Of every entry that is there: kind of change, what to sort by, value, path. 1 owner, 2 mode, 3 time; of directories 4
# time and, from the deepest, 5 mode; of the top 6.
awk -v devices=$devices -v set_id=$set_id -v root=$root_user -v clock=$clock -v meta="$stage/meta" -v lost="$stage/lost" -v notes="$stage/notes" "$names_awk"'
  function time(t, s, f) {
    s = substr(t, 1, index(t, ".") - 1); f = substr(t, index(t, ".") + 1)
    if (clock == "seconds") { if (s ~ /^-/) { note("its time is before 1970, which this touch cannot set"); return "" } return s }
    if (substr(s, 1, 1) == "-" && f + 0 > 0) { s = substr(s, 2) - 1; f = 1000000000 - f; return sprintf("-%.0f.%09d", s, f) }
    return s "." f
  }
  function note(what) { print $7 ": " what > notes }
  pass == 1 { have[$1] = 1; next }
  $1 == "+" { next }
  { entry++; type = $1; there = 1; error = ""; for (i = 9; i <= NF; i++) { if ($i ~ /^error=/) error = substr($i, 7); if ($i ~ /^device=/) device = substr($i, 8) } }
  error != "" { note("was not backed up whole: " error) }
  type == "u" || type == "f" && $6 == "-" { there = 0; gone[$7] = 1 }
  type == "f" && $6 != "-" && !(entry in have) { there = 0; gone[$7] = 1; print $7 > lost }
  type == "h" { there = 0; if ($8 in gone) print $7 > lost; else if ($8 in unmade) note("not made: " unmade[$8]); else print "ln ./" quoted($8) " ./" quoted($7) " || made" }
  type == "l" { print "ln -s -- " quoted($8) " ./" quoted($7) " || made" }
  type == "p" { print "mkfifo ./" quoted($7) " || made" }
  type == "s" { there = 0; unmade[$7] = "a socket"; note("not made: a socket") }
  type == "b" || type == "c" {
    if (devices) { split(device, d, ","); print "mknod ./" quoted($7) " " type " " d[1] " " d[2] " || made" }
    else { there = 0; unmade[$7] = "a device"; note("not made: a device (--devices makes them)") }
  }
  !there { next }
  {
    mode = $2; if (!set_id) { if (substr(mode, 1, 1) > 1) note("without its set-id bits (--set-id restores them)"); mode = substr(mode, 1, 1) % 2 substr(mode, 2) }
    stamp = time($4)
    if ($7 == ".") { print 6, 0, 0, $3, mode, stamp > meta; next }
    if (root) print 1, $3, entry, $3, $7 > meta
    if (type == "d") { if (stamp != "") print 4, stamp, entry, stamp, $7 > meta; print 5, "-", -entry, mode, $7 > meta }
    else { if (type != "l") print 2, mode, entry, mode, $7 > meta; if (stamp != "") print 3, stamp, entry, stamp, $7 > meta }
  }
  END { printf "" > meta; printf "" > lost; printf "" > notes }' pass=1 "$stage/recovered" pass=2 "$stage/catalogue" >"$stage/do.sh"
. "./$stage/do.sh"
sort -T "$stage" -k 1,1n -k 2,2 -k 3,3n "$stage/meta" >"$stage/meta-sorted" || die 20 "sort fails"
awk -v clock=$clock "$names_awk$batch_awk"'
  $1 == 1 { batch("chown -h " $4, "./" quoted($5)) }
  $1 == 2 || $1 == 5 { batch("chmod " $4, "./" quoted($5)) }
  ($1 == 3 || $1 == 4) && clock != "none" { batch("touch -h -d @" $4, "./" quoted($5)) }
  END { flush() }' <"$stage/meta-sorted" >"$stage/do.sh"
. "./$stage/do.sh"

# --- what was not looked at yet, and the end -----------------------------------------------------------------------------
sort -u "$stage/looked-at" >"$stage/looked"
awk -v run="$run" 'pass == 1 { seen[$1, $2] = 1; next } !((run, $1) in seen) { print $1 }' pass=1 "$stage/looked" pass=2 "$own/objects" >"$stage/rest"
while read -r base <&3; do intact "$run" "$base" || :; done 3<"$stage/rest"
while read -r path <&3; do bad "$path: its content does not have the digest of the catalogue"; done 3<"$stage/differs"
sed 's/^/note: /' <"$stage/notes" >&2
lost=$(awk 'END { print NR }' <"$stage/lost")
[ "$lost" = 0 ] || { incomplete=1; say "NOT BROUGHT BACK, $lost in number:"; sed 's/^/  /' <"$stage/lost" >&2; }
outcome=$(member "$own/$chosen" outcome)
[ "$chosen" = "$run_top" ] || { incomplete=1; say "this is number $chosen of the run; a later one could not be read"; }
entries=$(sed -n 's/^entries //p' <"$stage/root-list")
# shellcheck disable=SC2046
set -- $(sed -n 's/^6 0 0 //p' <"$stage/meta-sorted")
finish_quietly() { gpgconf --homedir "$homes/open" --kill all >/dev/null 2>&1; rm -rf "$homes" "$stage"; }
trap - EXIT
finish_quietly
[ $root_user = 0 ] || chown "$1" .
chmod "$2" .
[ $clock = none ] || [ -z "${3-}" ] || touch -d "@$3" .
say "run $run of $source ($outcome): $entries entries, $lost of them not brought back"
if [ -z "$admin" ]; then
  say "###############################################################################"
  say "##  NOT AUTHENTICATED: signatures were checked against the administrator's   ##"
  say "##  certificate in this very archive. Give --admin FINGERPRINT, taken from   ##"
  say "##  somewhere else, to know who wrote it.                                    ##"
  say "###############################################################################"
fi
[ $tampered = 0 ] || exit 31
[ $incomplete = 0 ] || exit 30
exit 0
