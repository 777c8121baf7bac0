// The page for key holders: every fenced `sh` block is run here, in order, as one shell would run them, with real gpg.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { derivedPassphrase, encodeRunKey, releaseCodec, requestCodec } from "@backup-cloud/format"
import { type Doors, openDoors } from "./doors.ts"
import {
  archive,
  first,
  type Good,
  keyOf,
  makeEvidence,
  makeGood,
  makePolicy,
  makeReceipt,
  makeRequest,
  makeTrust,
  makeWorld,
  plain,
  sealKey,
  second,
  send,
  type World,
} from "./fixture.ts"
import { openGpg } from "./gpg.ts"

const page = readFileSync(new URL("../../../docs/key-holders.md", import.meta.url), "utf8")
const [once = "", byHand = ""] = page.split("## By hand")
const blocks = (text: string): string[] => [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1] ?? "")

let world: World
let good: Good
let doors: Doors
const signal = new AbortController().signal
before(() => {
  world = makeWorld()
  good = makeGood(world)
  doors = openDoors(world.gpg.home)
})
after(async () => {
  await doors.close()
  world.gpg.close()
})

/** Runs blocks of the page in an empty folder; the folder is gone when `look` has returned. */
function inFolder<T>(
  script: readonly string[],
  options: { home: string; env?: Record<string, string>; request?: Uint8Array; shell?: string },
  look: (done: { status: number | null; stdout: string; stderr: string; read: (file: string) => Buffer }) => T,
): T {
  const folder = mkdtempSync(join(tmpdir(), "kh-page-"))
  try {
    if (options.request !== undefined) writeFileSync(join(folder, "request.gpg"), options.request)
    const done = spawnSync(options.shell ?? "sh", ["-eu", "-c", script.join("\n")], {
      cwd: folder,
      env: { PATH: process.env["PATH"] ?? "", GNUPGHOME: options.home, ...options.env },
      encoding: "utf8",
    })
    return look({ ...done, read: (file) => readFileSync(join(folder, file)) })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const release = (request: Uint8Array, shell = "sh") =>
  inFolder(
    blocks(byHand).map((block, i) => `echo "== step ${i + 1}" >&2\n${block}`),
    {
      home: world.gpg.home,
      request,
      shell,
      env: { ADMIN: world.who.admin.fingerprint, ME: world.who.anna.fingerprint, TODAY: "2026-11-24T12:00:00Z" },
    },
    ({ status, stdout, stderr, read }) => ({
      status,
      stdout,
      stderr,
      message: status === 0 ? read("release.gpg") : null,
      release: status === 0 ? world.gpg.run(["--decrypt"], read("release.gpg")) : null,
    }),
  )

test("the page has the commands this test is about", () => {
  assert.equal(blocks(once).length, 4)
  assert.equal(blocks(byHand).length, 8)
})

test("making and keeping a key works as the page says", () => {
  const own = openGpg()
  try {
    inFolder(blocks(once), { home: own.home }, ({ status, stdout, stderr, read }) => {
      assert.equal(status, 0, stderr)
      assert.match(stdout, /it works/)
      assert.match(read("anna.asc").toString(), /BEGIN PGP PUBLIC KEY BLOCK/)
      assert.match(stdout, /Anna Example \(backup key\)/)
    })
  } finally {
    own.close()
  }
})

for (const shell of ["sh", "bash"])
  test(`a release made by hand (${shell}) is what the program would release, and its tools accept it`, async () => {
    const done = release(send(world, makeRequest(world, good)), shell)
    assert.equal(done.status, 0, done.stderr)
    const document = releaseCodec.decode(done.release ?? new Uint8Array(), "release")
    assert.equal(document.operator, world.who.olga.fingerprint)
    assert.equal(document.holder, world.who.anna.fingerprint)
    const inner = await doors.holder("").opener.unwrap(done.message ?? new Uint8Array(), "release", signal)
    const verified = await doors.verifier.message(inner, world.who.anna, "release", signal)
    assert.deepEqual(releaseCodec.decode(verified, "release"), document)
    const one = "catalogue-00000001.tar.zst.gpg"
    const two = "volume-00000002.tar.zst.gpg"
    assert.deepEqual(document.secrets, [
      `${first} ${one} ${derivedPassphrase(keyOf(first), first, one)}`,
      `${first} ${two} ${derivedPassphrase(keyOf(first), first, two)}`,
      `${second} key.gpg ${keyOf(second)}`,
    ])
    assert.ok(!done.stdout.includes(keyOf(second)) && !done.stderr.includes(keyOf(second)))
  })

test("single objects are released by hand without the run key", () => {
  const request = makeRequest(world, good, {
    kind: "catalogue",
    wants: [{ run: second, root: 1, volumes: "", catalogues: "1" }],
  })
  const done = release(send(world, request))
  assert.equal(done.status, 0, done.stderr)
  const document = releaseCodec.decode(done.release ?? new Uint8Array(), "release")
  assert.deepEqual(
    document.secrets,
    ["catalogue-00000001.tar.zst.gpg", "root-0001.gpg"].map(
      (name) => `${second} ${name} ${derivedPassphrase(keyOf(second), second, name)}`,
    ),
  )
})

test("by hand, too, what is wrong stops", async (t) => {
  const request = makeRequest(world, good)
  const swapped = sealKey(world, second, encodeRunKey({ archive, source: "files", run: first, key: keyOf(first) }))
  const mail = sealKey(world, second, Buffer.from("Dear Anna,\nkey: nothing\n"))
  const withKey = (key: Buffer) => ({
    ...request,
    evidence: [plain(good.firstEvidence), plain(makeEvidence(world, key, [makeReceipt(world, second, key)]))],
  })
  const outside = Buffer.from(requestCodec.encode(request))
    .toString()
    .replace("config/public-keys/anna", "config/../../anna")
  const noRun = Buffer.from(requestCodec.encode(request))
    .toString()
    .replace(`"run": "${first}",\n      "key"`, `"run": "../../x",\n      "key"`)
  const cases: [string, number, Uint8Array][] = [
    ["a name that leaves the folder", 2, world.gpg.signed(world.who.olga, Buffer.from(outside))],
    ["a run that leaves the folder", 5, world.gpg.signed(world.who.olga, Buffer.from(noRun))],
    ["signed by a stranger", 3, send(world, request, "stranger")],
    ["of a retired operator", 3, send(world, { ...request, operator: world.who.otto.fingerprint }, "otto")],
    ["expired", 4, send(world, { ...request, expires: "2026-11-24T11:30:00Z" })],
    ["key of another run", 7, send(world, withKey(swapped))],
    ["a private mail", 7, send(world, withKey(mail))],
    [
      "receipts by a stranger",
      5,
      send(world, {
        ...request,
        evidence: [
          plain(good.firstEvidence),
          plain(makeEvidence(world, good.secondKey, [good.secondReceipt], "stranger")),
        ],
      }),
    ],
    [
      "key.gpg not the receipt's",
      5,
      send(world, {
        ...request,
        evidence: [plain(good.firstEvidence), { ...plain(good.secondEvidence), key: mail.toString("base64") }],
      }),
    ],
    [
      "an object no receipt names",
      6,
      send(world, { ...request, wants: [{ run: first, root: 0, volumes: "3", catalogues: "" }] }),
    ],
    [
      "policy by a stranger",
      2,
      send(world, {
        ...request,
        trust: makeTrust({ ...world, who: { ...world.who, admin: world.who.stranger } }, [makePolicy(world)]),
      }),
    ],
  ]
  for (const [label, step, message] of cases)
    await t.test(label, () => {
      const done = release(message)
      assert.notEqual(done.status, 0, done.stdout)
      assert.equal([...done.stderr.matchAll(/^== step (\d)$/gm)].at(-1)?.[1], String(step), done.stderr)
      assert.equal(done.release, null)
    })
  await t.test("and the same, mended, goes out", () => {
    assert.equal(release(send(world, withKey(good.secondKey))).status, 0)
  })
})
