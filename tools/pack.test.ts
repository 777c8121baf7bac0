// Each package must work from its tarball alone: unpacked into an empty directory with the packages it declares, and
// theirs, and nothing else. What a package uses without declaring it, or does not pack, is missing there.

import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { join } from "node:path"
import { after, before, describe, test } from "node:test"
import { bin, closure, env, manifests, type Packed, pack, root } from "./packed.ts"

let build = ""
let packed: Packed

before(() => {
  build = spawnSync(join(bin, "tsc"), ["--build"], { cwd: root, env, encoding: "utf8" }).stdout
  packed = pack()
})

after(() => {
  packed.remove()
})

/** Imports every public module of a package's manifest, finds every other file; returns what went wrong, or "". */
function importAll(folder: string, name: string): string {
  const specifiers = Object.entries(manifests.get(name)?.exports ?? {}).map(([each, target]) => [
    join(name, each),
    typeof target === "object",
  ])
  assert.ok(specifiers.length > 0)
  const script = `for (const [each, isModule] of ${JSON.stringify(specifiers)}) {
    if (!isModule) (await import("node:fs")).readFileSync(new URL(import.meta.resolve(each)))
    else if (Object.keys(await import(each)).length === 0) throw new Error(each + " exports nothing")
  }`
  const result = spawnSync(join(bin, "node"), ["--input-type=module", "-e", script], {
    cwd: folder,
    env: { PATH: env.PATH },
    encoding: "utf8",
  })
  return result.status === 0 ? "" : result.stderr
}

test("every package was built and packed", () => {
  assert.equal(build, "")
  assert.deepEqual([...packed.tarballs.keys()].sort(), [...manifests.keys()].sort())
})

describe("from its tarball, with what it declares", () => {
  for (const name of manifests.keys()) {
    test(`${name} is imported`, () => {
      const { own, foreign } = closure(name)
      assert.equal(importAll(packed.unpack(`alone-${name.replace("/", "-")}`, own, foreign), name), "")
    })
  }
})

test("the command starts from its tarball", () => {
  const { own, foreign } = closure("@backup-cloud/cli")
  const folder = packed.unpack("command", own, foreign)
  const program = join(
    folder,
    "node_modules/@backup-cloud/cli",
    manifests.get("@backup-cloud/cli")?.bin?.["backup-cloud"] ?? "",
  )
  const result = spawnSync(join(bin, "node"), [program, "--version"], { env: { PATH: env.PATH }, encoding: "utf8" })
  assert.equal(result.status, 0, result.stderr)
  assert.match(result.stdout, /0\.1\.0/)
})

test("without a package it declares it is not", () => {
  const { own, foreign } = closure("@backup-cloud/trust")
  const less = own.filter((name) => name !== "@backup-cloud/format")
  assert.match(importAll(packed.unpack("less", less, foreign), "@backup-cloud/trust"), /ERR_MODULE_NOT_FOUND/)
})

test("a tarball holds what its manifest exports, and no tests", () => {
  for (const [name, file] of packed.tarballs) {
    const list = execFileSync("tar", ["-tzf", file], { encoding: "utf8" }).trimEnd().split("\n")
    for (const target of Object.values(manifests.get(name)?.exports ?? {})) {
      const files = typeof target === "string" ? [target] : Object.values(target)
      for (const each of files) assert.ok(list.includes(join("package", each)), `${name}: ${each} is not packed`)
    }
    assert.deepEqual(
      list.filter((path) => /\/test\/|\.test\.|tsbuildinfo/.test(path)),
      [],
      name,
    )
  }
})

test("a key holder gets no code that backs up or restores, and a source none that opens run keys", () => {
  const of = (name: string): string[] => closure(`@backup-cloud/${name}`).own
  for (const name of ["backup", "restore", "cli", "source-dir"])
    assert.ok(!of("keyholder").includes(`@backup-cloud/${name}`), name)
  for (const name of ["backup", "source-dir"]) assert.ok(!of(name).includes("@backup-cloud/keyholder"), name)
  assert.ok(of("cli").includes("@backup-cloud/keyholder"))
})
