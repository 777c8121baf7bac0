// What every store promises, run against each of them and against wrapped ones.

import assert from "node:assert/strict"
import { test } from "node:test"
import { memoryStore, type Store } from "../src/index.ts"
import { bytes, collect, get, namesOf, noise, put, sha256, signal } from "./helpers.ts"

/**
 * @param open a store, empty or with other tests' objects in it; each test keeps below a prefix of its own
 * @param conditional false for a server that is known not to keep the first of two creates at one moment
 */
export function storeContract(label: string, open: () => Promise<Store>, conditional = true): void {
  void test(`${label}: what was created is read back, whole and in ranges`, async () => {
    const store = await open()
    const body = noise(3_000_001)
    const pieces = [body.subarray(0, 7), body.subarray(7, 7), body.subarray(7, 70_000), body.subarray(70_000)]
    const info = await store.create("read/a", pieces, sha256(body), signal)
    assert.deepEqual([info.name, info.size], ["read/a", body.length])
    assert.ok((await get(store, "read/a")).equals(body))
    const range = async (start?: number, end?: number): Promise<Buffer> =>
      await get(store, "read/a", { ...(start === undefined ? {} : { start }), ...(end === undefined ? {} : { end }) })
    assert.deepEqual(await range(0, 1), Buffer.from(body.subarray(0, 1)))
    assert.deepEqual(await range(65_535, 65_537), Buffer.from(body.subarray(65_535, 65_537)))
    assert.ok((await range(2_999_000)).equals(body.subarray(2_999_000)))
    assert.ok((await range(undefined, 1_500_000)).equals(body.subarray(0, 1_500_000)))
    assert.equal((await range(5, 5)).length, 0)
    assert.ok((await range(3_000_000, 4_000_000)).equals(body.subarray(3_000_000)))
    assert.equal((await range(3_000_001, 3_000_002)).length, 0)
    await assert.rejects(range(2, 1), { fault: "usage" })
  })

  void test(`${label}: a spool is stored as it is, and the same spool again under another name`, async () => {
    const store = await open()
    const body = noise(3_000_001)
    await using spool = await store.spool(signal)
    await spool.file.write(body)
    for (const name of ["spool/a", "spool/b"]) {
      const info = await store.create(name, spool, sha256(body), signal)
      assert.deepEqual([info.name, info.size], [name, body.length])
      assert.ok((await get(store, name)).equals(body))
      await assert.rejects(store.create(name, spool, sha256(body), signal), { fault: "conflict" })
    }
    assert.deepEqual(await namesOf(store, "spool/"), ["spool/a", "spool/b"])
  })

  void test(`${label}: a spool of another store is stored too`, async () => {
    const store = await open()
    await using spool = await memoryStore({ now: () => new Date(0) }).spool(signal)
    await spool.file.write("elsewhere")
    await store.create("spooled/a", spool, sha256(bytes("elsewhere")), signal)
    assert.equal((await get(store, "spooled/a")).toString(), "elsewhere")
  })

  void test(`${label}: an empty body is an object`, async () => {
    const store = await open()
    await put(store, "empty/a", "")
    assert.equal((await store.stat("empty/a", signal))?.size, 0)
    assert.equal((await get(store, "empty/a")).length, 0)
    assert.equal((await get(store, "empty/a", { start: 0, end: 10 })).length, 0)
  })

  void test(`${label}: an absent object is null in stat, not-found in read, nothing in lists`, async () => {
    const store = await open()
    await put(store, "absent/file", "x")
    for (const name of ["absent/none", "absent/fil", "absent/file/below", "absent"]) {
      assert.equal(await store.stat(name, signal), null, name)
      assert.deepEqual(await store.versions(name, signal), [], name)
      await assert.rejects(get(store, name), { fault: "not-found" }, name)
      await assert.rejects(get(store, name, { start: 3, end: 3 }), { fault: "not-found" }, name)
    }
    assert.deepEqual(await namesOf(store, "absent/none"), [])
  })

  void test(`${label}: a second create of a name is a conflict and changes nothing`, async () => {
    const store = await open()
    await put(store, "twice/a", "first")
    await assert.rejects(put(store, "twice/a", "other!"), { fault: "conflict" })
    await assert.rejects(put(store, "twice/a", "first"), { fault: "conflict" })
    assert.equal((await get(store, "twice/a")).toString(), "first")
    assert.deepEqual(await namesOf(store, "twice/"), ["twice/a"])
  })

  if (conditional) {
    void test(`${label}: of many creates of one name at once, one wins`, async () => {
      const store = await open()
      const bodies = Array.from({ length: 8 }, (_, i) => `body ${i}`)
      const settled = await Promise.allSettled(bodies.map(async (body) => await put(store, "race/a", body)))
      const winners = bodies.filter((_, i) => settled[i]?.status === "fulfilled")
      assert.equal(winners.length, 1)
      for (const each of settled) {
        // S3 may also answer a lost race with "try again", which the retrying wrapper then finds to be a conflict.
        if (each.status === "rejected")
          assert.match((each.reason as { fault: string }).fault, /^(conflict|unavailable)$/)
      }
      assert.equal((await get(store, "race/a")).toString(), winners[0])
    })
  }

  void test(`${label}: objects created at once below new folders are all there`, async () => {
    const store = await open()
    const names = Array.from({ length: 20 }, (_, i) => `many/${i % 2}/${i % 4}/${String(i).padStart(2, "0")}`)
    await Promise.all(names.map(async (name) => await put(store, name, name)))
    assert.deepEqual(await namesOf(store, "many/"), names.sort())
  })

  void test(`${label}: lists are in order of the names' bytes, by any prefix`, async () => {
    const store = await open()
    // "-" and "." sort before "/", "0" after it; U+FFFD before U+1F600 in UTF-8 though not in UTF-16.
    const names = ["a-b", "a.b", "a/b", "a/c/d", "a/c/e", "a/c0", "a0", "b b+&=%2F<é>", "\ufffd", "\u{1f600}"]
    for (const name of [...names].reverse()) await put(store, `list/${name}`, name)
    const all = names.map((name) => `list/${name}`)
    assert.deepEqual(await namesOf(store, "list/"), all)
    assert.deepEqual(await namesOf(store, "list"), all)
    assert.deepEqual(await namesOf(store, "list/a"), all.slice(0, 7))
    assert.deepEqual(await namesOf(store, "list/a/"), all.slice(2, 6))
    assert.deepEqual(await namesOf(store, "list/a/c"), all.slice(3, 6))
    assert.deepEqual(await namesOf(store, "list/a/c/"), all.slice(3, 5))
    assert.deepEqual(await namesOf(store, "list/a/b"), ["list/a/b"])
    assert.deepEqual(await namesOf(store, "list/a/b/"), [])
    const later = (await collect(store.list("list/a", signal, { after: "list/a/c/d" }))).map(({ name }) => name)
    assert.deepEqual(later.slice(-3), all.slice(4, 7))
    for (const name of names) assert.equal((await get(store, `list/${name}`)).toString(), name)
    const listed = (await collect(store.list("list/a/c/d", signal)))[0]
    assert.deepEqual(listed, await store.stat("list/a/c/d", signal))
  })

  void test(`${label}: the version that stands is listed and read by its name`, async () => {
    const store = await open()
    await put(store, "versions/a", "first")
    await put(store, "versions/a-longer", "other")
    const found = await store.versions("versions/a", signal)
    assert.deepEqual(
      found.map(({ name, size, deleted }) => [name, size, deleted]),
      [["versions/a", 5, false]],
    )
    assert.equal((await get(store, "versions/a", { version: found[0]?.version ?? "?" })).toString(), "first")
  })

  void test(`${label}: what is removed is absent, and its name free; removing nothing is no error`, async () => {
    const store = await open()
    await put(store, "remove/a", "x")
    await put(store, "remove/ab", "y")
    await store.remove("remove/a", signal)
    assert.equal(await store.stat("remove/a", signal), null)
    await store.remove("remove/a", signal)
    await store.remove("remove/none/at/all", signal)
    assert.deepEqual(await namesOf(store, "remove/"), ["remove/ab"])
    await put(store, "remove/a", "again")
    assert.equal((await get(store, "remove/a")).toString(), "again")
  })

  void test(`${label}: names that leave the archive or fit no store are refused before anything happens`, async () => {
    const store = await open()
    const bad = [
      "",
      "/a",
      "a/",
      "a//b",
      "..",
      "a/../b",
      "./a",
      "a/.",
      ".incoming/x",
      "a\nb",
      "a\u0000b",
      "\ud800",
      "x".repeat(256),
    ]
    for (const name of bad) {
      await assert.rejects(put(store, name, "x"), { fault: "usage" }, name)
      await assert.rejects(store.stat(name, signal), { fault: "usage" }, name)
      await assert.rejects(get(store, name), { fault: "usage" }, name)
      await assert.rejects(store.remove(name, signal), { fault: "usage" }, name)
    }
    await assert.rejects(store.create("bad/digest", [bytes("x")], "../../x", signal), { fault: "usage" })
  })

  void test(`${label}: an aborted signal stops each call`, async () => {
    const store = await open()
    await put(store, "abort/a", "x")
    const reason = new Error("enough")
    const aborted = AbortSignal.abort(reason)
    await assert.rejects(store.stat("abort/a", aborted), reason)
    await assert.rejects(store.create("abort/b", [bytes("x")], sha256(bytes("x")), aborted), reason)
    await assert.rejects(collect(store.read("abort/a", aborted)), reason)
    await assert.rejects(collect(store.list("abort/", aborted)), reason)
    await assert.rejects(store.remove("abort/a", aborted), reason)
    assert.deepEqual(await namesOf(store, "abort/"), ["abort/a"])
  })

  void test(`${label}: a reader that stops early leaves the store usable`, async () => {
    const store = await open()
    await put(store, "early/a", noise(2_000_000))
    for await (const piece of store.read("early/a", signal)) {
      assert.ok(piece.length > 0)
      break
    }
    assert.equal((await get(store, "early/a")).length, 2_000_000)
  })

  void test(`${label}: a probe finds what creates can promise and leaves nothing listed`, async () => {
    const store = await open()
    const found = await store.probe(signal)
    assert.equal(found.conditionalCreate, conditional)
    assert.deepEqual(await namesOf(store, "probe/"), [])
    assert.deepEqual((await store.probe(signal)).conditionalCreate, conditional)
  })
}
