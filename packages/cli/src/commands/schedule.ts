// schedule and doctor: an ordinary machine and what it needs.

import { execFile } from "node:child_process"
import { lstat } from "node:fs/promises"
import { join, resolve } from "node:path"
import { promisify } from "node:util"
import { BackupError, escapeControl, expectName } from "@backup-cloud/format"
import { directoryOf } from "@backup-cloud/store"
import type { Command } from "commander"
import { readSecrets } from "../files.ts"
import type { Register } from "../program.ts"
import type { Session } from "../session.ts"

const run = promisify(execFile)

export function addMachineCommands(root: Command, register: Register): void {
  register(root, "schedule <name>", "print a timer for this machine", async (session, [name = ""], options) => {
    await schedule(session, expectName("name", name), options["cron"] === true)
  })
    .option("--systemd", "a systemd service and timer (the default)")
    .option("--cron", "a line for crontab")
  register(root, "doctor", "what this machine lacks, and the command that mends it", async (session) => {
    await doctor(session)
  })
}

async function schedule(session: Session, name: string, cron: boolean): Promise<void> {
  if ((await readSecrets(session, name)) === null) {
    throw new BackupError("not-found", `the keys of ${name} are not on this machine; no timer was made`)
  }
  const { home, file } = session.config
  const named = session.archiveUrl
  const url = /^[a-z0-9]+:/.test(named) ? named : resolve(session.io.cwd, named)
  const directory = directoryOf(url)
  const archive = directory ?? url
  for (const place of [home, file, archive]) expectPlain(place)
  const command = `backup-cloud backup ${name} --quiet --archive ${archive} --config ${file} --home ${home}`
  if (cron) {
    session.io.out(`15 22 * * *  ${command}`)
    return
  }
  session.io.out(`# /etc/systemd/system/backup-cloud-${name}.service
[Unit]
Description=Backup of ${name}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart=/usr/bin/env ${command}
Nice=10
IOSchedulingClass=idle
NoNewPrivileges=true
PrivateTmp=true
ProtectSystem=strict
ReadWritePaths=${[home, ...(directory === null ? [] : [archive])].join(" ")}
# Exit 30: some entries could not be read; the run is kept.
SuccessExitStatus=30

# /etc/systemd/system/backup-cloud-${name}.timer
[Unit]
Description=Backup of ${name} each night

[Timer]
OnCalendar=*-*-* 22:15
RandomizedDelaySec=30min
Persistent=true

[Install]
WantedBy=timers.target

# Then: systemctl daemon-reload && systemctl enable --now backup-cloud-${name}.timer`)
}

/** Crontabs and units quote in different ways, and both give `%` a meaning; such places are named by the person. */
function expectPlain(place: string): void {
  if (/^[A-Za-z0-9/:@?&=._+~,-]+$/.test(place)) return
  throw new BackupError("usage", `${escapeControl(place)} cannot be written into a timer; no timer was made`, {
    hint: "use a place whose name has no blanks and no signs with a meaning, a symbolic link for example",
  })
}

interface Check {
  readonly what: string
  readonly mend: string
  ok(): Promise<boolean>
}

async function doctor(session: Session): Promise<void> {
  const { home } = session.config
  const program = (name: string, packageName: string, why: string): Check => ({
    what: `${name} is installed (${why})`,
    mend: `apt-get install ${packageName}`,
    ok: async () => await succeeds(async () => await run(name, ["--version"])),
  })
  const privateFile = (file: string, mode: number): Check => ({
    what: `${file} is for its owner alone`,
    mend: `chmod ${mode.toString(8)} ${file}`,
    ok: async () => {
      try {
        return ((await lstat(file)).mode & 0o077) === 0
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return true
        throw error
      }
    },
  })
  const checks: Check[] = [
    program("gpg", "gnupg", "seals, signs and opens"),
    program("zstd", "zstd", "recovery with stock tools"),
    privateFile(home, 0o700),
    ...Object.keys(session.config.sources).flatMap((name) => [
      privateFile(join(home, "sources", name, "secret"), 0o600),
      privateFile(join(home, "sources", name, "signing-key.asc"), 0o600),
    ]),
    {
      what: "this machine trusts an administrator",
      mend: "backup-cloud trust ARCHIVE FINGERPRINT",
      ok: async () => (await session.memory.read()) !== null,
    },
    {
      what: "the archive can be read, and its configuration is as signed",
      mend: "backup-cloud keys check says what is wrong",
      ok: async () => await succeeds(async () => await session.trust({ strict: true })),
    },
  ]
  const failed: string[] = []
  for (const check of checks) {
    const ok = await check.ok()
    session.say(`${ok ? "ok  " : "FAIL"} ${check.what}${ok ? "" : `\n     → ${check.mend}`}`)
    session.event({ event: "check", ok, what: check.what, mend: check.mend })
    if (!ok) failed.push(check.what)
  }
  if (failed.length > 0)
    throw new BackupError("open-risk", `${failed.length} of ${checks.length} checks failed; see above`)
  session.event({ event: "result", failed: 0 })
}

async function succeeds(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    if (error instanceof BackupError || (error instanceof Error && "code" in error)) return false
    throw error
  }
}
