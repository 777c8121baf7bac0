// What a function is deployed with: small, no native code, nothing that is looked for when it runs, the same bytes from the
// same sources.

import assert from "node:assert/strict"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { isBuiltin } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { bundle } from "./bundle.ts"

const MOST_BYTES = 10 * 1_048_576
const place = mkdtempSync(join(tmpdir(), "bundle-"))
after(() => {
  rmSync(place, { recursive: true })
})

test("a bundle is complete by itself, below 10 MiB in all, and made again it has the same bytes", async () => {
  const first = join(place, "first")
  const { inputs, outputs } = await bundle(first)
  const names = readdirSync(first).sort()
  for (const name of ["backup.mjs", "package.json", "worker.mjs"]) assert.ok(names.includes(name), name)
  assert.ok(names.every((name) => /\.mjs$|^package\.json$/.test(name)))
  assert.deepEqual(
    Object.keys(inputs).filter((name) => name.endsWith(".node")),
    [],
  )
  const found = Object.values(outputs).flatMap(({ imports }) => imports.map(({ path }) => path))
  assert.ok(found.length > 0)
  assert.deepEqual(
    found.filter((path) => !isBuiltin(path)),
    [],
  )
  const bytes = names.map((name) => readFileSync(join(first, name)))
  const resolved = bytes.flatMap((each) => [...each.toString().matchAll(/import\.meta\.resolve\(([^)]*)\)/g)])
  assert.deepEqual(
    resolved.map((match) => match[1]),
    ['"#worker"'],
  )
  assert.ok(bytes.reduce((sum, { length }) => sum + length, 0) < MOST_BYTES)
  const second = join(place, "second")
  await bundle(second)
  assert.deepEqual(readdirSync(second).sort(), names)
  for (const [i, name] of names.entries())
    assert.ok(readFileSync(join(second, name)).equals(bytes[i] ?? Buffer.alloc(0)))
})

test("without the files of recovery, the tools of restores and what people sign with", async () => {
  const { inputs } = await bundle(join(place, "third"))
  const own = Object.keys(inputs).filter((name) => name.startsWith("packages/"))
  assert.ok(own.length > 50)
  const packages = new Set(own.map((name) => name.split("/")[1]))
  for (const other of ["restore", "keyholder", "drill", "media", "cli"]) assert.ok(!packages.has(other), other)
})
