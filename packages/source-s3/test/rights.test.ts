// The policies of docs/sources/s3.md are enough to back up and to restore, and each right in them is needed.

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { after, before, test } from "node:test"
import {
  CreateBucketCommand,
  GetObjectCommand,
  PutBucketEncryptionCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3"
import { isFault } from "@backup-cloud/format"
import { makeMachine } from "../../backup/test/machine.ts"
import { catalogueEntries, openRoot, planRestore, restore } from "../../restore/src/index.ts"
import type { IamPolicy } from "../../store/src/index.ts"
import { noise, signal } from "../../store/test/helpers.ts"
import { type Gate, iamGate } from "../../store/test/iam-gate.ts"
import { makeUser } from "../../store/test/iam-user.ts"
import { anybody, type Moto, startMoto } from "../../store/test/moto.ts"
import { type Credentials, s3Source, s3Target } from "../src/index.ts"
import { readAll } from "./buckets.ts"

const page = readFileSync(new URL("../../../docs/sources/s3.md", import.meta.url), "utf8")
const policies = [...page.matchAll(/```json\n(.*?)```/gs)]
  .map(([, block = ""]) => JSON.parse(block) as Partial<IamPolicy>)
  .filter((block): block is IamPolicy => block.Statement !== undefined)
const [toRead, toRestore] = policies
/** What the gate grants, by access key. */
const granted = new Map<string, IamPolicy>()
let moto: Moto
let gate: Gate
let client: S3Client

before(async () => {
  moto = await startMoto()
  gate = await iamGate(moto, (key) => granted.get(key) ?? null)
  client = new S3Client({ endpoint: moto.endpoint, region: "us-east-1", forcePathStyle: true, credentials: anybody })
  for (const Bucket of ["photos", "photos-restored"]) await client.send(new CreateBucketCommand({ Bucket }))
  const Rules = [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" as const } }]
  await client.send(
    new PutBucketEncryptionCommand({ Bucket: "photos-restored", ServerSideEncryptionConfiguration: { Rules } }),
  )
  const about = { Tagging: "a=b", ServerSideEncryption: "AES256" } as const
  for (const [Key, Body] of [
    ["uploads/large", noise(20_000_000)],
    ["uploads/small", "small"],
    ["other/x", "x"],
  ] as const)
    await client.send(new PutObjectCommand({ Bucket: "photos", Key, Body, ...about }))
})
after(async () => {
  client.destroy()
  await gate.close()
  await moto.close()
})

/** Without an action, wherever it is allowed. */
function without(policy: IamPolicy, action: string): IamPolicy {
  const Statement = policy.Statement.map((each) => ({ ...each, Action: each.Action.filter((name) => name !== action) }))
  assert.notDeepEqual(Statement, policy.Statement, action)
  return { ...policy, Statement: Statement.filter((each) => each.Action.length > 0) }
}

let users = 0

/** Does something as a user of moto's with this policy alone, which the gate enforces as well. */
async function as<T>(policy: IamPolicy, act: (credentials: Credentials) => Promise<T>): Promise<T> {
  const credentials = await makeUser(moto, `user-${++users}`, policy)
  granted.set(credentials.accessKeyId, policy)
  await moto.enforceRights(true)
  try {
    return await act(credentials)
  } finally {
    await moto.enforceRights(false)
  }
}

const source = (credentials: Credentials, prefix = "uploads") =>
  s3Source({ bucket: "photos", prefix, endpoint: gate.endpoint, credentials })
const refused = (error: unknown): boolean => isFault(error, "refused")

test("the policy of a source is enough for what is below its prefix, and for nothing else", async () => {
  assert.ok(toRead)
  await as(toRead, async (credentials) => {
    const found = await readAll(source(credentials))
    assert.deepEqual([...found.keys()], ["large", "small"])
    for (const { attributes, content } of found.values()) {
      assert.ok(Buffer.isBuffer(content))
      assert.equal(attributes["s3.tags"], "a=b")
    }
    await assert.rejects(readAll(source(credentials, "other")), refused)
    const own = new S3Client({ endpoint: gate.endpoint, region: "us-east-1", forcePathStyle: true, credentials })
    const place = { Bucket: "photos", Key: "uploads/small" }
    await assert.rejects(own.send(new PutObjectCommand({ ...place, Body: "x" })), { name: "AccessDenied" })
    await assert.rejects(own.send(new GetObjectCommand({ Bucket: "photos", Key: "other/x" })), { name: "AccessDenied" })
    await own.send(new GetObjectCommand(place))
  })
})

test("each right of a source is missed where it is not given", async () => {
  assert.ok(toRead)
  await as(without(toRead, "s3:ListBucket"), async (credentials) => {
    await assert.rejects(readAll(source(credentials)), refused)
  })
  await as(without(toRead, "s3:GetObject"), async (credentials) => {
    const found = await readAll(source(credentials))
    assert.deepEqual(
      [...found.values()].map(({ content }) => content),
      ["EACCES", "EACCES"],
    )
  })
  await as(without(toRead, "s3:GetObjectTagging"), async (credentials) => {
    const found = await readAll(source(credentials))
    assert.deepEqual(
      [...found.values()].map(({ attributes }) => attributes["lacks"]),
      ["tags", "tags"],
    )
  })
})

// What tags and giving up a half of an object take, moto does not ask for.
test("the policy of a restore is enough for its prefix, and the rights in it are missed where they are not given", async () => {
  assert.ok(toRestore)
  const machine = await makeMachine(
    s3Source({ bucket: "photos", prefix: "uploads", endpoint: moto.endpoint, credentials: anybody }),
  )
  await machine.backup(machine.store)
  const bring = async (credentials: Credentials, prefix = "uploads"): Promise<number> => {
    const view = await machine.view(machine.store, "latest")
    const root = await openRoot(view, signal)
    const plan = await planRestore(() => catalogueEntries(view, root, signal), null)
    const target = s3Target({ bucket: "photos-restored", prefix, endpoint: gate.endpoint, credentials })
    const result = await restore({ view, plan, target, what: "x", verify: true, onEvent: () => undefined, signal })
    assert.deepEqual(result.problems, [])
    return result.files
  }
  const needed = ["ListBucket", "GetEncryptionConfiguration", "PutObject", "GetObject", "DeleteObject"]
  for (const action of needed)
    await as(without(toRestore, `s3:${action}`), (credentials) => assert.rejects(bring(credentials), refused, action))
  await as(toRestore, async (credentials) => {
    assert.equal(await bring(credentials), 2)
    await assert.rejects(bring(credentials, "other"), refused)
  })
})
