// A bucket of 1 GiB, by a function of 512 MB that has no time for all of it, from beginning to restore.

import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import { createReadStream } from "node:fs"
import { join } from "node:path"
import { pipeline } from "node:stream/promises"
import { after, before, test } from "node:test"
import { type Asked, type Proxy, startProxy } from "../../source-s3/test/proxy.ts"
import { Cloud, type Invoked } from "./cloud.ts"

const MiB = 1_048_576
const OBJECTS = 64
const OBJECT = 16 * MiB
/** Objects whose content comes in one invocation. */
const EACH = 24
/** Of an invocation: half of it for what is read, the rest for the end. */
const MILLISECONDS = 90_000
const MOST_INVOCATIONS = 12
let cloud: Cloud
let proxy: Proxy

before(async () => {
  cloud = await Cloud.open()
  proxy = await startProxy(cloud.moto.endpoint)
  cloud.enrol("large", `s3://data/in?endpoint=${encodeURIComponent(proxy.endpoint)}&region=us-east-1`)
})
after(async () => {
  await proxy.close()
  await cloud.close()
})

const isContent = ({ method, key, query }: Asked): boolean => method === "GET" && key !== "" && !query.has("tagging")

test("1 GiB in 512 MB, over several invocations, without gpg and without a file but temporary ones", async () => {
  const digests = new Map<string, string>()
  for (let i = 0; i < OBJECTS; i++) {
    const name = `object-${String(i).padStart(2, "0")}`
    const bytes = randomBytes(OBJECT)
    digests.set(name, createHash("sha256").update(bytes).digest("hex"))
    await cloud.object(`in/${name}`, bytes)
  }
  const invocations: Invoked[] = []
  for (let event: unknown = { source: "large" }; invocations.length < MOST_INVOCATIONS; ) {
    // Two ranges an object.
    let left = 2 * EACH
    proxy.fail = (asked) => (isContent(asked) && left-- <= 0 ? { stallAfter: 1000 } : null)
    const invoked = await cloud.invoke(event, MILLISECONDS)
    assert.equal(invoked.error, null, invoked.text)
    invocations.push(invoked)
    if (invoked.reply?.["outcome"] !== "continues") break
    event = invoked.reply
  }
  assert.equal(invocations.at(-1)?.reply?.["outcome"], "complete")
  assert.ok(invocations.length >= 3, String(invocations.length))
  const most = Math.max(...invocations.map(({ memory }) => memory))
  assert.ok(most < 512 * MiB, `${most / MiB} MiB`)
  console.log(`${invocations.length} invocations, at most ${Math.round(most / MiB)} MiB`)
  const stored = invocations.reduce((sum, { reply }) => sum + Number(reply?.["stored"]), 0)
  assert.ok(stored < 1.5 * OBJECTS * OBJECT, `${stored} stored`)
  assert.deepEqual(cloud.left(), [])
  const target = await cloud.restored("large")
  for (const [name, digest] of digests) {
    const hash = createHash("sha256")
    await pipeline(createReadStream(join(target, name)), hash)
    assert.equal(hash.digest("hex"), digest, name)
  }
})
