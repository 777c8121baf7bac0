// What the page says works: the grants are those that the tests use, and its commands restore what is in a directory.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { after, test } from "node:test"
import { contentOf, fillPlain, GRANTS, MORE_GRANTS, makeSaver, sourceOf } from "./helpers.ts"
import { PATH, Server } from "./server.ts"

const page = readFileSync(join(import.meta.dirname, "../../../docs/sources/mysql.md"), "utf8")
const blocks = [...page.matchAll(/^```(.+)\n([^]*?)^```$/gm)].map(([, kind = "", text = ""]) => [kind, text] as const)
const ends: (() => unknown)[] = []
after(async () => {
  for (const end of ends) await end()
})

test("every block is one of those that run here", () => {
  assert.deepEqual(
    blocks.map(([kind]) => kind),
    ["sql", "sql mydumper", "sh restore"],
  )
})

test("the user of the page is who the tests back up as", () => {
  const [, sql = ""] = blocks[0] ?? []
  assert.ok(sql.includes(`\n${GRANTS};\n`), sql)
  assert.equal(blocks[1]?.[1], `${MORE_GRANTS};\n`)
})

for (const mydumper of [null, { threads: 2 }])
  test(`the files of a directory are loaded by the command of the page${mydumper === null ? "" : ", mydumper's too"}`, async () => {
    const [server, empty] = [await Server.start(), await Server.start()]
    ends.push(
      () => server.end(),
      () => empty.end(),
    )
    makeSaver(server)
    if (mydumper !== null) fillPlain(server)
    else server.sql(readFileSync(join(import.meta.dirname, "content.sql"), "latin1"))
    server.sql(`GRANT EXECUTE ON FUNCTION shop.twice TO saver; ${mydumper === null ? "" : MORE_GRANTS}`)
    const folder = mkdtempSync(join(tmpdir(), "bc-mysql-page-"))
    ends.push(() => {
      rmSync(folder, { recursive: true })
    })
    for (const [path, text] of await contentOf(sourceOf(server, mydumper === null ? {} : { mydumper }))) {
      const file = Buffer.from(join(folder, path), "latin1")
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(file, text, "latin1")
    }
    const [, script = ""] = blocks[2] ?? []
    // Where the client finds its server is what the reader's option file says.
    writeFileSync(join(folder, ".my.cnf"), `[client]\nsocket=${empty.socket}\nuser=root\n`)
    const env = { PATH, HOME: folder, LC_ALL: "C" }
    const { status, stderr } = spawnSync("sh", ["-e", "-c", script], { cwd: folder, env, encoding: "utf8" })
    assert.equal(status, 0, stderr)
    assert.deepEqual(empty.portrait(), server.portrait())
  })
