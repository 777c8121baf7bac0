import assert from "node:assert/strict"
import { globSync, readFileSync } from "node:fs"
import { dirname } from "node:path"
import { describe, test } from "node:test"
import { type Manifest, mayImport, scan, violations } from "./imports.ts"

const root = dirname(import.meta.dirname)
const read = (path: string): string => readFileSync(`${root}/${path}`, "utf8")
const packages = globSync("packages/*/package.json", { cwd: root }).map((path) => path.split("/")[1] ?? "")
const manifest = (name: string): Manifest => JSON.parse(read(`packages/${name}/package.json`)) as Manifest

describe("the table", () => {
  test("has a row for every package and no other", () => {
    assert.deepEqual(packages.toSorted(), Object.keys(mayImport).sort())
  })
  for (const name of packages) {
    test(`holds for ${name}`, () => {
      const files = globSync(`packages/${name}/src/**/*.ts`, { cwd: root })
      assert.ok(files.length > 0, "no source file was found")
      const found = files.flatMap((path) => violations({ path, text: read(path) }, manifest(name)))
      assert.deepEqual(found, [])
    })
    test(`holds for what ${name} declares`, () => {
      const row = mayImport[name] ?? []
      const { dependencies, peerDependencies } = manifest(name)
      const own = Object.keys({ ...dependencies, ...peerDependencies })
        .filter((dependency) => /^(@backup-cloud\/|backup-cloud$)/.test(dependency))
        .map((dependency) => dependency.replace("@backup-cloud/", ""))
      if (row !== "all")
        assert.deepEqual(
          own.filter((dependency) => !row.includes(dependency)),
          [],
        )
      const config = JSON.parse(read(`packages/${name}/tsconfig.json`)) as { references: { path: string }[] }
      assert.deepEqual(
        config.references.map((each) => each.path.slice("../".length)).sort(),
        own.filter((dependency) => packages.includes(dependency)).sort(),
      )
    })
  }
  test("openpgp by itself opens no door", () => {
    const { specifiers } = scan({ path: "index.ts", text: read("packages/openpgp/src/index.ts") })
    const doors = ["seal", "sign", "verify", "open-passphrase", "open-private", "keygen"].map((name) => `./${name}.ts`)
    assert.ok(specifiers.length > 0)
    assert.deepEqual(
      specifiers.filter((specifier) => doors.includes(specifier)),
      [],
    )
  })
})

describe("a file that breaks the table is found", () => {
  const dependencies = Object.fromEntries(
    ["format", "openpgp", "store", "trust", "backup"].map((name) => [`@backup-cloud/${name}`, "0.1.0"]),
  )
  const declared: Manifest = {
    dependencies: { ...dependencies, openpgp: "6.3.2", "backup-cloud": "0.1.0" },
    imports: { "#worker": "./x" },
  }
  const inPackage = (name: string, text: string): string[] =>
    violations({ path: `packages/${name}/src/made-up.ts`, text }, declared)

  const bad: [string, string][] = [
    ["format", 'import { x } from "@backup-cloud/store"'],
    ["format", 'import type { x } from "@backup-cloud/store"'],
    ["format", 'export * from "@backup-cloud/store"'],
    ["format", 'const x = await import("@backup-cloud/store")'],
    ["format", 'const x = import.meta.resolve("@backup-cloud/store")'],
    ["format", 'type X = import("@backup-cloud/store").X'],
    ["format", 'const x = require("@backup-cloud/store")'],
    ["format", "const x = await import(name)"],
    ["format", "const x = await import(`@backup-cloud/${name}`)"],
    ["trust", "const x = await import(`@backup-cloud/openpgp/${name}`)"],
    ["format", 'import "left-pad"'],
    ["format", 'import "@aws-sdk/client-s3"'],
    ["format", 'import "../../store/src/index.ts"'],
    ["format", 'import "../test/samples.ts"'],
    ["format", 'const w = new URL("../../backup/src/worker.ts", import.meta.url)'],
    ["format", 'import "#other"'],
    ["format", 'import process from "node:process"'],
    ["format", "const x = process.env"],
    ["format", "const x = globalThis.process"],
    ["format", "const x = { process }"],
    ["store", 'import "@backup-cloud/openpgp"'],
    ["trust", 'import "@backup-cloud/openpgp/open-private"'],
    ["trust", 'import "@backup-cloud/openpgp/seal"'],
    ["trust", 'import "@backup-cloud/backup"'],
    ["backup", 'import "@backup-cloud/openpgp/open-private"'],
    ["backup", 'import "@backup-cloud/openpgp/keygen"'],
    ["backup", 'import "backup-cloud"'],
    ["restore", 'import "backup-cloud/parts/machine"'],
    ["restore", 'import "@backup-cloud/openpgp/seal"'],
    ["keyholder", 'import "@backup-cloud/store"'],
    ["keyholder", 'import "@backup-cloud/openpgp/keygen"'],
    ["cli", "process.exit(1)"],
    ["made-up", 'import "node:fs"'],
  ]
  for (const [name, text] of bad) {
    test(`${name}: ${text}`, () => {
      assert.equal(inPackage(name, text).length, 1)
    })
  }

  const good: [string, string][] = [
    ["format", 'import "node:fs"'],
    ["format", 'import "./names.ts"'],
    ["format", '// import "@backup-cloud/store"'],
    ["format", `const x = 'import "@backup-cloud/store"'`],
    ["format", "const x = child.process"],
    ["format", "interface X { process: string }"],
    ["backup", 'const w = import.meta.resolve("#worker")'],
    ["openpgp", 'import "openpgp"'],
    ["trust", 'import "@backup-cloud/openpgp/verify"'],
    ["backup", 'import type { Sealer } from "@backup-cloud/openpgp"'],
    ["keyholder", 'import "@backup-cloud/openpgp/open-private"'],
    ["cli", 'import "@backup-cloud/openpgp"'],
    ["cli", 'import "backup-cloud/parts/machine"'],
  ]
  for (const [name, text] of good) {
    test(`and one that keeps it is not: ${name}: ${text}`, () => {
      assert.deepEqual(inPackage(name, text), [])
    })
  }

  test("main may use process, and nothing else of the cli", () => {
    assert.deepEqual(violations({ path: "packages/cli/src/main.ts", text: "process.exit(1)" }, declared), [])
  })
})
