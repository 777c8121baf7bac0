// What the Dockerfile says of how the image runs. That its steps work, and what the image then does, is shown by
// container.soak.test.ts, which takes minutes.

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { steps } from "./dockerfile.ts"

const root = join(import.meta.dirname, "../../..")
const all = steps(join(root, "deploy/container/Dockerfile"))
const last = all.slice(all.findLastIndex(({ keyword }) => keyword === "FROM"))
const of = (keyword: string): string[] => last.filter((step) => step.keyword === keyword).map(({ text }) => text)

test("the image runs as a user without rights, the command itself is its process, and only /tmp is for writing", () => {
  assert.deepEqual([of("USER"), of("ENTRYPOINT"), of("CMD")], [["10001:10001"], ['["backup-cloud"]'], []])
  assert.deepEqual([of("VOLUME"), of("WORKDIR"), of("ENV")], [['["/tmp"]'], ["/tmp"], ["HOME=/tmp"]])
  // Nothing after the user's line is done as root.
  assert.ok(
    last.findIndex(({ keyword }) => keyword === "USER") > last.findLastIndex(({ keyword }) => keyword === "RUN"),
  )
})

test("the base is chosen when it is built, for both stages; the tools are an argument; nothing comes from a network address", () => {
  const froms = all.filter(({ keyword }) => keyword === "FROM").map(({ words }) => words[0])
  assert.deepEqual(froms, [`$\{BASE}`, `$\{BASE}`])
  assert.deepEqual([all[0]?.keyword, all[0]?.text], ["ARG", "BASE=debian:trixie-slim"])
  assert.match(of("ARG").join("\n"), /^TOOLS=/)
  assert.deepEqual(
    all.filter(({ keyword, text }) => keyword === "ADD" || /https?:/.test(text)),
    [],
  )
})

test("each package that a source needs is installed: those that the command names as its optional peers", () => {
  const { peerDependencies } = JSON.parse(readFileSync(join(root, "packages/cli/package.json"), "utf8")) as {
    peerDependencies: Record<string, string>
  }
  const installed = all.flatMap(({ text }) => text.match(/--workspace=packages\/\S+/g) ?? [])
  const wanted = Object.keys(peerDependencies).map((name) => name.replace("@backup-cloud/", "--workspace=packages/"))
  assert.deepEqual(installed.toSorted(), ["--workspace=packages/cli", ...wanted].sort())
})
