// The policy of each role, enforced: what the role needs goes through, and each thing it must never do is refused, and
// succeeds once that right, and nothing else, is given.

import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
  PutObjectRetentionCommand,
  S3Client,
} from "@aws-sdk/client-s3"
import { isFault } from "@backup-cloud/format"
import { answerOf } from "../src/aws-faults.ts"
import { type IamPolicy, iamPolicy, type Role, type Store, s3Store } from "../src/index.ts"
import { get, namesOf, put, signal } from "./helpers.ts"
import { type Gate, iamGate } from "./iam-gate.ts"
import { makeUser } from "./iam-user.ts"
import { anybody, type Moto, startMoto } from "./moto.ts"

const bucket = "archive"
const prefix = "some/place"
const run = "20261123T221500Z-4f1c9a02"
const mine = `backup/mine/${run}`
const other = `backup/other/${run}`

let moto: Moto
let gate: Gate
let all: Store
const policies = new Map<string, IamPolicy>()

before(async () => {
  moto = await startMoto()
  gate = await iamGate(moto, (key) => policies.get(key) ?? null)
  const client = new S3Client({
    endpoint: moto.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: anybody,
  })
  await client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }))
  all = s3Store({ bucket, prefix, endpoint: moto.endpoint, credentials: anybody })
  for (const folder of [mine, other]) {
    for (const base of ["key.gpg", "share-a.gpg", "volume-00000001.tar.zst.gpg", "catalogue-00000001.tar.zst.gpg"]) {
      await put(all, `${folder}/${base}`, base)
    }
    for (const base of ["root-0001.gpg", "receipt-0001.json", "SHA256SUMS-0001", "SHA256SUMS-0001.sig"]) {
      await put(all, `${folder}/${base}`, base)
    }
  }
  for (const source of ["mine", "other"]) {
    await put(all, `state/${source}/${run}/root-0001.gpg`, "x")
    await put(all, `reseals/${source}/${run}/holder-0123456789abcdef.gpg`, "x")
  }
  for (const name of ["archive.json", "config/policy-000001.json", "expiries/000001.json", "drills/a.json"])
    await put(all, name, "x")
})
after(async () => {
  await gate.close()
  await moto.close()
})

interface User {
  readonly store: Store
  readonly client: S3Client
}

/** A user of moto's with exactly this policy, whose requests go through the gate. */
async function user(policy: IamPolicy): Promise<User> {
  await moto.enforceRights(false)
  const credentials = await makeUser(moto, `user-${policies.size + 1}`, policy)
  policies.set(credentials.accessKeyId, policy)
  await moto.enforceRights(true)
  const client = new S3Client({
    endpoint: gate.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials,
    maxAttempts: 1,
  })
  return { client, store: s3Store({ bucket, prefix, endpoint: gate.endpoint, credentials }) }
}

function policyOf(role: Role): IamPolicy {
  return iamPolicy(role, role === "source" ? { bucket, prefix: `/${prefix}/`, source: "mine" } : { bucket, prefix })
}

/** The policy, and one right more: what denies it goes. */
function withRight(policy: IamPolicy, action: string): IamPolicy {
  const kept = policy.Statement.map((statement) =>
    statement.Effect === "Allow"
      ? statement
      : { ...statement, Action: statement.Action.filter((denied) => denied !== action) },
  ).filter(({ Action }) => Action.length > 0)
  const Resource = [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`]
  return { ...policy, Statement: [...kept, { Sid: "More", Effect: "Allow", Action: [action], Resource }] }
}

/** True for "no right to it", and nothing else: a wrong signature or a missing object throws. */
async function isRefused(act: () => Promise<unknown>): Promise<boolean> {
  try {
    await act()
    return false
  } catch (error) {
    const answer = answerOf(isFault(error, "refused") ? error.cause : error)
    if (answer.code !== "AccessDenied") throw error
    return true
  }
}

let fresh = 0
const create = (folder: string) => (by: User) => put(by.store, `${folder}/new-${++fresh}`, "x")
const read = (name: string) => (by: User) => get(by.store, name)
const list = (name: string) => (by: User) => namesOf(by.store, name)
/** Removes what was put there for it. */
const remove = (folder: string) => async (by: User) => {
  const name = `${folder}/removed-${++fresh}`
  await moto.enforceRights(false)
  await put(all, name, "x")
  const found = await all.versions(name, signal)
  await moto.enforceRights(true)
  for (const { version } of found) {
    await by.client.send(new DeleteObjectCommand({ Bucket: bucket, Key: `${prefix}/${name}`, VersionId: version }))
  }
}
const overwrite = (name: string) => (by: User) =>
  by.client.send(new PutObjectCommand({ Bucket: bucket, Key: `${prefix}/${name}`, Body: "other" }))
const at = (name: string) => ({ Bucket: bucket, Key: `${prefix}/${name}` })
const until = new Date("2027-01-01T00:00:00Z")
const retain = (name: string) => (by: User) =>
  by.client.send(
    new PutObjectRetentionCommand({ ...at(name), Retention: { Mode: "GOVERNANCE", RetainUntilDate: until } }),
  )
const hold = (name: string) => (by: User) =>
  by.client.send(new PutObjectLegalHoldCommand({ ...at(name), LegalHold: { Status: "OFF" } }))
const suspend = (by: User) =>
  by.client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: "Enabled" } }))
const readVersion = (name: string) => async (by: User) => {
  await moto.enforceRights(false)
  const version = (await all.versions(name, signal))[0]!.version
  await moto.enforceRights(true)
  const { Body } = await by.client.send(new GetObjectCommand({ ...at(name), VersionId: version }))
  await Body!.transformToByteArray()
}

type Act = (by: User) => Promise<unknown>

const may: Record<Role, Record<string, Act>> = {
  source: {
    "create a run's object": create(mine),
    "create its state": create("state/mine"),
    "find its run's objects": async (by) => {
      assert.equal((await namesOf(by.store, "backup/mine/")).includes(`${mine}/key.gpg`), true)
    },
    "find its state": list("state/mine/"),
    "tell whether an object it sealed is there": async (by) => {
      assert.equal((await by.store.stat(`${mine}/key.gpg`, signal))?.size, 7)
    },
    "find and read the configuration": async (by) => {
      assert.deepEqual(await namesOf(by.store, "config/"), ["config/policy-000001.json"])
      await get(by.store, "config/policy-000001.json")
      assert.notEqual(await by.store.stat("archive.json", signal), null)
      await get(by.store, "archive.json")
    },
    "read its receipts, sums and signatures": async (by) => {
      for (const base of ["receipt-0001.json", "SHA256SUMS-0001", "SHA256SUMS-0001.sig"])
        await get(by.store, `${mine}/${base}`)
    },
    "read its state": read(`state/mine/${run}/root-0001.gpg`),
    "find and read its re-seals": async (by) => {
      for (const name of await namesOf(by.store, "reseals/mine/")) await get(by.store, name)
    },
  },
  operator: {
    "list everything": async (by) => {
      assert.ok((await namesOf(by.store, "")).length > 10)
    },
    "read sealed objects": read(`${other}/key.gpg`),
    "read versions": readVersion(`${mine}/key.gpg`),
    "record a drill": create("drills"),
    "record a medium": create("media"),
  },
  administrator: {
    "list everything": list(""),
    "create the configuration": create("config"),
    "create expiries": create("expiries"),
    "create erasures": create("erasures"),
    "create re-seals": create("reseals/mine"),
    "create the recovery program": (by) => put(by.store, "recover.sh", "x"),
    "expire a volume": (by) => remove(mine)(by),
    "probe the store": async (by) => {
      assert.equal((await by.store.probe(signal)).conditionalCreate, true)
    },
    "check the bytes of a volume": read(`${mine}/volume-00000001.tar.zst.gpg`),
  },
}

const never: Record<Role, Record<string, readonly [string, Act]>> = {
  source: {
    "read a run key, also its own": ["s3:GetObject", read(`${mine}/key.gpg`)],
    "read a share": ["s3:GetObject", read(`${mine}/share-a.gpg`)],
    "read a volume": ["s3:GetObject", read(`${mine}/volume-00000001.tar.zst.gpg`)],
    "read a catalogue volume": ["s3:GetObject", read(`${mine}/catalogue-00000001.tar.zst.gpg`)],
    "read a root": ["s3:GetObject", read(`${mine}/root-0001.gpg`)],
    "read an older version": ["s3:GetObjectVersion", readVersion(`${mine}/key.gpg`)],
    overwrite: ["s3:PutObject", overwrite(`${mine}/receipt-0001.json`)],
    delete: ["s3:DeleteObjectVersion", remove(mine)],
    "set retention": ["s3:PutObjectRetention", retain(`${mine}/key.gpg`)],
    "lift a legal hold": ["s3:PutObjectLegalHold", hold(`${mine}/key.gpg`)],
    "change the bucket": ["s3:PutBucketVersioning", suspend],
    "list another source's runs": ["s3:ListBucket", list("backup/other/")],
    "list all sources": ["s3:ListBucket", list("backup/")],
    "list everything": ["s3:ListBucket", list("")],
    "list a source whose name begins alike": ["s3:ListBucket", list("backup/mine")],
    "read another source's receipts": ["s3:GetObject", read(`${other}/receipt-0001.json`)],
    "read another source's state": ["s3:GetObject", read(`state/other/${run}/root-0001.gpg`)],
    "read another source's re-seals": ["s3:GetObject", read(`reseals/other/${run}/holder-0123456789abcdef.gpg`)],
    "create below another source": ["s3:PutObject", create(other)],
    "create another source's state": ["s3:PutObject", create("state/other")],
    "change the configuration": ["s3:PutObject", create("config")],
    "record an erasure": ["s3:PutObject", create("erasures")],
  },
  operator: {
    "create below backup": ["s3:PutObject", create(mine)],
    "create state": ["s3:PutObject", create("state/mine")],
    "change the configuration": ["s3:PutObject", create("config")],
    "create an expiry": ["s3:PutObject", create("expiries")],
    "create a re-seal": ["s3:PutObject", create("reseals/mine")],
    overwrite: ["s3:PutObject", overwrite("drills/a.json")],
    delete: ["s3:DeleteObjectVersion", remove(mine)],
    "set retention": ["s3:PutObjectRetention", retain(`${mine}/key.gpg`)],
  },
  administrator: {
    "create below backup": ["s3:PutObject", create(mine)],
    "record a drill": ["s3:PutObject", create("drills")],
    overwrite: ["s3:PutObject", overwrite("config/policy-000001.json")],
    "delete the configuration": ["s3:DeleteObjectVersion", remove("config")],
    "delete expiries": ["s3:DeleteObjectVersion", remove("expiries")],
    "set retention": ["s3:PutObjectRetention", retain(`${mine}/key.gpg`)],
    "change the bucket": ["s3:PutBucketVersioning", suspend],
  },
}

for (const role of ["source", "operator", "administrator"] as const) {
  for (const [what, act] of Object.entries(may[role])) {
    test(`rights: the ${role} may ${what}`, async () => {
      await act(await user(policyOf(role)))
    })
  }
  for (const [what, [action, act]] of Object.entries(never[role])) {
    test(`rights: the ${role} must never ${what}, and could with ${action}`, async () => {
      const policy = policyOf(role)
      const by = await user(policy)
      assert.equal(await isRefused(() => act(by)), true)
      const more = await user(withRight(policy, action))
      assert.equal(await isRefused(() => act(more)), false)
    })
  }
  test(`rights: the policy of the ${role} fits into one managed policy and has unique statement ids`, () => {
    const policy = iamPolicy(role, {
      bucket: "b".repeat(63),
      prefix: "p/".repeat(20),
      ...(role === "source" ? { source: "s".repeat(63) } : {}),
    })
    // IAM counts characters without white space, at most 6,144 in a managed policy.
    assert.ok(JSON.stringify(policy).length <= 6144)
    const ids = policy.Statement.map(({ Sid }) => Sid)
    assert.equal(new Set(ids).size, ids.length)
    for (const id of ids) assert.match(id, /^[A-Za-z0-9]+$/)
  })
}

test("rights: a place that IAM would read as a pattern, or a source out of place, is refused", () => {
  for (const place of [
    { bucket, prefix: "a*" },
    { bucket, prefix: "a?" },
    { bucket, prefix: "${aws:username}" },
  ]) {
    assert.throws(() => iamPolicy("operator", place), { fault: "usage" })
  }
  assert.throws(() => iamPolicy("source", { bucket, prefix }), { fault: "usage" })
  assert.throws(() => iamPolicy("source", { bucket, prefix, source: "*" }), { fault: "usage" })
  assert.throws(() => iamPolicy("operator", { bucket, prefix, source: "mine" }), { fault: "usage" })
  assert.deepEqual(iamPolicy("operator", { bucket, prefix: "" }).Statement[0]?.Condition, {
    StringLike: { "s3:prefix": ["*"] },
  })
})
