// The whole journey on an archive in S3, by the real command over HTTP: once with every right, and once with each role as
// an IAM user of its own that has what `policy print` printed and nothing else. Which single rights a role must never have
// is tested beside the store; here, that the roles' commands can do with what they have, and not with another role's.

import assert from "node:assert/strict"
import { execFileSync, spawn } from "node:child_process"
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import {
  CreateBucketCommand,
  PutBucketVersioningCommand,
  PutObjectLockConfigurationCommand,
  S3Client,
} from "@aws-sdk/client-s3"
import { exitCode } from "@backup-cloud/format"
import type { IamPolicy } from "@backup-cloud/store"
import { noise } from "../../store/test/helpers.ts"
import { type Gate, iamGate } from "../../store/test/iam-gate.ts"
import { makeUser } from "../../store/test/iam-user.ts"
import { anybody, type Moto, startMoto } from "../../store/test/moto.ts"
import { type Ended, fromSources, World } from "./world.ts"

const command = join(import.meta.dirname, "../bin/backup-cloud.js")
const world = new World()
const data = world.file("data")
/** What the gate grants, by access key. */
const policies = new Map<string, IamPolicy>()
let moto: Moto
let gate: Gate

interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

before(async () => {
  moto = await startMoto()
  gate = await iamGate(moto, (key) => policies.get(key) ?? null)
  for (const name of ["admin", "alice", "bob", "oscar"]) world.person(name)
  mkdirSync(join(data, "folder", "empty"), { recursive: true })
  writeFileSync(join(data, "folder", "two\nlines"), "a name of two lines")
  writeFileSync(join(data, "large"), noise(3_000_000))
  chmodSync(join(data, "large"), 0o640)
  symlinkSync("folder/nowhere", join(data, "link"))
})
after(async () => {
  world.end()
  await gate.close()
  await moto.close()
})

/** A bucket of moto's; with a lock it keeps each version for a day in compliance mode. */
async function makeBucket(bucket: string, lock: boolean): Promise<void> {
  const client = new S3Client({
    endpoint: moto.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: anybody,
  })
  await client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: lock }))
  const on = { Status: "Enabled" } as const
  await client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: on }))
  if (!lock) return
  const configuration = {
    ObjectLockEnabled: "Enabled",
    Rule: { DefaultRetention: { Mode: "COMPLIANCE", Days: 1 } },
  } as const
  await client.send(new PutObjectLockConfigurationCommand({ Bucket: bucket, ObjectLockConfiguration: configuration }))
}

/** An archive's people, each with a home for this archive and the credentials of a role. */
class Journey {
  readonly name: string
  readonly url: string
  readonly #keys: Readonly<Record<string, Credentials>>

  constructor(name: string, endpoint: string, keys: Readonly<Record<string, Credentials>>) {
    this.name = name
    this.url = `s3://${name}/some/place?endpoint=${encodeURIComponent(endpoint)}&region=us-east-1`
    this.#keys = keys
  }

  file(name: string): string {
    return world.file(`${this.name}-${name}`)
  }

  home(who: string): string {
    return this.file(`home-${who}`)
  }

  /** Runs the command as somebody with somebody's credentials. The gate is in this process, so that it must not wait. */
  async run(who: string, args: readonly string[], withKeysOf: string = who): Promise<Ended> {
    const keys = this.#keys[withKeysOf]
    const env = {
      PATH: process.env["PATH"],
      ...fromSources,
      HOME: world.place,
      GNUPGHOME: world.file(who),
      BACKUP_CLOUD_HOME: this.home(who),
      BACKUP_CLOUD_CONFIG: join(this.home(who), "backup-cloud.yaml"),
      // Whoever has no keys must not find those of the machine.
      AWS_EC2_METADATA_DISABLED: "true",
      ...(keys === undefined
        ? {}
        : { AWS_ACCESS_KEY_ID: keys.accessKeyId, AWS_SECRET_ACCESS_KEY: keys.secretAccessKey }),
    }
    const child = spawn(process.execPath, [command, ...args], {
      cwd: world.place,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    })
    let stdout = ""
    let stderr = ""
    child.stdout.on("data", (piece: Buffer) => (stdout += piece.toString()))
    child.stderr.on("data", (piece: Buffer) => (stderr += piece.toString()))
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject)
      child.once("close", resolve)
    })
    return { status, stdout, stderr }
  }

  async ok(who: string, ...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(who, args)
    assert.equal(status, 0, `${who}: backup-cloud ${args.join(" ")}\n${stdout}${stderr}`)
    return stdout
  }

  /** Bytes that a backup of `docs` stored. */
  async stored(...args: string[]): Promise<number> {
    const last = (await this.ok("machine", ...args, "--json")).trimEnd().split("\n").at(-1) ?? ""
    const result = JSON.parse(last) as { event: string; outcome: string; stored: number }
    assert.deepEqual([result.event, result.outcome], ["result", "complete"])
    return result.stored
  }

  /** The store refuses the command with another role's credentials. */
  async refused(who: string, withKeysOf: string, ...args: string[]): Promise<void> {
    const { status, stdout, stderr } = await this.run(who, args, withKeysOf)
    assert.equal(status, exitCode.refused, `${who} as ${withKeysOf}: ${args.join(" ")}\n${stdout}${stderr}`)
    assert.match(stderr, /AccessDenied|no right/i)
  }

  init(...more: string[]): string[] {
    const holders = ["--holder", world.file("alice.asc"), "--holder", world.file("bob.asc")]
    return ["init", this.url, "--admin", admin(), ...holders, "--operator", world.file("oscar.asc"), ...more]
  }

  /** From nothing to two runs of the source `docs`, on a machine of its own. */
  async begin(): Promise<void> {
    await this.ok("admin", ...this.init())
    await this.ok("machine", "trust", this.url, admin(), "--yes")
    await this.ok("machine", "source", "keygen", "docs", "--out", this.file("docs.asc"))
    const url = `dir://${data}`
    await this.ok("admin", "source", "add", "docs", url, "--certificate", this.file("docs.asc"))
    const yaml = join(this.home("machine"), "backup-cloud.yaml")
    writeFileSync(yaml, `${readFileSync(yaml, "utf8")}sources: { docs: { url: "${url}" } }\n`)
    assert.ok((await this.stored("backup")) > 3_000_000)
    // Without a right to its own state, a source stores everything again, and no command fails.
    assert.ok((await this.stored("backup", "docs")) < 1_000_000)
  }

  /** Checks, asks, gets a release from a holder without any right to the archive, and restores with it. */
  async release(): Promise<string> {
    await this.ok("oscar", "trust", this.url, admin(), "--yes")
    await this.ok("oscar", "verify")
    assert.equal((await this.ok("oscar", "runs")).match(/^docs@/gm)?.length, 2)
    await this.ok("oscar", "request", "docs@latest", "--reason", "a test", "--out", this.file("request"))
    await this.ok("alice", "trust", world.file("admin.asc"), admin(), "--yes")
    await this.ok("alice", "keyholder", "approve", this.file("request"), "--out", this.file("release"), "--yes")
    return this.file("release")
  }

  restore(release: string, to: string): string[] {
    return ["restore", "docs@latest", "--release", release, "--to", this.file(to)]
  }
}

function admin(): string {
  return world.fingerprints.get("admin") ?? ""
}

/** What rsync would change in a restored tree. */
function differences(restored: string): string {
  const args = ["-aHn", "--checksum", "--delete", "--itemize-changes", `${data}/`, `${restored}/`]
  return execFileSync("rsync", args, { encoding: "utf8" })
}

test("s3: the whole journey in a bucket that is locked", async () => {
  const keys = { admin: anybody, machine: anybody, oscar: anybody }
  await makeBucket("journey", true)
  const journey = new Journey("journey", moto.endpoint, keys)
  await journey.begin()
  const release = await journey.release()
  await journey.ok("oscar", ...journey.restore(release, "restored"))
  assert.equal(differences(journey.file("restored")), "")
  writeFileSync(join(journey.file("restored"), "added"), "x")
  assert.notEqual(differences(journey.file("restored")), "")
})

test("s3: init refuses a bucket without a lock, and accepts it degraded with a warning", async () => {
  await makeBucket("unlocked", false)
  const journey = new Journey("unlocked", moto.endpoint, { admin: anybody })
  const refused = await journey.run("admin", journey.init())
  assert.equal(refused.status, exitCode.refused, refused.stderr)
  assert.equal(refused.status, 12)
  assert.match(refused.stderr, /lacks Object Lock .*no archive was made/)
  const accepted = await journey.run("admin", journey.init("--degraded"))
  assert.equal(accepted.status, 0, accepted.stderr)
  assert.match(accepted.stderr, /WARNING: .*lacks Object Lock/)
})

test("s3: each role can do its part with the printed rights, and not with another role's", async () => {
  await makeBucket("rights", true)
  const place = new Journey("rights", gate.endpoint, {})
  const print = async (...args: string[]): Promise<IamPolicy> =>
    JSON.parse(await place.ok("nobody", "--archive", place.url, "policy", "print", "--role", ...args)) as IamPolicy
  const keys = {
    admin: await userWith("administrator", await print("administrator")),
    machine: await userWith("source", await print("source", "--source", "docs")),
    oscar: await userWith("operator", await print("operator")),
  }
  await moto.enforceRights(true)
  try {
    const journey = new Journey("rights", gate.endpoint, keys)
    await journey.refused("admin", "oscar", ...journey.init())
    await journey.begin()
    for (const other of ["oscar", "admin"]) await journey.refused("machine", other, "backup")
    await journey.ok("machine", "runs", "docs")
    const release = await journey.release()
    // The source's machine can't read what it stored, even where a release came into its hands.
    await journey.refused("oscar", "machine", ...journey.restore(release, "restored"))
    await journey.ok("oscar", ...journey.restore(release, "restored"))
    assert.equal(differences(journey.file("restored")), "")
    const change = ["source", "set", "docs", "--schedule", "daily"]
    for (const other of ["oscar", "machine"]) await journey.refused("admin", other, ...change)
    await journey.ok("admin", ...change)
    // Who may restore may drill, and who may not write results there finds them at home.
    const drill = ["drill", "docs@latest", "--release", release]
    await journey.refused("oscar", "admin", ...drill)
    await journey.ok("oscar", ...drill)
    assert.match(await journey.ok("admin", "drill", "--list"), /^docs@\S+ +passed /m)
    await journey.ok("admin", "policy", "drill", "docs", "--every", "30d")
    await journey.ok("admin", "status")
    const { status, stderr } = await journey.run("machine", ["status"])
    assert.equal(status, 0, stderr)
    assert.match(stderr, /Whether drills are overdue cannot be told/)
    await journey.ok("machine", "backup", "--prove", "all")
  } finally {
    await moto.enforceRights(false)
  }
})

/** A user of moto's with this policy alone, which the gate enforces as well. */
async function userWith(name: string, policy: IamPolicy): Promise<Credentials> {
  const credentials = await makeUser(moto, name, policy)
  policies.set(credentials.accessKeyId, policy)
  return credentials
}
