// Each package must work from its tarball alone: unpacked into an empty directory with the packages it declares, and
// theirs, and nothing else. What a package uses without declaring it, or does not pack, is missing there.

import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { after, before, describe, test } from "node:test"

const root = dirname(import.meta.dirname)
const bin = join(root, "node_modules", ".bin")
const env = { ...process.env, PATH: `${bin}:${process.env["PATH"] ?? ""}` }

interface Manifest {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly bin?: Readonly<Record<string, string>>
}

const { workspaces } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { workspaces: string[] }
const manifests = new Map(
  globSync(
    workspaces.map((each) => `${each}/package.json`),
    { cwd: root },
  )
    .map((path) => JSON.parse(readFileSync(join(root, path), "utf8")) as Manifest)
    .map((manifest) => [manifest.name, manifest]),
)

/** The workspace packages that `name` needs, itself included, and the others they declare. */
function closure(name: string): { own: string[]; foreign: string[] } {
  const own = new Set([name])
  const foreign = new Set<string>()
  for (const each of own)
    for (const dependency of Object.keys(manifests.get(each)?.dependencies ?? {}))
      (manifests.has(dependency) ? own : foreign).add(dependency)
  return { own: [...own], foreign: [...foreign] }
}

let scratch = ""
let build = ""
const tarballs = new Map<string, string>()

before(() => {
  scratch = mkdtempSync(join(tmpdir(), "pack-"))
  build = spawnSync(join(bin, "tsc"), ["--build"], { cwd: root, env, encoding: "utf8" }).stdout
  const args = ["pack", "--workspaces", "--ignore-scripts", "--json", "--pack-destination", scratch]
  const report = execFileSync("npm", args, { cwd: root, env, encoding: "utf8", stdio: "pipe" })
  const packed = JSON.parse(report) as
    | { name: string; filename: string }[]
    | Record<string, { name: string; filename: string }>
  for (const { name, filename } of Object.values(packed)) tarballs.set(name, join(scratch, filename))
})

after(() => {
  rmSync(scratch, { recursive: true, force: true })
})

/** A directory with these tarballs unpacked below `node_modules`, and links to the packages of others. */
function unpack(label: string, own: readonly string[], foreign: readonly string[]): string {
  const folder = join(scratch, label)
  for (const name of own) {
    const target = join(folder, "node_modules", name)
    mkdirSync(target, { recursive: true })
    execFileSync("tar", ["-xzf", tarballs.get(name) ?? "", "-C", target, "--strip-components=1"])
  }
  for (const name of foreign) {
    const target = join(folder, "node_modules", name)
    mkdirSync(dirname(target), { recursive: true })
    symlinkSync(join(root, "node_modules", name), target)
  }
  return folder
}

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
  assert.deepEqual([...tarballs.keys()].sort(), [...manifests.keys()].sort())
})

describe("from its tarball, with what it declares", () => {
  for (const name of manifests.keys()) {
    test(`${name} is imported`, () => {
      const { own, foreign } = closure(name)
      assert.equal(importAll(unpack(`alone-${name.replace("/", "-")}`, own, foreign), name), "")
    })
  }
})

test("the command starts from its tarball", () => {
  const { own, foreign } = closure("@backup-cloud/cli")
  const folder = unpack("command", own, foreign)
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
  assert.match(importAll(unpack("less", less, foreign), "@backup-cloud/trust"), /ERR_MODULE_NOT_FOUND/)
})

test("a tarball holds what its manifest exports, and no tests", () => {
  for (const [name, file] of tarballs) {
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
