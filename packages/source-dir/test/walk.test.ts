import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { test } from "node:test"
import { globs, isSafePath, pathKey, statFields, timeField } from "@backup-cloud/format"
import fc from "fast-check"
import type { Row } from "../src/rows.ts"
import { walk } from "../src/walk.ts"
import { temporary } from "./list.ts"

const all = { globs: globs([], []), oneFileSystem: false }

// Bytes around `/` (2f) and at the ends of the range, so that siblings like `a` and `a-b` meet often.
const name = fc
  .array(fc.constantFrom("\x01", "\n", " ", "-", ".", "0", "a", "b", "\x7f", "\x80", "\xff"), {
    minLength: 1,
    maxLength: 3,
  })
  .map((parts) => parts.join(""))
  .filter((each) => each !== "." && each !== "..")
const paths = fc.uniqueArray(
  fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/")),
  {
    minLength: 1,
    maxLength: 40,
  },
)

function compare(a: string, b: string): number {
  const key = (path: string): Buffer => Buffer.from(path.replaceAll("/", "\0"), "latin1")
  return Buffer.compare(key(a), key(b))
}

test("any tree is listed whole, and sorted by path with / as byte 0", (t) => {
  const dir = temporary(t)
  let run = 0
  fc.assert(
    fc.property(paths, (wanted) => {
      const root = `${dir}/${run++}`
      fs.mkdirSync(root)
      const made = new Set<string>()
      for (const path of wanted) {
        fs.mkdirSync(Buffer.from(`${root}/${path}`, "latin1"), { recursive: true })
        const parts = path.split("/")
        for (let i = 1; i <= parts.length; i++) made.add(parts.slice(0, i).join("/"))
      }
      const rows = [...walk({ root, ...all })].map((row) => row.path)
      assert.deepEqual(rows, [".", ...[...made].sort(compare)])
      for (const [i, path] of rows.entries()) {
        assert.ok(isSafePath(path))
        if (i > 0) assert.ok(pathKey(rows[i - 1] ?? "") < pathKey(path), "the catalogue's own order agrees")
      }
    }),
    { numRuns: 100 },
  )
})

test("times before 1970 round down, and digits add", () => {
  assert.equal(timeField(0n), "0.000000000")
  assert.equal(timeField(1n), "0.000000001")
  assert.equal(timeField(-1n), "-1.999999999")
  assert.equal(timeField(-1_000_000_000n), "-1.000000000")
  assert.equal(timeField(-500_000_000n), "-1.500000000")
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (nanoseconds) => {
      const [seconds = "", digits = ""] = timeField(nanoseconds).split(".")
      assert.equal(digits.length, 9)
      assert.equal(BigInt(seconds) * 1_000_000_000n + BigInt(digits), nanoseconds)
    }),
  )
})

test("stat fields are what the file was given", (t) => {
  const file = `${temporary(t)}/file`
  fs.writeFileSync(file, "12345")
  fs.chownSync(file, 4_294_967_290, 7)
  fs.chmodSync(file, 0o4751)
  execFileSync("touch", ["-m", "-d", "1969-12-31 23:59:58.500000000 UTC", file])
  const fields = statFields(fs.lstatSync(file, { bigint: true }))
  assert.deepEqual(
    { ...fields, ctime: "", ino: "" },
    { mode: 0o4751, uid: 4_294_967_290, gid: 7, mtime: "-2.500000000", size: 5, ctime: "", ino: "" },
  )
  assert.equal(fields.ino, String(fs.statSync(file, { bigint: true }).ino))
  assert.match(fields.ctime, /^[1-9][0-9]+\.[0-9]{9}$/)
})

/** Rows of a walk during which `meanwhile` runs, after the row of `path`. */
function interrupted(root: string, path: string, meanwhile: () => void): Row[] {
  const rows: Row[] = []
  for (const row of walk({ root, ...all })) {
    rows.push(row)
    if (row.path === path) meanwhile()
  }
  return rows
}

test("what vanishes during the walk is left out, and the walk goes on", (t) => {
  const root = `${temporary(t)}/root`
  fs.mkdirSync(`${root}/a/gone`, { recursive: true })
  for (const path of ["a/file", "b", "c"]) fs.writeFileSync(`${root}/${path}`, "")
  const paths = interrupted(root, "a", () => {
    fs.rmSync(`${root}/a`, { recursive: true })
    fs.rmSync(`${root}/b`)
  }).map((row) => row.path)
  assert.deepEqual(paths, [".", "a", "c"])
})

test("a directory that becomes a link during the walk is not followed", (t) => {
  const dir = temporary(t)
  fs.mkdirSync(`${dir}/root/b`, { recursive: true })
  fs.mkdirSync(`${dir}/elsewhere`)
  fs.writeFileSync(`${dir}/elsewhere/secret`, "")
  fs.writeFileSync(`${dir}/root/b/file`, "")
  fs.writeFileSync(`${dir}/root/a`, "")
  const rows = interrupted(`${dir}/root`, "a", () => {
    fs.rmSync(`${dir}/root/b`, { recursive: true })
    fs.symlinkSync("../elsewhere", `${dir}/root/b`)
  })
  assert.deepEqual(
    rows.map((row) => `${row.type} ${row.path}`),
    ["d .", "f a", "l b"],
  )
})

test("a name made during the walk for an inode that was used before is no hard link", (t) => {
  const root = `${temporary(t)}/root`
  fs.mkdirSync(root)
  fs.writeFileSync(`${root}/a`, "old")
  fs.linkSync(`${root}/a`, `${root}/b`)
  fs.writeFileSync(`${root}/y`, "")
  fs.writeFileSync(`${root}/z`, "")
  assert.deepEqual(
    [...walk({ root, ...all })].map((row) => `${row.type} ${row.path} ${row.link}`),
    ["d . null", "f a null", "h b a", "f y null", "f z null"],
  )
  const { ino } = fs.lstatSync(`${root}/a`)
  const taken = { again: false }
  const rows = interrupted(root, "a", () => {
    fs.rmSync(`${root}/a`)
    fs.rmSync(`${root}/b`)
    // The file system gives the number out again sooner or later; ext4 does so at once.
    for (let i = 0; i < 1000 && !taken.again; i++) {
      fs.writeFileSync(`${root}/new-${i}`, "new")
      taken.again = fs.lstatSync(`${root}/new-${i}`).ino === ino
      if (!taken.again) continue
      fs.renameSync(`${root}/new-${i}`, `${root}/y`)
      fs.rmSync(`${root}/z`)
      fs.linkSync(`${root}/y`, `${root}/z`)
    }
  })
  const wanted = taken.again
    ? ["d . null", "f a null", "f y null", "h z y"]
    : ["d . null", "f a null", "f y null", "f z null"]
  assert.deepEqual(
    rows.map((row) => `${row.type} ${row.path} ${row.link}`),
    wanted,
  )
})
