// What the pages say of commands: every fenced block of commands is in a page whose test runs it, and every command that
// the text mentions is there, with the options that it is mentioned with.

import assert from "node:assert/strict"
import { globSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { run } from "./run.ts"

const root = join(import.meta.dirname, "../../..")
const pages = ["README.md", ...globSync("docs/*.md", { cwd: root }), "recovery/RECOVER.txt"]
const text = (page: string): string => readFileSync(join(root, page), "utf8")

/** Each page with commands or code, and the test that runs every block of them: it fails where one is passed over. */
const tests: Readonly<Record<string, string>> = {
  "README.md": "packages/cli/test/readme.test.ts",
  "docs/writing-a-source.md": "packages/backup-cloud/test/docs.test.ts",
  "docs/key-holders.md": "packages/keyholder/test/docs.test.ts",
  "docs/restore-day.md": "packages/cli/test/restore-day.test.ts",
  "docs/offline.md": "packages/cli/test/offline.test.ts",
  "docs/scripts.md": "packages/cli/test/shell.test.ts",
  "docs/erasures.md": "packages/cli/test/erasures-page.test.ts",
  "docs/recovery.md": "recovery/test/docs.test.ts",
  "docs/retention.md": "packages/cli/test/expire.test.ts",
  "docs/aws.md": "packages/aws/test/docs.test.ts",
}

test("every block of commands or code is in a page that a test runs", () => {
  assert.ok(pages.length >= 6)
  const withCommands = pages.filter((page) => /^```(?:sh|ts)\b/m.test(text(page)))
  assert.deepEqual(withCommands.sort(), Object.keys(tests).sort())
  for (const [page, file] of Object.entries(tests)) assert.ok(text(file).includes(page.replace(/^docs\//, "")), file)
})

test("what is fenced otherwise is no command", () => {
  let others = 0
  for (const page of pages) {
    for (const [, kind = "", block = ""] of text(page).matchAll(/^```(.*)\n((?:.*\n)*?)```$/gm)) {
      if (/^(?:sh|ts)\b/.test(kind)) continue
      others++
      assert.ok(["", "text", "yaml"].includes(kind), `${page}: ${kind}`)
      assert.doesNotMatch(block, /^\s*(?:\$ )?(?:backup-cloud|npm|npx|node|gpg|sh|apt-get|curl|sudo) /m, page)
    }
  }
  assert.ok(others >= 4)
})

test("every command that the text mentions is there, with its options", async () => {
  const mentioned = pages.flatMap((page) =>
    [...text(page).matchAll(/`backup-cloud( [^`]+)`/g)].map((match) => match[1] ?? ""),
  )
  const commands = [...new Set(mentioned)]
  assert.ok(commands.length >= 6, commands.join())
  const where = { cwd: tmpdir(), env: { PATH: process.env["PATH"] ?? "", HOME: tmpdir() } }
  for (const command of commands) {
    const words = command.trim().split(" ")
    const name = /^[a-z ]+(?= |$)/.exec(command.trim())?.[0].split(" ") ?? []
    const { status, stdout } = await run(where, ...name, "--help")
    assert.equal(status, 0, command)
    assert.ok(stdout.startsWith(["Usage: backup-cloud", ...name].join(" ")), command)
    for (const option of words.filter((word) => /^--./.test(word))) assert.ok(stdout.includes(`${option} `), command)
  }
})
