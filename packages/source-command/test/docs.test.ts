// The example of the source's page is one that works.

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { makeMachine } from "../../backup/test/machine.ts"
import type { NamedStream } from "../src/index.ts"
import { sourceOf } from "./helpers.ts"

const page = readFileSync(join(import.meta.dirname, "../../../docs/sources/command.md"), "utf8")

test("the example of the page is backed up whole", async () => {
  const [, example = ""] = /```json\n([^]*?)```/.exec(page) ?? []
  const { streams } = JSON.parse(example) as { streams: NamedStream[] }
  const machine = await makeMachine(sourceOf(streams))
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  const content = await machine.content(machine.store, "latest")
  assert.deepEqual([...content.keys()], ["etc/hosts", "etc/pam.tar"])
  assert.equal(content.get("etc/hosts"), readFileSync("/etc/hosts", "latin1"))
  assert.match(content.get("etc/pam.tar") ?? "", /^pam\.d\//)
})
