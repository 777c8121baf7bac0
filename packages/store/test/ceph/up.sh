#!/bin/sh
# Starts a Ceph of one monitor, one storage daemon (in memory) and one gateway that speaks S3, all on 127.0.0.1 and with
# everything below one folder. Needs root. Usage: up.sh FOLDER GATEWAY-PORT MONITOR-PORT MONITOR-PORT ACCESS-KEY SECRET-KEY
set -eu
dir=$1 port=$2 mon2=$3 mon1=$4 access=$5 secret=$6

if ! command -v radosgw >/dev/null || ! command -v ceph-osd >/dev/null || ! command -v ceph-mon >/dev/null; then
  echo "installing Ceph" >&2
  apt-get update -qq >&2
  apt-get install -y -qq --no-install-recommends radosgw ceph-mon ceph-osd ceph-common >&2
fi

mkdir -p "$dir/mon" "$dir/osd" "$dir/rgw" "$dir/run" "$dir/log"
fsid=$(cat /proc/sys/kernel/random/uuid)
osd=$(cat /proc/sys/kernel/random/uuid)
# cephx stays on: without it the gateway hangs. One storage daemon must do for every pool, with one placement group.
cat >"$dir/ceph.conf" <<CONF
[global]
fsid = $fsid
mon_initial_members = a
mon_host = [v2:127.0.0.1:$mon2,v1:127.0.0.1:$mon1]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
run_dir = $dir/run
admin_socket = $dir/run/\$name.asok
log_file = $dir/log/\$name.log
pid_file = $dir/run/\$name.pid
keyring = $dir/keyring
setuser_match_path =
mon_data = $dir/mon
mon_data_avail_crit = 1
mon_data_avail_warn = 1
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
[osd]
osd_data = $dir/osd
osd_objectstore = memstore
memstore_device_bytes = 2147483648
osd_class_load_list = *
osd_class_default_list = *
[client.rgw]
rgw_data = $dir/rgw
rgw_frontends = beast endpoint=127.0.0.1:$port
rgw_run_sync_thread = false
CONF
export CEPH_CONF="$dir/ceph.conf"

until_works() { # COMMAND...: tries for a minute
  tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || { echo "gave up waiting for: $*" >&2; exit 1; }
    sleep 0.2
  done
}
osd_is_up() { timeout 5 ceph osd stat | grep -q '1 up'; }

ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *' >/dev/null
for name in client.admin client.rgw osd.0; do
  ceph-authtool "$dir/keyring" --gen-key -n "$name" --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' >/dev/null
done
monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon2,v1:127.0.0.1:$mon1]" "$dir/monmap" >/dev/null
ceph-mon --mkfs -i a --monmap "$dir/monmap" --keyring "$dir/keyring"
ceph-mon -i a
until_works timeout 5 ceph status
ceph osd new "$osd" >/dev/null
ceph-osd -i 0 --mkfs --osd-uuid "$osd" >/dev/null 2>&1
ceph-osd -i 0 >/dev/null 2>&1
until_works osd_is_up
timeout 120 radosgw -n client.rgw
until_works curl -s -o /dev/null "http://127.0.0.1:$port/"
radosgw-admin user create --uid=archive --display-name=archive --access-key="$access" --secret="$secret" >/dev/null 2>&1
