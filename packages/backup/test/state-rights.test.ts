// A backup into S3 with the printed rights of a source, and without the one to read its state: it goes on and says so.

import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3"
import { type IamPolicy, iamPolicy, type Store, s3Store } from "@backup-cloud/store"
import { dirSource } from "../../source-dir/src/index.ts"
import { noise } from "../../store/test/helpers.ts"
import { type Gate, iamGate } from "../../store/test/iam-gate.ts"
import { makeUser } from "../../store/test/iam-user.ts"
import { anybody, type Moto, startMoto } from "../../store/test/moto.ts"
import type { BackupEvent } from "../src/index.ts"
import { copyTo, type Machine, makeMachine } from "./machine.ts"

const CONTENT = 400_000
const place = { bucket: "archive", prefix: "some/place" }
const folder = mkdtempSync(join(tmpdir(), "bc-rights-"))
const policies = new Map<string, IamPolicy>()
let moto: Moto
let gate: Gate
let machine: Machine

before(async () => {
  moto = await startMoto()
  gate = await iamGate(moto, (key) => policies.get(key) ?? null)
  const { endpoint } = moto
  const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials: anybody })
  await client.send(new CreateBucketCommand({ Bucket: place.bucket }))
  mkdirSync(join(folder, "data"))
  writeFileSync(join(folder, "data", "file"), noise(CONTENT))
  machine = await makeMachine(dirSource({ root: join(folder, "data") }))
  await copyTo(machine.store, s3Store({ ...place, endpoint, credentials: anybody }))
})
after(async () => {
  rmSync(folder, { recursive: true })
  await gate.close()
  await moto.close()
})

const rights = iamPolicy("source", { ...place, source: "docs" })

/** The rights of the source without one of its actions on the state. */
function without(action: "s3:GetObject" | "s3:ListBucket"): IamPolicy {
  const aboutState = (text: string): boolean => text.includes("/state/")
  const Statement = rights.Statement.map((statement) => {
    if (statement.Effect === "Deny" || !statement.Action.includes(action)) return statement
    const prefixes = statement.Condition?.["StringLike"]?.["s3:prefix"]
    return {
      ...statement,
      Resource: statement.Resource.filter((resource) => !aboutState(resource)),
      ...(Array.isArray(prefixes)
        ? { Condition: { StringLike: { "s3:prefix": prefixes.filter((prefix: string) => !aboutState(prefix)) } } }
        : {}),
    }
  })
  return { ...rights, Statement }
}

/** The archive as a user with this policy sees it. */
async function storeWith(policy: IamPolicy): Promise<Store> {
  await moto.enforceRights(false)
  const credentials = await makeUser(moto, `user-${policies.size}`, policy)
  policies.set(credentials.accessKeyId, policy)
  await moto.enforceRights(true)
  return s3Store({ ...place, endpoint: gate.endpoint, credentials })
}

async function backup(store: Store): Promise<{ stored: number; flaws: string[] }> {
  const flaws: string[] = []
  const onEvent = (event: BackupEvent): void => {
    if (event.event === "state") flaws.push(`${event.why} ${event.message.replace(/[0-9]{8}T[^/]+/, "RUN")}`)
  }
  const { stored, outcome } = await machine.backup(store, { onEvent })
  assert.equal(outcome, "complete")
  return { stored, flaws }
}

test("without the right to read or to list its state a source is told so, and stores everything again each time", async () => {
  const whole = await storeWith(rights)
  assert.deepEqual((await backup(whole)).flaws, [])
  for (const action of ["s3:GetObject", "s3:ListBucket"] as const) {
    const closed = await storeWith(without(action))
    for (let i = 0; i < 2; i++) {
      const { stored, flaws } = await backup(closed)
      assert.ok(stored > CONTENT, action)
      assert.equal(flaws.length, 1, action)
      assert.match(flaws[0] ?? "", /^denied state\/docs\/RUN\/root-0001\.gpg: the server gives no right to it/)
    }
  }
  const again = await backup(whole)
  assert.deepEqual(again.flaws, [])
  assert.ok(again.stored < CONTENT)
})
