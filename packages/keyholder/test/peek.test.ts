import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { after, before, test } from "node:test"
import type { Certificate } from "@backup-cloud/openpgp"
import { peek } from "../src/peek.ts"
import { type Gpg, openGpg } from "./gpg.ts"

let gpg: Gpg
let key: Certificate
before(() => {
  gpg = openGpg()
  key = gpg.key("olga")
})
after(() => {
  gpg.close()
})

const sizes = [0, 1, 191, 192, 8383, 8384, 65_535, 65_536, 1_000_003]

for (const [label, extra] of [
  ["binary", []],
  ["armoured", ["--armor"]],
] as const)
  test(`shows what gpg signed: ${label}`, () => {
    for (const size of sizes) {
      const bytes = randomBytes(size)
      assert.deepEqual(Buffer.from(peek(gpg.signed(key, bytes, extra), "m")), bytes, `${size} bytes`)
    }
  })

test("what is no signed message is refused, whole or cut off anywhere", () => {
  const good = gpg.signed(key, Buffer.from("hello"))
  const bad: [string, Uint8Array][] = [
    ["nothing", new Uint8Array()],
    ["text", Buffer.from("hello\n")],
    ["encrypted", gpg.seal([key], Buffer.from("hello"))],
    ["a detached signature", gpg.detached(key, Buffer.from("hello"))],
    ["a certificate", key.bytes],
    ["compressed", gpg.signed(key, Buffer.from("hello"), ["--compress-algo", "zip"])],
    ["two messages", Buffer.concat([good, good])],
    ["bytes after it", Buffer.concat([good, Buffer.from("x")])],
    ["an armoured head only", Buffer.from("-----BEGIN PGP MESSAGE-----\n\nabc\n")],
  ]
  for (const [label, bytes] of bad) assert.throws(() => peek(bytes, "m"), { fault: "refused" }, label)
  for (let cut = 0; cut < good.length; cut++)
    assert.throws(() => peek(good.subarray(0, cut), "m"), { fault: "refused" }, `cut at ${cut}`)
  assert.equal(Buffer.from(peek(good, "m")).toString(), "hello")
})
