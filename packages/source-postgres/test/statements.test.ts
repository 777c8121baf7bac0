// SQL cut into statements, which is what a restore leaves things out by and renames databases by.

import assert from "node:assert/strict"
import { test } from "node:test"
import { collect } from "../../trust/test/archive.ts"
import { restricted } from "../src/restricted.ts"
import { changesOf, renamed, statements } from "../src/statements.ts"

const texts = (script: string): string[] => statements(script).map(({ text }) => text)

test("a semicolon ends a statement only outside of texts, names and comments", () => {
  const script = `-- a; comment's
SET a = 'x;''--y';
COMMENT ON ROLE "a;""b" IS E'it''s \\\\\\'; DROP';
SELECT 1`
  assert.deepEqual(texts(script), [
    "SET a = 'x;''--y'",
    `COMMENT ON ROLE "a;""b" IS E'it''s \\\\\\'; DROP'`,
    "SELECT 1",
  ])
})

test("commands of psql are left out, and what looks like one within a text is not", () => {
  assert.deepEqual(
    texts(
      "\\restrict x\nSET a = '\n\\! false\n';\n\\connect -reuse-previous=on \"x;y\"\n\nSET b = 1;\n\\unrestrict x\n",
    ),
    ["SET a = '\n\\! false\n'", "SET b = 1"],
  )
  assert.deepEqual(texts("\n\n-- nothing\n;;\n"), [])
})

test("a database gets another name wherever it is named, and nothing else does", () => {
  const rename = (text: string, from = "app"): string =>
    statements(text)
      .map((each) => renamed(each, from, 'new "x"'))
      .join(";")
  assert.equal(
    rename("CREATE DATABASE app WITH TEMPLATE = template0"),
    'CREATE DATABASE "new ""x""" WITH TEMPLATE = template0',
  )
  assert.equal(
    rename("ALTER ROLE app IN DATABASE app SET app TO 'app'"),
    `ALTER ROLE app IN DATABASE "new ""x""" SET app TO 'app'`,
  )
  assert.equal(rename("GRANT ALL ON DATABASE app TO app"), 'GRANT ALL ON DATABASE "new ""x""" TO app')
  assert.equal(
    rename(`COMMENT ON DATABASE "a ""p" IS 'DATABASE "a ""p"'`, 'a "p'),
    `COMMENT ON DATABASE "new ""x""" IS 'DATABASE "a ""p"'`,
  )
  assert.equal(rename("ALTER DATABASE other OWNER TO app"), "ALTER DATABASE other OWNER TO app")
})

test("what would change a role, membership or tablespace that is there is told, and all else is not", () => {
  const there = { roles: new Set(["a", "B c"]), tablespaces: new Set(["fast"]) }
  const change = (text: string): string | null => changesOf(statements(text)[0]!, there)
  assert.equal(change("CREATE ROLE a"), "role a")
  assert.equal(change(`ALTER ROLE "B c" WITH SUPERUSER`), "role B c")
  assert.equal(change("ALTER ROLE a SET x TO 'y'"), "role a")
  assert.equal(change("COMMENT ON ROLE a IS 'x'"), "role a")
  assert.equal(change(`GRANT a TO "B c" WITH ADMIN OPTION GRANTED BY new`), "membership of B c in a")
  assert.equal(change("CREATE TABLESPACE fast OWNER a LOCATION '/x'"), "tablespace fast")
  assert.equal(change("GRANT ALL ON TABLESPACE fast TO new"), "tablespace fast")
  assert.equal(change("ALTER TABLESPACE fast OWNER TO a"), "tablespace fast")
  for (const other of [
    ...[
      "CREATE ROLE new",
      "CREATE ROLE b",
      `ALTER ROLE "A" WITH LOGIN`,
      "GRANT new TO a",
      "GRANT a TO new",
      "SET a = 1",
    ],
    ...[
      "CREATE TABLESPACE slow OWNER a LOCATION '/x'",
      "COMMENT ON ROLE new IS 'ROLE a'",
      "GRANT ALL ON TABLESPACE slow TO a",
    ],
  ])
    assert.equal(change(other), null, other)
})

test("a script that does not restrict psql at its very beginning is made to", async () => {
  const begun = async (...pieces: string[]): Promise<string> => {
    const script = async function* (): AsyncGenerator<Uint8Array> {
      for (const piece of pieces) yield Buffer.from(piece)
    }
    return Buffer.concat(await collect(restricted(script(), (count) => new Uint8Array(count).fill(171)))).toString()
  }
  const added = `\\restrict ${"ab".repeat(24)}\n`
  const head = "--\n-- PostgreSQL database dump\n--\n\n"
  const own = `${head}\\restrict zgxUKiWN3ahs9I6CLBU1\n\nSELECT 1;\n${"-".repeat(300)}\n`
  assert.equal(await begun(own), own)
  assert.equal(await begun(...(own.match(/[^]/g) ?? [])), own)
  for (const other of [
    "",
    "SELECT 1;\n",
    `${head}SELECT 1;\n`,
    `${head}\\restrict x\n`,
    ` ${own}`,
    `SELECT 1;\n${own}`,
  ])
    assert.equal(await begun(other), other === "" ? added : added + other, other)
})
