import assert from "node:assert/strict"
import test from "node:test"
import { names } from "@backup-cloud/format"
import { memoryStore } from "@backup-cloud/store"
import { knownErasures, memoryInMemory, readErasures, verifyArchive } from "../src/index.ts"
import { bytesOf, digest, hourly, makeArchive, signal, type TestArchive } from "./archive.ts"

/** An archive with records 1 to 3, and a home that has seen them. What is sealed in them nobody looks at here. */
async function withThree() {
  const archive = await makeArchive(memoryStore({ now: hourly() }))
  for (const number of [1, 2, 3]) await record(archive, number)
  const home = memoryInMemory()
  await archive.load({ home })
  const known = async () => await knownErasures(await archive.load({ home }), archive.store, home, signal)
  assert.equal((await known()).length, 3)
  return { archive, home, known }
}

async function record(archive: TestArchive, number: number, by = archive.admin): Promise<void> {
  const sealed = bytesOf(`sealed record ${number}`)
  const name = names.erasure(number)
  await archive.store.create(name, [sealed], digest(sealed), signal)
  const signature = await by.signer.detached(sealed, signal)
  await archive.store.create(`${name}.sig`, [signature], digest(signature), signal)
}

async function problemsOf({ archive, home }: Awaited<ReturnType<typeof withThree>>) {
  const options = { quick: false, memory: home, onEvent: () => undefined, signal, width: 1 }
  const { problems } = await verifyArchive({ ...options, trust: await archive.load(), reader: archive.store })
  return problems.map(({ fault, object }) => `${fault} ${object}`)
}

test("an archive without records has none", async () => {
  const archive = await makeArchive(memoryStore({ now: hourly() }))
  const home = memoryInMemory()
  assert.deepEqual(await knownErasures(await archive.load({ home }), archive.store, home, signal), [])
  assert.equal((await home.read())?.erasures, undefined)
})

test("records count from 1 up, and the highest is remembered", async () => {
  const world = await withThree()
  const last = (await world.known()).at(-1)
  assert.deepEqual((await world.home.read())?.erasures, { number: 3, sha256: last?.sha256 })
  assert.deepEqual(await problemsOf(world), [])
  await record(world.archive, 4)
  assert.equal((await world.known()).length, 4)
  assert.equal((await world.home.read())?.erasures?.number, 4)
})

test("fewer than were seen, or another one, is an alarm that does not fall silent; who has seen none takes it", async () => {
  for (const change of ["remove", "replace"] as const) {
    const world = await withThree()
    const { archive } = world
    await archive.store.remove(names.erasure(3), signal)
    await archive.store.remove(`${names.erasure(3)}.sig`, signal)
    if (change === "replace") {
      const other = bytesOf("another record")
      await archive.replace(names.erasure(3), other)
      await archive.replace(`${names.erasure(3)}.sig`, await archive.admin.signer.detached(other, signal))
    }
    for (let i = 0; i < 2; i++) await assert.rejects(world.known(), { fault: "alarm", message: /000003/ })
    assert.deepEqual(await problemsOf(world), [`alarm ${names.erasure(3)}`])
    const fresh = memoryInMemory()
    const all = await knownErasures(await archive.load({ home: fresh }), archive.store, fresh, signal)
    assert.equal(all.length, change === "replace" ? 3 : 2)
  }
})

test("a record that is missing, changed, or signed by another does not count, and neither do those after it", async () => {
  const changes: [string, (archive: TestArchive) => Promise<void>, string][] = [
    [
      "missing",
      async ({ store }) => {
        await store.remove(names.erasure(2), signal)
      },
      "tampered",
    ],
    [
      "changed",
      async (archive) => {
        await archive.replace(names.erasure(2), bytesOf("other"))
      },
      "tampered",
    ],
    [
      "unsigned",
      async ({ store }) => {
        await store.remove(`${names.erasure(2)}.sig`, signal)
      },
      "refused",
    ],
    [
      "both gone",
      async ({ store }) => {
        await store.remove(names.erasure(2), signal)
        await store.remove(`${names.erasure(2)}.sig`, signal)
      },
      "tampered",
    ],
    [
      "by another",
      async (archive) => {
        const signature = await archive.operator.signer.detached(await archive.read(names.erasure(2)), signal)
        await archive.replace(`${names.erasure(2)}.sig`, signature)
      },
      "tampered",
    ],
  ]
  for (const [label, change, fault] of changes) {
    const { archive } = await withThree()
    await change(archive)
    const home = memoryInMemory()
    const trust = await archive.load({ home })
    await assert.rejects(knownErasures(trust, archive.store, home, signal), { fault, message: /000002/ }, label)
    assert.equal((await readErasures(trust, archive.store, signal)).records.length, 1, label)
  }
})

test("one that was recorded by half keeps what is restored from being restored, and is known as that", async () => {
  const { archive, home, known } = await withThree()
  const begun = bytesOf("begun")
  await archive.store.create(names.erasure(4), [begun], digest(begun), signal)
  await assert.rejects(known(), { fault: "refused", message: /000004.*signature/ })
  const found = await readErasures(await archive.load(), archive.store, signal)
  assert.equal(found.records.length, 3)
  assert.deepEqual(found.unfinished, Buffer.from(begun))
  // The signature taken from one that was seen is no interruption.
  const signature = await archive.admin.signer.detached(begun, signal)
  await archive.store.create(`${names.erasure(4)}.sig`, [signature], digest(signature), signal)
  assert.equal((await known()).length, 4)
  await archive.store.remove(`${names.erasure(4)}.sig`, signal)
  await assert.rejects(known(), { fault: "alarm" })
  assert.equal((await home.read())?.erasures?.number, 4)
})
