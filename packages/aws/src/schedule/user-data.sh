
# Sets up a server, makes one backup and ends the server: when the backup is done, when anything fails, when the time is
# over, and also if this script itself is ended. Above stand the names it needs. It writes no secret: the keys stay with
# the program, which reads them from Systems Manager, and the credentials with the metadata service.
set -u
umask 077

# Before anything else. It stands even if nothing below is reached.
shutdown -h "+$((limit / 60 + 15))"

# Of the program: on the disk. Of a run: in memory.
program=/opt/backup-cloud
work=/run/backup-cloud
said=$work/said
running=

finish() {
  status=$?
  trap '' HUP INT TERM
  trap - EXIT
  # What is told to end does so within a minute.
  if [ -n "$running" ]; then kill "$running" 2> /dev/null && wait "$running"; fi
  echo "backup-cloud: the server ends with status $status" >> "$said"
  report
  shutdown -h now
}
trap finish EXIT
trap 'exit 143' HUP INT TERM

# The last lines of what was said, to the log group; the console has them all.
report() {
  cat "$said"
  now=$(date +%s)000
  tail -n 2000 "$said" | tr -d '\000-\010\013-\037\177' | tr '\t' ' ' | LC_ALL=C cut -c 1-16000 |
    iconv -c -f UTF-8 -t UTF-8 | LC_ALL=C awk -v now="$now" '
      BEGIN { printf "[" }
      length($0) && (total += length($0) + 200) < 900000 {
        gsub(/\\/, "\\\\"); gsub(/"/, "\\\"")
        printf "%s{\"timestamp\":%s,\"message\":\"%s\"}", comma, now, $0; comma = ","
      }
      END { printf "]" }' > "$work/events"
  timeout 60 aws logs create-log-stream --log-group-name "$log" --log-stream-name "$server" &&
    timeout 60 aws logs put-log-events --log-group-name "$log" --log-stream-name "$server" \
      --log-events "file://$work/events" > /dev/null
}

# Runs a step so that a signal ends this script at once, and not when the step is done.
step() {
  "$@" >> "$said" 2>&1 &
  running=$!
  wait "$running"
  result=$?
  running=
  return "$result"
}

server=unknown
mkdir -p "$work" "$program" || exit
: > "$said" || exit

metadata=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}
token=$(curl -sSf --max-time 10 --retry 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$metadata/latest/api/token") || exit
server=$(curl -sSf --max-time 10 --retry 5 -H "X-aws-ec2-metadata-token: $token" "$metadata/latest/meta-data/instance-id") || exit

export AWS_REGION="$region" AWS_DEFAULT_REGION="$region"
step timeout 900 aws s3 cp --only-show-errors "$release" "$program.tar.gz" || exit
echo "$sha256  $program.tar.gz" > "$work/sum"
step sha256sum -c "$work/sum" || exit
step tar -xzf "$program.tar.gz" -C "$program" || exit
rm "$program.tar.gz"
# Names of packages, parted by blanks.
# shellcheck disable=SC2086
if [ -n "$packages" ]; then step timeout 900 dnf install -y --quiet $packages || exit; fi

export BACKUP_CLOUD_ARCHIVE="$archive" BACKUP_CLOUD_IDENTITY="$identity" BACKUP_CLOUD_HOME="$work/home" HOME="$work"
step timeout --kill-after=60 "$limit" "$program/backup-cloud" backup "$source" --metrics emf || exit
