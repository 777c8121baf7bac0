import assert from "node:assert/strict"
import { test } from "node:test"
import { Command } from "commander"
import { GROUPS } from "../src/program.ts"

test("each module adds the commands that it is listed for, so that naming one loads what it needs", async () => {
  for (const { modules } of GROUPS) {
    const root = new Command("backup-cloud")
    for (const [names, load] of modules) {
      const before = root.commands.map((command) => command.name())
      ;(await load())(root, (parent, usage) => parent.command(usage))
      const added = root.commands.map((command) => command.name()).slice(before.length)
      assert.deepEqual(added, before.includes(names[0] ?? "") ? [] : names)
    }
  }
})
