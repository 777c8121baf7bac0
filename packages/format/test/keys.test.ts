import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { createHmac } from "node:crypto"
import { describe, test } from "node:test"
import fc from "fast-check"
import {
  checkValue,
  chunkKey,
  cutTable,
  decodeRunKey,
  derivedPassphrase,
  encodeRunKey,
  names,
  statePassphrase,
} from "../src/index.ts"
import { archive, bytes, digest, run, source, text } from "./samples.ts"

/** Runs a POSIX shell script; its values come on standard input, one a line. */
function sh(script: string, ...lines: string[]): string {
  const result = spawnSync("sh", ["-eu", "-c", script], { input: `${lines.join("\n")}\n`, encoding: "utf8" })
  assert.equal(result.status, 0, result.stderr)
  return result.stdout.trim()
}

const hex = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((b) => Buffer.from(b).toString("hex"))

test("the derived passphrase is what sha256sum computes", () => {
  const script = `
    IFS= read -r key; IFS= read -r run; IFS= read -r name
    sum() { sha256sum | cut -c 1-64; }
    inner=$(printf 'backup-cloud/1:%s:%s:%s' "$key" "$run" "$name" | sum)
    printf '%s:%s' "$key" "$inner" | sum`
  fc.assert(
    fc.property(hex, fc.integer({ min: 1, max: 262_144 }), (key, n) => {
      const name = names.volume(n)
      assert.equal(derivedPassphrase(key, run, name), sh(script, key, run, name))
    }),
    { numRuns: 20 },
  )
})

test("the check value is what sha256sum computes", () => {
  const script = `IFS= read -r key; printf 'backup-cloud/1:check:%s' "$key" | sha256sum | cut -c 1-64`
  assert.equal(checkValue(digest("K")), sh(script, digest("K")))
})

test("key, run and name each change the passphrase", () => {
  const all = ["a", "b"].flatMap((k) =>
    [run, run.replace("2026", "2027")].flatMap((r) =>
      ["root-0001.gpg", "root-0002.gpg"].map((n) => derivedPassphrase(digest(k), r, n)),
    ),
  )
  assert.equal(new Set(all).size, 8)
  for (const one of all) assert.match(one, /^[0-9a-f]{64}$/)
})

describe("what comes of a source's secret", () => {
  const secret = new Uint8Array(32).map((_, i) => i)
  /** RFC 5869 with HMAC alone: another way to the same bytes. */
  const expand = (info: string, length: number): Buffer => {
    const prk = createHmac("sha256", Buffer.alloc(32)).update(secret).digest()
    let out = Buffer.alloc(0)
    let block = Buffer.alloc(0)
    for (let i = 1; out.length < length; i++) {
      block = createHmac("sha256", prk).update(block).update(info).update(Uint8Array.of(i)).digest()
      out = Buffer.concat([out, block])
    }
    return out.subarray(0, length)
  }

  test("is HKDF-SHA-256 of it", () => {
    assert.deepEqual(Buffer.from(chunkKey(secret)), expand("backup-cloud/1:chunk", 32))
    assert.equal(
      statePassphrase(secret, run, "root-0001.gpg"),
      expand(`backup-cloud/1:state:${run}:root-0001.gpg`, 32).toString("hex"),
    )
    const table = expand("backup-cloud/1:cut", 1024)
    const numbers = cutTable(secret)
    assert.equal(numbers.length, 256)
    numbers.forEach((n, i) => {
      assert.equal(n, table.readUInt32LE(4 * i))
    })
  })
  test("needs 32 bytes", () => {
    for (const length of [0, 31, 33]) assert.throws(() => chunkKey(new Uint8Array(length)), RangeError)
  })
})

describe("the text of key.gpg", () => {
  const value = { archive, source, run, key: digest("K") }
  const good = text(encodeRunKey(value))
  test("is read back", () => {
    assert.deepEqual(decodeRunKey(bytes(good), "x"), value)
    assert.equal(
      good,
      `backup-cloud/1 run key\narchive: ${archive}\nsource: ${source}\nrun: ${run}\nkey: ${digest("K")}\n`,
    )
  })
  const cases: [string, string][] = [
    ["empty", ""],
    ["a private mail", "Dear Ada,\nsee you at noon.\n"],
    ["a share", good.replace("run key", "run key share")],
    ["other version", good.replace("/1", "/2")],
    ["CRLF", good.replaceAll("\n", "\r\n")],
    ["more after it", `${good}more\n`],
    ["more before it", `\n${good}`],
    ["no line end", good.slice(0, -1)],
    ["short key", good.replace(digest("K"), digest("K").slice(2))],
    ["upper-case key", good.replace(digest("K"), digest("K").toUpperCase())],
    ["other order", good.replace(/(archive: .*\n)(source: .*\n)/, "$2$1")],
    ["duplicate line", good.replace(/(source: .*\n)/, "$1$1")],
    ["bad source", good.replace("db-1", "DB")],
    ["bad archive", good.replace(archive, "0")],
    ["bad run", good.replace(run, "latest")],
  ]
  for (const [label, form] of cases) {
    test(`${label}: refused without a word of it`, () => {
      assert.notEqual(form, good)
      assert.throws(
        () => decodeRunKey(bytes(form), "a/key.gpg"),
        (error: Error & { fault?: string }) => {
          assert.equal(error.fault, "refused")
          assert.equal(error.message, "a/key.gpg: what it holds is not the text of a run key")
          assert.equal(error.cause, undefined)
          return true
        },
      )
    })
  }
})
