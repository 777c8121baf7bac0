// schedule: a timer for this machine, for systemd or cron, with every place absolute and quoted as each of them wants it.

import { resolve } from "node:path"
import { BackupError, escapeControl, expectName } from "@backup-cloud/format"
import { directoryOf } from "@backup-cloud/store"
import { readSecrets } from "backup-cloud/parts/secrets"
import type { Command } from "commander"
import type { Register } from "../program.ts"
import type { Session } from "../session.ts"
import { PLAIN, shellWord } from "../words.ts"

export function addScheduleCommand(root: Command, register: Register): void {
  register(root, "schedule <name>", "print a timer for this machine", async (session, [name = ""], options) => {
    await schedule(session, expectName("name", name), options["cron"] === true)
  })
    .option("--systemd", "a script that installs a service and a timer (the default); root runs it: … | sudo sh")
    .option("--cron", "a line for crontab")
}

async function schedule(session: Session, name: string, cron: boolean): Promise<void> {
  if ((await readSecrets(session, name)) === null) {
    throw new BackupError("not-found", `the keys of ${name} are not on this machine; no timer was made`)
  }
  const { config, io, archiveUrl } = session
  const directory = directoryOf(/^[a-z0-9]+:/.test(archiveUrl) ? archiveUrl : resolve(io.cwd, archiveUrl))
  const places = ["--archive", directory ?? archiveUrl, "--config", config.file, "--home", config.home]
  const command = [...io.program, "backup", name, "--quiet", ...places]
  for (const word of command) expectOneLine(word)
  if (cron) io.out(`15 22 * * *  ${command.map(cronWord).join(" ")}`)
  else io.out(systemdScript(name, command, [config.home, ...(directory === null ? [] : [directory])], io.uid))
}

function systemdScript(name: string, command: readonly string[], written: readonly string[], uid: number): string {
  const unit = `/etc/systemd/system/backup-cloud-${name}`
  return `cat > ${unit}.service <<'END'
[Unit]
Description=Backup of ${name}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart=${command.map((word) => unitWord(word).replaceAll("$", "$$$$")).join(" ")}
User=${uid}
# For an archive in S3, credentials in the environment: EnvironmentFile=/etc/backup-cloud.env
Nice=10
IOSchedulingClass=idle
NoNewPrivileges=true
PrivateTmp=true
ProtectSystem=strict
ReadWritePaths=${written.map(unitWord).join(" ")}
# Exit 30: some entries could not be read; the run is kept.
SuccessExitStatus=30
END
cat > ${unit}.timer <<'END'
[Unit]
Description=Backup of ${name} each night

[Timer]
OnCalendar=*-*-* 22:15
RandomizedDelaySec=30min
Persistent=true

[Install]
WantedBy=timers.target
END
systemctl daemon-reload && systemctl enable --now backup-cloud-${name}.timer`
}

/** As a unit file has it: `%` begins a specifier even in quotes. */
function unitWord(word: string): string {
  const quoted = PLAIN.test(word) ? word : `"${word.replace(/[\\"]/g, "\\$&")}"`
  return quoted.replaceAll("%", "%%")
}

/** As the shell that cron starts has it: to cron `%` is a line end, even in quotes. */
const cronWord = (word: string): string => shellWord(word).replaceAll("%", "\\%")

function expectOneLine(word: string): void {
  if (escapeControl(word) === word) return
  throw new BackupError("usage", `${escapeControl(word)} cannot be written into a timer; no timer was made`, {
    hint: "use a place whose name is one line, a symbolic link for example",
  })
}
