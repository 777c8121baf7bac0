import assert from "node:assert/strict"
import { after, test } from "node:test"
import { type Store, s3Store } from "../src/index.ts"
import { storeContract } from "./contract.ts"
import { type Failure, type FakeOptions, type FakeRequest, type FakeS3, fakeS3 } from "./fake-s3.ts"
import { bytes, get, namesOf, noise, put, sha256, signal } from "./helpers.ts"

const now = new Date("2026-11-23T22:15:00Z")
const credentials = { accessKeyId: "id", secretAccessKey: "secret" }

async function open(
  options: Partial<FakeOptions> = {},
  prefix = "some/place",
): Promise<{ fake: FakeS3; store: Store }> {
  const fake = await fakeS3({ now: () => now, ...options })
  after(() => fake.close())
  const { endpoint, bucket } = fake
  return { fake, store: s3Store({ bucket, prefix, endpoint, credentials }) }
}

/** Fails the first `times` requests that `wanted` picks. */
function first(
  times: number,
  failure: Failure,
  wanted: (request: FakeRequest) => boolean = () => true,
): FakeS3["fail"] {
  return (request) => (wanted(request) && times-- > 0 ? failure : null)
}

storeContract("fake S3", async () => (await open()).store)
storeContract("fake S3 in pages of two", async () => (await open({ pageSize: 2 })).store)
storeContract("fake S3 without a prefix", async () => (await open({}, "")).store)
storeContract(
  "fake S3 without conditional creates",
  async () => {
    const { fake } = await open({ unconditional: true })
    const { endpoint, bucket } = fake
    return s3Store({ bucket, prefix: "p", endpoint, credentials, unconditional: true })
  },
  false,
)
storeContract("fake S3 with versions", async () => (await open({ lockDays: 0 })).store)

test("s3: a path with or without slashes around it names the same place", async () => {
  const fake = await fakeS3({ now: () => now })
  after(() => fake.close())
  const { endpoint, bucket } = fake
  await put(s3Store({ bucket, prefix: "/a//b/", endpoint, credentials }), "x", "body")
  assert.equal((await get(s3Store({ bucket, prefix: "a/b", endpoint, credentials }), "x")).toString(), "body")
  assert.deepEqual(await namesOf(s3Store({ bucket, prefix: "", endpoint, credentials }), ""), ["a/b/x"])
})

test("s3: objects arrive when the server says", async () => {
  const { store } = await open()
  assert.deepEqual((await put(store, "a", "x")).arrived, now)
  assert.deepEqual((await store.stat("a", signal))?.arrived, now)
})

test("s3: a missing bucket is not found; nothing in it is taken for absent", async () => {
  const { fake } = await open()
  const store = s3Store({ bucket: "other", prefix: "", endpoint: fake.endpoint, credentials })
  await assert.rejects(store.stat("a", signal), { fault: "not-found" })
  await assert.rejects(store.versions("a", signal), { fault: "not-found" })
  await assert.rejects(namesOf(store, ""), { fault: "not-found" })
  await assert.rejects(put(store, "a", "x"), { fault: "not-found" })
  await assert.rejects(store.probe(signal), { fault: "not-found" })
})

const calls: Record<string, (store: Store) => Promise<unknown>> = {
  stat: (store) => store.stat("there", signal),
  read: (store) => get(store, "there"),
  list: (store) => namesOf(store, ""),
  versions: (store) => store.versions("there", signal),
  create: (store) => put(store, "new", "x"),
  remove: (store) => store.remove("there", signal),
}
for (const [method, call] of Object.entries(calls)) {
  test(`s3: ${method} translates what the server answers`, async () => {
    const { fake, store } = await open()
    await put(store, "there", noise(100_000))
    const answers = [
      [503, "SlowDown", "unavailable"],
      [500, "InternalError", "unavailable"],
      [429, "TooManyRequests", "unavailable"],
      [409, "ConditionalRequestConflict", "unavailable"],
      [403, "AccessDenied", "refused"],
      [400, "ExpiredToken", "refused"],
      [501, "NotImplemented", "refused"],
      [301, "PermanentRedirect", "usage"],
      [412, "PreconditionFailed", "conflict"],
    ] as const
    for (const [status, code, fault] of answers) {
      // A removal goes on without versions where a server knows none, and reports what it could not delete.
      if (method === "remove" && status === 501) continue
      fake.fail = first(1, { kind: "status", status, code })
      await assert.rejects(call(store), { fault }, code)
    }
    fake.fail = first(1, { kind: "lost-reply" })
    if (method !== "create") await assert.rejects(call(store), { fault: "unavailable" })
    fake.fail = first(1, { kind: "hang" })
    const { endpoint, bucket } = fake
    const hasty = s3Store({ bucket, prefix: "some/place", endpoint, credentials, requestTimeout: 20 })
    await assert.rejects(call(hasty), { fault: "unavailable" })
    fake.fail = () => null
    await call(store)
  })
}

test("s3: an unreachable server is unavailable", async () => {
  const { fake, store } = await open()
  await fake.close()
  await assert.rejects(store.stat("a", signal), { fault: "unavailable" })
})

test("s3: a body or list that ends early is unavailable, not short", async () => {
  const { fake, store } = await open()
  await put(store, "a", noise(1_000_000))
  fake.fail = first(1, { kind: "cut-body", after: 400_000 })
  let read = 0
  await assert.rejects(
    async () => {
      for await (const piece of store.read("a", signal)) read += piece.length
    },
    { fault: "unavailable" },
  )
  assert.ok(read <= 400_000)
  fake.fail = first(1, { kind: "cut-body", after: 150 })
  await assert.rejects(namesOf(store, ""), { fault: "unavailable" })
  assert.deepEqual(await namesOf(store, ""), ["a"])
})

test("s3: a body damaged on its way is refused by the server and worth another try", async () => {
  const { fake, store } = await open()
  fake.fail = first(1, { kind: "flip-request", at: 500 }, (request) => request.method === "PUT")
  await assert.rejects(put(store, "a", noise(1000)), { fault: "unavailable" })
  assert.equal(await store.stat("a", signal), null)
  await put(store, "a", noise(1000))
  assert.ok((await get(store, "a")).equals(noise(1000)))
})

test("s3: a body that never had its digest is tampered", async () => {
  const { store } = await open()
  await assert.rejects(store.create("a", [bytes("x")], sha256(bytes("y")), signal), { fault: "tampered" })
  assert.equal(await store.stat("a", signal), null)
})

test("s3: each create goes with its condition and its digest, in the signature and as a checksum", async () => {
  const { fake, store } = await open()
  await put(store, "a", "x")
  const { headers } = fake.requests.find((request) => request.method === "PUT")!
  assert.equal(headers["if-none-match"], "*")
  assert.equal(headers["x-amz-content-sha256"], sha256(bytes("x")))
  assert.equal(headers["x-amz-checksum-sha256"], Buffer.from(sha256(bytes("x")), "hex").toString("base64"))
  assert.equal(headers["x-amz-trailer"], undefined)
})

test("s3: an unconditional create looks first, and sends no condition that a server could refuse", async () => {
  const { fake } = await open({ unconditional: true })
  fake.fail = ({ headers }) =>
    headers["if-none-match"] === undefined ? null : { kind: "status", status: 501, code: "NotImplemented" }
  const options = { bucket: fake.bucket, prefix: "", endpoint: fake.endpoint, credentials }
  await assert.rejects(put(s3Store(options), "a", "x"), { fault: "refused" })
  const store = s3Store({ ...options, unconditional: true })
  await put(store, "a", "x")
  await assert.rejects(put(store, "a", "y"), { fault: "conflict" })
  assert.equal((await store.probe(signal)).conditionalCreate, false)
})

test("s3: stat and create never ask to read an object", async () => {
  const { fake, store } = await open()
  await put(store, "a", "x")
  await store.stat("a", signal)
  assert.deepEqual(
    fake.requests.filter(({ method, key }) => key !== "" && method !== "PUT"),
    [],
  )
})

test("s3: what an overwrite or a delete marker hides is found among the versions", async () => {
  const { fake, store } = await open({ lockDays: 30 })
  await put(store, "a", "signed")
  fake.overwrite("some/place/a", Buffer.from("forged!"))
  await fetch(`${fake.endpoint}/archive/some/place/a`, { method: "DELETE" })
  assert.equal(await store.stat("a", signal), null)
  await assert.rejects(get(store, "a"), { fault: "not-found" })
  const versions = await store.versions("a", signal)
  assert.deepEqual(
    versions.map(({ size, deleted }) => [size, deleted]),
    [
      [0, true],
      [7, false],
      [6, false],
    ],
  )
  assert.equal((await get(store, "a", { version: versions[2]!.version })).toString(), "signed")
  await assert.rejects(get(store, "a", { version: "none" }), { fault: "not-found" })
})

test("s3: removal takes every version that the lock lets go, and says what it keeps", async () => {
  let time = now
  const { fake, store } = await open({ lockDays: 30, now: () => time })
  await put(store, "a", "old")
  time = new Date(now.getTime() + 20 * 86_400_000)
  fake.overwrite("some/place/a", Buffer.from("newer"))
  await assert.rejects(store.remove("a", signal), { fault: "refused" })
  assert.equal((await store.versions("a", signal)).length, 2)
  time = new Date(now.getTime() + 40 * 86_400_000)
  await assert.rejects(store.remove("a", signal), { fault: "refused" })
  assert.deepEqual(
    (await store.versions("a", signal)).map(({ size }) => size),
    [5],
  )
  time = new Date(now.getTime() + 60 * 86_400_000)
  await store.remove("a", signal)
  assert.deepEqual(await store.versions("a", signal), [])
})

test("s3: probe finds versions and the lock, and what it wrote stays one object under the lock", async () => {
  const { store } = await open({ lockDays: 30 })
  for (let time = 0; time < 2; time++) {
    const found = await store.probe(signal)
    assert.deepEqual(found, {
      conditionalCreate: true,
      versions: true,
      lock: { mode: "COMPLIANCE", days: 30 },
      notices: [],
    })
  }
  assert.deepEqual(await namesOf(store, "probe/"), ["probe/condition"])
})

test("s3: probe finds a server that overwrites, keeps no versions and has no lock", async () => {
  const { store } = await open({ unconditional: true })
  const found = await store.probe(signal)
  assert.deepEqual([found.conditionalCreate, found.versions, found.lock], [false, false, null])
  assert.equal(found.notices.length, 3)
})

test("s3: probe takes 'not implemented' for an answer, and no other refusal", async () => {
  const { fake, store } = await open()
  const puts = (request: FakeRequest): boolean => request.method === "PUT"
  fake.fail = first(9, { kind: "status", status: 501, code: "NotImplemented" }, puts)
  assert.equal((await store.probe(signal)).conditionalCreate, false)
  fake.fail = first(9, { kind: "status", status: 403, code: "AccessDenied" }, puts)
  await assert.rejects(store.probe(signal), { fault: "refused" })
})
