import assert from "node:assert/strict"
import { after, test } from "node:test"
import { BackupError } from "@backup-cloud/format"
import { type Call, faulty, memoryStore, observing, type Point, retrying, type Store, s3Store } from "../src/index.ts"
import { storeContract } from "./contract.ts"
import { type FakeRequest, fakeS3 } from "./fake-s3.ts"
import { bytes, collect, get, namesOf, noise, put, sha256, signal } from "./helpers.ts"

const now = () => new Date("2026-11-23T22:15:00Z")
const down = () => new BackupError("unavailable", "down")

/** Fails whatever `what` names the first two times that it comes. */
function firstTwo(): (what: string) => boolean {
  const seen = new Map<string, number>()
  return (what) => {
    seen.set(what, (seen.get(what) ?? 0) + 1)
    return seen.get(what)! <= 2
  }
}

function patient(inner: Store, waits: readonly number[]): { store: Store; slept: number[] } {
  const slept: number[] = []
  return { slept, store: retrying(inner, waits, async (wait) => void slept.push(wait)) }
}

const long = Array.from({ length: 20 }, () => 1)
storeContract("retrying memory", async () => patient(memoryStore({ now }), [1]).store)
storeContract("observed memory", async () => observing(memoryStore({ now }), () => undefined))
storeContract("faulty memory that never fails", async () => faulty(memoryStore({ now }), () => undefined))
storeContract("retrying S3 in a storm", async () => {
  const fake = await fakeS3({ now, pageSize: 3 })
  after(() => fake.close())
  const fails = firstTwo()
  fake.fail = ({ method, key, query }) =>
    fails(`${method} ${key} ${query.toString()}`) ? { kind: "status", status: 503, code: "SlowDown" } : null
  const { endpoint, bucket } = fake
  return patient(
    s3Store({ bucket, prefix: "p", endpoint, credentials: { accessKeyId: "i", secretAccessKey: "s" } }),
    long,
  ).store
})

test("retrying: waits as told, then gives up with the fault", async () => {
  const { store, slept } = patient(
    faulty(memoryStore({ now }), () => {
      throw down()
    }),
    [1, 20, 300],
  )
  await assert.rejects(store.stat("a", signal), { fault: "unavailable" })
  assert.deepEqual(slept, [1, 20, 300])
})

test("retrying: nothing but unavailable is tried again", async () => {
  for (const error of [new BackupError("refused", "no"), new BackupError("tampered", "no"), new TypeError("defect")]) {
    const { store, slept } = patient(
      faulty(memoryStore({ now }), () => {
        throw error
      }),
      [1],
    )
    await assert.rejects(store.stat("a", signal), error)
    await assert.rejects(namesOf(store, ""), error)
    assert.deepEqual(slept, [])
  }
})

test("retrying: each call outlasts failures before and after it took effect", async () => {
  const inner = memoryStore({ now })
  const fails = firstTwo()
  const failing = faulty(inner, ({ when, method }) => {
    if (fails(`${when} ${method}`)) throw down()
  })
  const { store } = patient(failing, [1, 1, 1, 1])
  await put(store, "a", "x")
  assert.equal((await get(inner, "a")).toString(), "x")
  assert.equal((await store.stat("a", signal))?.size, 1)
  assert.deepEqual(await namesOf(store, ""), ["a"])
})

/** Loses the answer of the first create. */
function losing(inner: Store): Store {
  let lost = false
  return faulty(inner, ({ when, method }) => {
    if (when !== "after" || method !== "create" || lost) return
    lost = true
    throw down()
  })
}

test("retrying: a conflict after a lost answer is success only if the object is one's own", async () => {
  const { store } = patient(losing(memoryStore({ now })), [1])
  assert.deepEqual(await put(store, "a", "mine"), { name: "a", size: 4, arrived: now() })

  for (const foreign of ["longer than mine", "Mine"]) {
    const other = memoryStore({ now })
    const unanswered = faulty(other, async ({ when, number }) => {
      if (when !== "before" || number !== 0) return
      await put(other, "a", foreign)
      throw down()
    })
    await assert.rejects(put(patient(unanswered, [1]).store, "a", "mine"), { fault: "conflict" }, foreign)
    assert.equal((await get(other, "a")).toString(), foreign)
  }
})

test("retrying: one who may not read the object goes by its length", async () => {
  const sealed = (inner: Store): Store =>
    faulty(losing(inner), ({ method }) => {
      if (method === "read") throw new BackupError("refused", "no right")
    })
  assert.equal((await put(patient(sealed(memoryStore({ now })), [1]).store, "a", "mine")).size, 4)
  const inner = memoryStore({ now })
  await put(inner, "a", "longer than mine")
  await assert.rejects(put(patient(sealed(inner), [1]).store, "a", "mine"), { fault: "conflict" })
})

test("retrying: a conflict at the first answer is one, whatever the length", async () => {
  const { store } = patient(memoryStore({ now }), [1])
  await put(store, "a", "body")
  await assert.rejects(put(store, "a", "same"), { fault: "conflict" })
})

test("retrying S3: a create whose answer was lost is found to be there", async () => {
  const fake = await fakeS3({ now })
  after(() => fake.close())
  let lost = 0
  fake.fail = ({ method }: FakeRequest) => (method === "PUT" && lost++ === 0 ? { kind: "lost-reply" } : null)
  const { endpoint, bucket } = fake
  const s3 = s3Store({ bucket, prefix: "p", endpoint, credentials: { accessKeyId: "i", secretAccessKey: "s" } })
  const { store, slept } = patient(s3, [1, 1])
  assert.equal((await put(store, "a", noise(70_000))).size, 70_000)
  assert.deepEqual(slept, [1])

  // While the list is stale nobody can know whose object it is, so nobody may say that it was stored.
  lost = 0
  fake.fail = ({ method, key }) => {
    if (method === "PUT" && lost++ === 0) return { kind: "lost-reply" }
    return key === "" ? { kind: "stale-list" } : null
  }
  await assert.rejects(put(store, "b", "x"), { fault: "conflict" })
})

test("retrying S3: a read goes on where the body was cut, a list where the page failed", async () => {
  const fake = await fakeS3({ now, pageSize: 2 })
  after(() => fake.close())
  const { endpoint, bucket } = fake
  const s3 = s3Store({ bucket, prefix: "p", endpoint, credentials: { accessKeyId: "i", secretAccessKey: "s" } })
  const { store, slept } = patient(s3, [1, 2])
  const body = noise(1_000_000)
  await put(store, "a", body)
  let cuts = 0
  fake.fail = ({ method, key }) =>
    method === "GET" && key !== "" && cuts++ < 4 ? { kind: "cut-body", after: 200_000 } : null
  assert.ok((await get(store, "a", { start: 1, end: 999_999 })).equals(body.subarray(1, 999_999)))
  assert.ok(slept.length >= 4)
  for (const name of ["b", "c", "d", "e"]) await put(store, name, name)
  let pages = 0
  fake.fail = () => (pages++ === 1 ? { kind: "cut-body", after: 60 } : null)
  assert.deepEqual(await namesOf(store, ""), ["a", "b", "c", "d", "e"])
})

test("faulty: every call has a point before and after it, and the rest goes through", async () => {
  const points: Point[] = []
  const inner = memoryStore({ now })
  const store = faulty(inner, (point) => void points.push(point))
  await put(store, "a", "x")
  await get(store, "a")
  await namesOf(store, "p")
  assert.deepEqual(
    points.map(({ when, method, name, number }) => `${number} ${when} ${method} ${name}`),
    ["0 before create a", "1 after create a", "2 before read a", "3 after read a", "4 before list p", "5 after list p"],
  )
})

test("faulty: a throw before a call keeps it from happening, one after it does not", async () => {
  for (const [number, there] of [
    [0, false],
    [1, true],
  ] as const) {
    const inner = memoryStore({ now })
    const store = faulty(inner, (point) => {
      if (point.number === number) throw down()
    })
    await assert.rejects(put(store, "a", "x"), { fault: "unavailable" })
    assert.equal((await inner.stat("a", signal)) !== null, there)
  }
})

test("observing: tells of each call and how it ended", async () => {
  const seen: Call[] = []
  const store = observing(memoryStore({ now }), (call) => void seen.push(call))
  await put(store, "a", "x")
  await assert.rejects(put(store, "a", "x"))
  await assert.rejects(get(store, "b"))
  await collect(store.list("", signal))
  await assert.rejects(store.create("c", [bytes("x")], sha256(bytes("y")), signal))
  assert.deepEqual(
    seen.map(({ method, name, outcome }) => `${method} ${name} ${outcome}`),
    ["create a done", "create a conflict", "read b not-found", "list  done", "create c tampered"],
  )
})
