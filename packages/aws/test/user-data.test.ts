// What a server does from its launch to its end: the script of the template, as it is deployed, in real shells, with /run and
// /opt of its own and stand-ins for `shutdown`, the metadata service, AWS and the program. Whatever happens, the server ends:
// the first thing it does is to set its end, and the last is to end itself.

import assert from "node:assert/strict"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { of, schedule } from "./schedules.ts"

const INSTANCE = "i-0123456789abcdef0"
const place = mkdtempSync(join(tmpdir(), "user-data-"))
let metadata: Server
let count = 0

before(async () => {
  metadata = createServer(({ method, url, headers }, answer) => {
    const token = method === "PUT" && url === "/latest/api/token" && headers["x-aws-ec2-metadata-token-ttl-seconds"]
    const known = url === "/latest/meta-data/instance-id" && headers["x-aws-ec2-metadata-token"] === "the-token"
    answer.writeHead(token || known ? 200 : 401)
    answer.end(token ? "the-token" : known ? INSTANCE : "")
  })
  await new Promise<void>((resolve) => {
    metadata.listen(0, "127.0.0.1", resolve)
  })
})
after(async () => {
  await new Promise((resolve) => metadata.close(resolve))
  rmSync(place, { recursive: true })
})

interface Case {
  /** What the program in the release does. */
  readonly program: string
  readonly parameters?: Readonly<Record<string, string>>
  /** What is in the bucket under the release's name, if not the release whose digest is given. */
  readonly inBucket?: (release: Buffer) => Buffer | null
  /** Is what the release holds no archive. */
  readonly noArchive?: boolean
  readonly metadata?: string
}

class Machine {
  readonly root = join(place, String(count++))
  readonly child: ChildProcess
  readonly ended: Promise<void>

  constructor(shell: string, { program, parameters, inBucket, noArchive, metadata: url }: Case) {
    for (const folder of ["bin", "run", "opt", "release", "bucket"])
      mkdirSync(join(this.root, folder), { recursive: true })
    this.#script(
      "release/backup-cloud",
      `env > ${this.root}/surroundings; echo $$ > ${this.root}/pid; echo "$@" > ${this.root}/told\n${program}`,
    )
    this.#script("bin/shutdown", `echo "$*" >> ${this.root}/shutdowns`)
    this.#script("bin/dnf", `echo "$*" >> ${this.root}/dnf; case "$*" in *none*) echo "no such package"; exit 1;; esac`)
    this.#script(
      "bin/aws",
      `case "$1 $2" in
        "s3 cp") cp "${this.root}/bucket/\${4##*/}" "$5" ;;
        "logs create-log-stream") echo "$*" > ${this.root}/stream ;;
        "logs put-log-events") cp "\${8#file://}" ${this.root}/events ;;
      esac`,
    )
    const tarball = execFileSync("tar", ["-czf", "-", "-C", join(this.root, "release"), "."])
    const release = noArchive === true ? Buffer.from("no archive") : tarball
    const stored = inBucket === undefined ? release : inBucket(release)
    if (stored !== null) writeFileSync(join(this.root, "bucket", "release.tar.gz"), stored)
    const ReleaseSha256 = createHash("sha256").update(release).digest("hex")
    const stack = schedule("server", { ReleaseSha256, Packages: "", ...parameters })
    const { UserData } = of(stack, "Server")["LaunchTemplateData"] as { UserData: string }
    writeFileSync(join(this.root, "user-data"), Buffer.from(UserData, "base64"))
    const mounts = ["run", "opt"].map((folder) => `mount --bind ${this.root}/${folder} /${folder}`).join(" && ")
    const port = (metadata.address() as AddressInfo).port
    this.child = spawn("unshare", ["-rm", "sh", "-c", `${mounts} && exec ${shell} ${this.root}/user-data`], {
      env: {
        PATH: `${join(this.root, "bin")}:/usr/sbin:/usr/bin:/sbin:/bin`,
        AWS_EC2_METADATA_SERVICE_ENDPOINT: url ?? `http://127.0.0.1:${port}`,
      },
      stdio: ["ignore", "pipe", "pipe"],
    })
    this.child.stdout?.resume()
    this.child.stderr?.resume()
    this.ended = new Promise((resolve) =>
      this.child.once("close", () => {
        resolve()
      }),
    )
  }

  #script(name: string, text: string): void {
    writeFileSync(join(this.root, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  }

  read(name: string): string | null {
    const file = join(this.root, name)
    return existsSync(file) ? readFileSync(file, "utf8") : null
  }

  async until(name: string): Promise<void> {
    while (this.read(name) === null) await sleep(10)
  }

  get shutdowns(): string[] {
    return (this.read("shutdowns") ?? "").trimEnd().split("\n")
  }

  /** Messages that came into the log group. */
  get log(): string[] {
    const events = JSON.parse(this.read("events") ?? "[]") as { timestamp: number; message: string }[]
    for (const { timestamp } of events) assert.ok(Math.abs(timestamp - Date.now()) < 60_000)
    return events.map(({ message }) => message)
  }
}

/** Runs one server to its end, and sees that it set its end first and ended itself last. */
async function run(shell: string, each: Case): Promise<Machine> {
  const machine = new Machine(shell, each)
  await machine.ended
  const { LimitSeconds = "43200" } = each.parameters ?? {}
  assert.deepEqual(machine.shutdowns, [`-h +${Math.floor(Number(LimitSeconds) / 60) + 15}`, "-h now"])
  return machine
}

const metrics = '{"_aws":{"Timestamp":1},"Source":"docs","Complete":1}'
const fine = `printf '%s\\n' '${metrics}' 'a "quoted" \\ line' 'schön'`

for (const shell of ["dash", "bash", "bash --posix"]) {
  test(`${shell}: a backup that went well ends the server, and what was said is in the log group`, async () => {
    const machine = await run(shell, { program: fine, parameters: { Packages: "postgresql17 gnupg2" } })
    assert.equal(machine.read("told"), "backup docs --metrics emf\n")
    const surroundings = machine.read("surroundings") ?? ""
    assert.match(surroundings, /^BACKUP_CLOUD_ARCHIVE=ssm:\/$/m)
    assert.match(surroundings, /^BACKUP_CLOUD_IDENTITY=ssm:\/backup-cloud\/identity\/docs\/$/m)
    assert.match(surroundings, /^AWS_REGION=eu-central-1$/m)
    assert.doesNotMatch(surroundings, /the-token/)
    assert.equal(machine.read("dnf"), "install -y --quiet postgresql17 gnupg2\n")
    assert.equal(machine.read("stream"), `logs create-log-stream --log-group-name Logs --log-stream-name ${INSTANCE}\n`)
    for (const line of [metrics, 'a "quoted" \\ line', "schön", "backup-cloud: the server ends with status 0"])
      assert.ok(machine.log.includes(line), `${line} in\n${machine.log.join("\n")}`)
    assert.deepEqual(readdirSync(join(machine.root, "opt")), ["backup-cloud"])
    const left = readdirSync(join(machine.root, "run", "backup-cloud")).sort()
    assert.deepEqual(left, ["events", "said", "sum"])
  })

  test(`${shell}: a backup that failed ends the server`, async () => {
    const machine = await run(shell, { program: "echo it broke >&2; exit 30" })
    assert.ok(machine.log.includes("it broke"))
    assert.equal(machine.log.at(-1), "backup-cloud: the server ends with status 30")
  })

  test(`${shell}: a backup that takes too long is broken off and ends the server`, async () => {
    const machine = await run(shell, { program: "echo begun; sleep 600", parameters: { LimitSeconds: "1" } })
    assert.equal(machine.log.at(-1), "backup-cloud: the server ends with status 124")
  })

  test(`${shell}: a release that is not there, or not the one whose digest was given, or no archive, is not run`, async () => {
    for (const [status, each] of [
      [1, { inBucket: () => null }],
      [1, { inBucket: (release: Buffer) => Buffer.concat([release, Buffer.of(0)]) }],
      [2, { noArchive: true }],
    ] as const) {
      const machine = await run(shell, { program: fine, ...each })
      assert.equal(machine.read("told"), null)
      assert.equal(machine.log.at(-1), `backup-cloud: the server ends with status ${status}`)
    }
  })

  test(`${shell}: a package that can't be installed, and metadata that don't answer, end the server`, async () => {
    const machine = await run(shell, { program: fine, parameters: { Packages: "none" } })
    assert.equal(machine.read("told"), null)
    assert.ok(machine.log.includes("no such package"))
    const blind = await run(shell, { program: fine, metadata: "http://127.0.0.1:1" })
    assert.equal(blind.read("told"), null)
  })

  test(`${shell}: a signal ends the backup, and then the server, at once`, async () => {
    const machine = new Machine(shell, {
      program: "trap 'echo stopped; exit 1' TERM; : > /opt/ready; sleep 600 & wait",
    })
    await machine.until("opt/ready")
    machine.child.kill("SIGTERM")
    await machine.ended
    assert.deepEqual(machine.shutdowns, ["-h +735", "-h now"])
    assert.ok(machine.log.includes("stopped"))
    assert.equal(machine.log.at(-1), "backup-cloud: the server ends with status 143")
  })

  test(`${shell}: if the script itself is killed, the end that it set first stands`, async () => {
    const machine = new Machine(shell, { program: "exec sleep 600" })
    await machine.until("told")
    machine.child.kill("SIGKILL")
    await machine.ended
    assert.deepEqual(machine.shutdowns, ["-h +735"])
    process.kill(Number(machine.read("pid")))
  })
}
