// The checks themselves: each must be able to fail.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { after, before, describe, test } from "node:test"
import { grave } from "./audit.ts"
import { exceptions, licenceProblems, satisfies } from "./licences.ts"
import { installCommands, missing, needed } from "./prepare.ts"
import { runFiles, untested } from "./test.ts"

let scratch = ""
before(() => {
  scratch = mkdtempSync(join(tmpdir(), "tools-"))
})
after(() => {
  rmSync(scratch, { recursive: true, force: true })
})

describe("the test runner", () => {
  const outcome = (name: string, text: string): { passed: number; failed: number; said: string } => {
    const file = join(scratch, `${name}.test.ts`)
    writeFileSync(file, text)
    const script = `import { runFiles } from ${JSON.stringify(join(import.meta.dirname, "test.ts"))}
      const said = []
      const counts = await runFiles([${JSON.stringify(file)}], (line) => said.push(line))
      console.log(JSON.stringify({ ...counts, said: said.join("\\n") }))`
    const program = join(scratch, `${name}.ts`)
    writeFileSync(program, script)
    // Within a test the runner runs nothing; a process that knows of no test is needed.
    const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => key !== "NODE_TEST_CONTEXT"))
    const result = spawnSync(process.execPath, [program], { env, encoding: "utf8" })
    assert.equal(result.status, 0, result.stderr)
    return JSON.parse(result.stdout) as { passed: number; failed: number; said: string }
  }
  test("does not count files that were not run", async () => {
    const file = join(scratch, "inner.test.ts")
    writeFileSync(file, 'import { test } from "node:test"\ntest("a", () => {})')
    assert.deepEqual(await runFiles([file], () => undefined), { passed: 0, failed: 1 })
  })
  const head = 'import { describe, it, test } from "node:test"\n'
  const cases: [string, string, number, number][] = [
    ["passes", 'test("a", () => {})\ntest("b", () => {})', 2, 0],
    ["fails", 'test("a", () => {})\ntest("b", () => { throw new Error("no") })', 1, 1],
    ["skips", 'test("a", () => {})\ntest.skip("b", () => {})', 1, 1],
    ["skips-while-running", 'test("a", (t) => { t.skip() })', 0, 1],
    ["todo", 'test("a", () => {})\nit.todo("b")', 1, 1],
    ["todo-that-fails", 'test.todo("a", () => { throw new Error("no") })', 0, 1],
    ["skipped-suite", 'test("a", () => {})\ndescribe.skip("b", () => { it("c", () => {}) })', 1, 1],
    ["nested", 'describe("a", () => { it("b", () => {}); it("c", () => { throw new Error("no") }) })', 1, 1],
    ["subtests", 'test("a", async (t) => { await t.test("b", () => { throw new Error("no") }) })', 0, 1],
    ["empty", "", 0, 1],
    ["empty-suite", 'describe("a", () => {})', 0, 1],
    ["exits", 'test("a", () => {})\nprocess.exit(3)', 0, 1],
    ["does-not-parse", "test(", 0, 1],
    ["hook", 'import { after } from "node:test"\ntest("a", () => {})\nafter(() => { throw new Error("no") })', 1, 1],
  ]
  for (const [name, text, passed, failed] of cases) {
    test(`${name}: ${passed} passed, ${failed} failed`, () => {
      const counts = outcome(name, head + text)
      assert.deepEqual([counts.passed, counts.failed], [passed, failed], counts.said)
      assert.match(counts.said, new RegExp(`${name}\\.test\\.ts: ${passed} passed, ${failed} failed`))
    })
  }
  test("a package with source and no test is found", () => {
    const sources = ["packages/a/src/index.ts", "packages/b/src/index.ts", "packages/b/src/x.ts"]
    assert.deepEqual(untested(sources, ["packages/a/test/x.test.ts", "tools/x.test.ts"]), ["packages/b"])
    assert.deepEqual(untested(sources, ["packages/a/test/x.test.ts", "packages/b/test/deep/x.test.ts"]), [])
  })
})

describe("licences", () => {
  const ok = (licence: string): boolean => ["MIT", "ISC"].includes(licence)
  const met = ["MIT", "(MIT OR GPL-3.0)", "GPL-3.0 OR MIT", "MIT AND ISC", "(MIT AND (GPL-3.0 OR ISC))"]
  const unmet = ["", "GPL-3.0", "MIT AND GPL-3.0", "MIT OR", "(MIT", "MIT)", "MIT ISC", "GPL-3.0 OR (MIT AND GPL-3.0)"]
  for (const each of met) {
    test(`"${each}" is met`, () => {
      assert.ok(satisfies(each, ok))
    })
  }
  for (const each of unmet) {
    test(`"${each}" is not`, () => {
      assert.ok(!satisfies(each, ok))
    })
  }
  test("one that is not on the list is found, nested and scoped ones too", () => {
    const put = (path: string, manifest: object): void => {
      mkdirSync(join(scratch, "modules", path), { recursive: true })
      writeFileSync(join(scratch, "modules", path, "package.json"), JSON.stringify(manifest))
    }
    put("good", { name: "good", version: "1.0.0", license: "MIT" })
    assert.deepEqual(licenceProblems(join(scratch, "modules")), [])
    put("@s/bad", { name: "@s/bad", version: "1.0.0", license: "AGPL-3.0-only" })
    put("good/node_modules/none", { name: "none", version: "2.0.0" })
    put("openpgp", { name: "openpgp", version: "6.0.0", license: "LGPL-3.0+" })
    put("other", { name: "other", version: "6.0.0", license: "LGPL-3.0+" })
    assert.deepEqual(licenceProblems(join(scratch, "modules")).sort(), [
      "@s/bad@1.0.0: AGPL-3.0-only",
      "none@2.0.0: none stated",
      "other@6.0.0: LGPL-3.0+",
    ])
  })
  test("what is excepted for development alone is found where anything else needs it", () => {
    const modules = join(scratch, "development")
    const name = "@cloud-copilot/iam-simulate"
    const problem = [`${name}@1.0.0: AGPL-3.0-or-later`]
    mkdirSync(join(modules, name), { recursive: true })
    const manifest = { name, version: "1.0.0", license: "AGPL-3.0-or-later" }
    writeFileSync(join(modules, name, "package.json"), JSON.stringify(manifest))
    assert.deepEqual(licenceProblems(modules), problem, "nothing says what it is there for")
    const note = (packages: object): void => {
      writeFileSync(join(modules, ".package-lock.json"), JSON.stringify({ packages }))
    }
    note({ [`node_modules/${name}`]: { dev: true } })
    assert.deepEqual(licenceProblems(modules), [])
    note({ [`node_modules/${name}`]: { dev: true }, [`node_modules/x/node_modules/${name}`]: {} })
    assert.deepEqual(licenceProblems(modules), problem)
  })
  test("every exception is still installed, and has a reason", () => {
    const modules = join(dirname(import.meta.dirname), "node_modules")
    for (const [name, { reason }] of Object.entries(exceptions)) {
      assert.ok(reason.length > 10, name)
      assert.ok(existsSync(join(modules, name, "package.json")), name)
    }
  })
  test("an empty folder is no proof", () => {
    mkdirSync(join(scratch, "nothing"))
    assert.throws(() => licenceProblems(join(scratch, "nothing")), /no package/)
  })
})

describe("npm audit", () => {
  const report = (high: number, critical: number): string =>
    JSON.stringify({ metadata: { vulnerabilities: { info: 9, low: 9, moderate: 9, high, critical, total: 0 } } })
  test("counts what is grave", () => {
    assert.equal(grave(report(0, 0)), 0)
    assert.equal(grave(report(2, 1)), 3)
  })
  test("knows when there was no answer", () => {
    for (const answer of ["", "null", "{}", "<html>", '{"error":{"code":"ENOAUDIT"}}'])
      assert.equal(grave(answer), null)
  })
})

describe("programs", () => {
  test("what is missing is found by looking for a file that can be run", () => {
    const folder = join(scratch, "bin")
    mkdirSync(folder)
    const path = `${join(scratch, "none")}${delimiter}${folder}`
    assert.deepEqual(missing(["made-up-a", "made-up-b"], path), ["made-up-a", "made-up-b"])
    writeFileSync(join(folder, "made-up-a"), "#!/bin/sh\n")
    mkdirSync(join(folder, "made-up-b"))
    assert.deepEqual(missing(["made-up-a", "made-up-b"], path), ["made-up-a", "made-up-b"])
    chmodSync(join(folder, "made-up-a"), 0o755)
    assert.deepEqual(missing(["made-up-a", "made-up-b"], path), ["made-up-b"])
  })
  test("the commands install each package once", () => {
    assert.deepEqual(installCommands(["getfattr", "setfattr", "zstd"]), [
      "apt-get update",
      "apt-get install -y --no-install-recommends attr zstd",
    ])
    assert.deepEqual(installCommands(["moto_server"]).length, 1)
    assert.deepEqual(installCommands([]), [])
    for (const name of Object.keys(needed)) assert.ok(installCommands([name]).length > 0)
  })
})
