#!/bin/sh
# Ends what up.sh started below FOLDER: the gateway first, since it hangs once its storage is gone. Usage: down.sh FOLDER
alive() { # a process that ended but whom nobody waited for has no command line
  [ -n "$(tr -d '\0' 2>/dev/null <"/proc/$1/cmdline")" ]
}
for name in client.rgw osd.0 mon.a; do
  [ -f "$1/run/$name.pid" ] || continue
  pid=$(cat "$1/run/$name.pid")
  kill "$pid" 2>/dev/null || continue
  tries=0
  while alive "$pid" && [ "$tries" -lt 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
  done
  if alive "$pid"; then kill -9 "$pid"; fi
done
