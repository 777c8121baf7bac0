import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { dirname } from "node:path"
import { test } from "node:test"
import { absent, type Lockfile } from "./lockfile.ts"

const lock = JSON.parse(readFileSync(`${dirname(import.meta.dirname)}/package-lock.json`, "utf8")) as Lockfile

test("the lockfile names the packages of every platform", () => {
  assert.deepEqual(absent(lock), {}, "npm ci will refuse it; node tools/lockfile.ts mends it")
})

test("one that is left out is found, with where it fits", () => {
  const parent = {
    dev: true,
    optionalDependencies: { "@x/y-linux-x64-musl": "1.2.3", "@x/y-win32-ia32-msvc": "1.2.3" },
  }
  const packages = { "node_modules/y": parent }
  assert.deepEqual(absent({ packages }), {
    "node_modules/@x/y-linux-x64-musl": {
      version: "1.2.3",
      cpu: ["x64"],
      os: ["linux"],
      libc: ["musl"],
      dev: true,
      optional: true,
    },
    "node_modules/@x/y-win32-ia32-msvc": { version: "1.2.3", cpu: ["ia32"], os: ["win32"], dev: true, optional: true },
  })
  const whole = { ...packages, ...absent({ packages }) }
  assert.deepEqual(absent({ packages: whole }), {})
})

test("one that lies in what wants it, or in what that lies in, is not left out", () => {
  const optionalDependencies = { z: "^1.0.0" }
  const lies = { version: "1.0.0" }
  const packages = { "node_modules/x/node_modules/y": { optionalDependencies } }
  assert.deepEqual(Object.keys(absent({ packages })), ["node_modules/z"])
  for (const place of ["node_modules/x/node_modules/y/node_modules/z", "node_modules/x/node_modules/z"])
    assert.deepEqual(absent({ packages: { ...packages, [place]: lies } }), {}, place)
  assert.deepEqual(Object.keys(absent({ packages: { ...packages, "node_modules/w/node_modules/z": lies } })), [
    "node_modules/z",
  ])
})

test("this machine's own node is in it", () => {
  assert.ok(Object.keys(lock.packages).some((place) => place.startsWith("node_modules/node-linux-")))
})
