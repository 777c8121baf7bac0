// The whole journey through the names that a deployment of the templates made: init, backup, verify, request, release and
// restore, by the real command over HTTP, each role with the credentials of its deployed role and with nothing but its
// rights. What it asked for is the table of what must be allowed, access-allowed.jsonl.

import assert from "node:assert/strict"
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { of, run } from "../../cli/test/run.ts"
import { type Ended, World } from "../../cli/test/world.ts"
import { exitCode } from "../../format/src/index.ts"
import { type Store, s3Store } from "../../store/src/index.ts"
import { get, noise, put, signal } from "../../store/test/helpers.ts"
import { type Moto, startMoto } from "../../store/test/moto.ts"
import { completeBucket, type Deployed, deploy, type Keys, managedPolicy, takeRole } from "./deploy.ts"
import { type Gate, openGate } from "./gate.ts"
import { BUCKET, PATH, type Principal, policies, SOURCE } from "./judge.ts"
import { ACCOUNT, REGION, template } from "./resolve.ts"

const world = new World()
const data = world.file("data")
const parameters = { Path: PATH, LockDays: "1" }
const keys = new Map<string, Keys>()
let moto: Moto
let gate: Gate
let archive: Deployed
let source: Deployed
let bucket = ""

const roles: readonly (readonly [string, Principal, () => string | undefined])[] = [
  ["admin", "administrator", () => archive.outputs.get("AdministratorRoleArn")],
  ["machine", "source", () => source.outputs.get("SourceRoleArn")],
  ["oscar", "operator", () => archive.outputs.get("OperatorRoleArn")],
]

before(async () => {
  moto = await startMoto()
  archive = await deploy(moto, "archive", "archive", parameters)
  source = await deploy(moto, "docs", "source", { Source: SOURCE })
  bucket = archive.outputs.get("BucketName") ?? ""
  await completeBucket(moto, bucket, parameters)
  for (const [who, , arn] of roles) keys.set(who, await takeRole(moto, arn() ?? assert.fail(who)))
  gate = await openGate(moto, bucket, policies(), (accessKeyId) => {
    const who = [...keys].find(([, each]) => each.accessKeyId === accessKeyId)?.[0]
    return roles.find(([name]) => name === who)?.[1]
  })
  for (const name of ["admin", "alice", "bob", "oscar"]) world.person(name)
  mkdirSync(world.file("machine"), { mode: 0o700 })
  mkdirSync(join(data, "folder"), { recursive: true })
  writeFileSync(join(data, "folder", "letter"), "Dear all,\n")
  writeFileSync(join(data, "large"), noise(3_000_000))
})
after(async () => {
  world.end()
  await gate.close()
  await moto.close()
})

/** Runs the command as somebody with the credentials of somebody's role; without any where there is no such role. */
async function as(who: string, withKeysOf: string, ...args: string[]): Promise<Ended> {
  const own = keys.get(withKeysOf)
  const more =
    own === undefined
      ? {}
      : {
          AWS_ACCESS_KEY_ID: own.accessKeyId,
          AWS_SECRET_ACCESS_KEY: own.secretAccessKey,
          AWS_SESSION_TOKEN: own.sessionToken,
        }
  return await run(of(world, who, { AWS_EC2_METADATA_DISABLED: "true", ...more }), ...args)
}

async function ok(who: string, ...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await as(who, who, ...args)
  assert.equal(status, 0, `${who}: backup-cloud ${args.join(" ")}\n${stdout}${stderr}`)
  return stdout
}

async function refused(who: string, withKeysOf: string, ...args: string[]): Promise<void> {
  const { status, stdout, stderr } = await as(who, withKeysOf, ...args)
  assert.equal(status, exitCode.refused, `${who} as ${withKeysOf}: ${args.join(" ")}\n${stdout}${stderr}`)
}

/** Types of a template, and those of them that moto made something of. */
function types(file: string, { made }: Deployed): { lacking: string[] } {
  const { Resources } = JSON.parse(template(file)) as {
    Resources: Record<string, { Type: string; Condition?: string }>
  }
  const wanted = Object.entries(Resources).filter(([, { Condition }]) => Condition === undefined)
  return { lacking: [...new Set(wanted.filter(([id]) => !made.has(id)).map(([, { Type }]) => Type))].sort() }
}

test("both templates are deployed through CloudFormation, and what moto leaves out is what the page lists", () => {
  const lacking = [...new Set([...types("archive", archive).lacking, ...types("source", source).lacking])]
  const page = readFileSync(join(import.meta.dirname, "../../../docs/aws.md"), "utf8")
  const [, list = ""] = /moto makes nothing of ([^.]*?)[,.]/.exec(page) ?? []
  assert.deepEqual(
    [...list.matchAll(/`([^`]+)`/g)].map((match) => match[1]),
    lacking,
  )
})

test("the deployed policies are those that the table of access is about", async () => {
  const { roles: judged } = policies()
  const deployed = {
    source: source.made.get("SourceRights"),
    operator: archive.made.get("OperatorRights"),
    administrator: archive.made.get("AdministratorRights"),
  }
  for (const role of ["source", "operator", "administrator"] as const) {
    const made = JSON.stringify(await managedPolicy(moto, deployed[role] ?? ""))
    const named = made.replaceAll(bucket, BUCKET).replaceAll("us-east-1", REGION).replaceAll("123456789012", ACCOUNT)
    assert.deepEqual(JSON.parse(named), judged[role], role)
  }
})

test("the whole journey, by the deployed names and with the deployed rights alone", async () => {
  const admin = world.fingerprints.get("admin") ?? ""
  const url = `ssm:/?endpoint=${encodeURIComponent(gate.endpoint)}&region=us-east-1`
  const people = ["--holder", world.file("alice.asc"), "--holder", world.file("bob.asc")]
  const init = ["init", url, "--admin", admin, ...people, "--operator", world.file("oscar.asc")]
  for (const other of ["nobody", "machine", "oscar"]) await refused("admin", other, ...init)
  await ok("admin", ...init)
  await ok("machine", "trust", url, admin, "--yes")
  await ok("machine", "source", "keygen", SOURCE, "--out", world.file("docs.asc"))
  await ok("admin", "source", "add", SOURCE, `dir://${data}`, "--certificate", world.file("docs.asc"))
  appendFileSync(join(world.file("machine"), "backup-cloud.yaml"), `sources: { ${SOURCE}: { url: "dir://${data}" } }\n`)
  for (const other of ["nobody", "admin", "oscar"]) await refused("machine", other, "backup")
  await ok("machine", "backup")
  writeFileSync(join(data, "folder", "second"), "another letter")
  await ok("machine", "backup")
  await ok("oscar", "trust", url, admin, "--yes")
  await ok("oscar", "verify")
  await ok("oscar", "request", `${SOURCE}@latest`, "--reason", "a test", "--out", world.file("request"))
  await ok("alice", "trust", world.file("admin.asc"), admin, "--yes")
  await ok("alice", "keyholder", "approve", world.file("request"), "--out", world.file("release"), "--yes")
  const restore = ["restore", `${SOURCE}@latest`, "--release", world.file("release"), "--to", world.file("restored")]
  await refused("oscar", "machine", ...restore)
  await ok("oscar", ...restore)
  assert.equal(readFileSync(join(world.file("restored"), "folder", "second"), "utf8"), "another letter")
  assert.deepEqual(readFileSync(join(world.file("restored"), "large")), Buffer.from(noise(3_000_000)))
})

test("a source whose identity is in Systems Manager backs up with the same rights, and with no other role's", async () => {
  const at = (endpoint: string, path: string): string =>
    `ssm:${path}?endpoint=${encodeURIComponent(endpoint)}&region=us-east-1`
  const path = `/backup-cloud/identity/${SOURCE}`
  const certificate = world.file("other.asc")
  // Whoever may do anything in the account makes it.
  const keygen = ["source", "keygen", SOURCE, `dir://${data}`, "--identity", at(moto.endpoint, path)]
  await ok("admin", ...keygen, "--out", certificate)
  await ok("admin", "source", "rekey", SOURCE, "--certificate", certificate)
  const backup = async (withKeysOf: string): Promise<Ended> => {
    const { accessKeyId = "", secretAccessKey = "", sessionToken = "" } = keys.get(withKeysOf) ?? {}
    const own = {
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_SESSION_TOKEN: sessionToken,
    }
    const settings = { BACKUP_CLOUD_ARCHIVE: at(gate.endpoint, "/"), BACKUP_CLOUD_IDENTITY: at(gate.endpoint, path) }
    return await run(of(world, "machine", { ...own, ...settings, BACKUP_CLOUD_HOME: world.file("nowhere") }), "backup")
  }
  for (const other of ["admin", "oscar"]) assert.equal((await backup(other)).status, exitCode.refused)
  const { status, stdout, stderr } = await backup("machine")
  assert.equal(status, 0, stderr)
  assert.match(stdout, /^docs: complete/)
})

test("what other commands do in the store, each role may do as well", async () => {
  const storeOf = (who: string): Store => {
    const { accessKeyId, secretAccessKey, sessionToken } = keys.get(who) ?? assert.fail(who)
    return s3Store({
      ...{ bucket, prefix: PATH, endpoint: gate.endpoint },
      credentials: { accessKeyId, secretAccessKey, sessionToken },
    })
  }
  const [machine, oscar, admin] = [storeOf("machine"), storeOf("oscar"), storeOf("admin")]
  const run = "20261123T221500Z-4f1c9a02"
  const reseal = `reseals/${SOURCE}/${run}/alice-0123456789abcdef.gpg`
  for (const name of [reseal, "expiries/000001.json", "erasures/000001.json.gpg"]) await put(admin, name, "x")
  assert.equal((await get(machine, reseal)).toString(), "x")
  for (const name of ["drills/20261123T221500Z-4f1c9a02.json", "media/vault-1.json"]) await put(oscar, name, "x")
  // Of an object that somebody hid, the version that was signed is read.
  for (const store of [oscar, admin]) {
    const [version] = await store.versions(reseal, signal)
    assert.equal((await get(store, reseal, { version: version?.version ?? "" })).toString(), "x")
  }
  // The rights allow to expire a run; its lock does not, for now.
  for (const folder of [`backup/${SOURCE}/${run}`, `state/${SOURCE}/${run}`]) {
    await put(machine, `${folder}/root-0001.gpg`, "x")
    const before = gate.refused.length
    await assert.rejects(admin.remove(`${folder}/root-0001.gpg`, signal), { fault: "refused" })
    assert.equal(gate.refused.length, before, "by the lock, not by the rights")
    await assert.rejects(oscar.remove(`${folder}/root-0001.gpg`, signal), { fault: "refused" })
    assert.equal(gate.refused.length, before + 1)
  }
})

test("what the journey asked for is the table of what must be allowed", () => {
  const file = join(import.meta.dirname, "access-allowed.jsonl")
  const recorded = [...gate.granted.keys()].sort()
  const text = recorded.map((row) => `${row}\n`).join("")
  if (process.env["RECORD"] === "yes") writeFileSync(file, text)
  assert.ok(gate.refused.length > 0)
  assert.equal(readFileSync(file, "utf8"), text, "RECORD=yes writes the table anew; look at what is new in it")
})
