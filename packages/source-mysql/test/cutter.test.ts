// The dump's stream cut into parts: the same parts however it comes, borders that are only in names and values, both forms in
// which dump programs write rows, and how little a small change changes.

import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { Cutter } from "../src/cutter.ts"

const HEADER = "-- MariaDB dump\n\n/*!40101 SET NAMES utf8mb4 */;\n/*!40014 SET UNIQUE_CHECKS=0 */;\n\n"
const begin = (schema: string): string => `--\n-- Current Database: \`${schema}\`\n--\n\nUSE \`${schema}\`;\n\n`
const table = (name: string): string =>
  `--\n-- Table structure for table \`${name}\`\n--\n\nCREATE TABLE \`${name}\` (\n  \`id\` int(11)\n);\n\n--\n-- Dumping data for table \`${name}\`\n--\n\n`
const END = "\n/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;\n\n-- Dump completed\n"

/** Text by schema, in the order in which parts begin. */
function parts(cutter: Cutter, text: string, step: number): [string, string][] {
  const bytes = Buffer.from(text, "latin1")
  const found: [string, string][] = []
  for (let at = 0; at < bytes.length; at += step) {
    for (const cut of cutter.push(Buffer.from(bytes.subarray(at, at + step)))) {
      if (!(cut instanceof Uint8Array)) found.push([cut.schema, ""])
      else found.at(-1)![1] += Buffer.from(cut).toString("latin1")
    }
  }
  return found
}

const values = [
  String.raw`(1,'a\'b),(\\',NULL)`,
  String.raw`(2,'); -- x\nUSE \`b\`;',"\")")`,
  "(3,_binary 'a''b',0x27)",
  "(-1.5e10,'',ST_X((1)))",
]
const hash = (text: string): string => createHash("sha256").update(text).digest("hex")

test("rows come the same from both forms of INSERT, in steps of any length, and are counted and hashed", () => {
  const forms = [
    `INSERT INTO \`t\` VALUES\n${values.slice(0, 2).join(",\n")};\nINSERT INTO \`t\` VALUES\n${values.slice(2).join(",\n")};\n`,
    `INSERT INTO \`t\` VALUES ${values.slice(0, 3).join(",")};\nINSERT INTO \`t\` VALUES ${values.slice(3).join(",")};\n`,
  ]
  for (const form of forms) {
    const text = `${HEADER}${begin("a")}${table("t")}${form}UNLOCK TABLES;\n${table("u")}${begin("b")}${END}`
    for (const step of [text.length, 7, 1]) {
      const cutter = new Cutter()
      const [[first, sql] = [], [second] = [], ...others] = parts(cutter, text, step)
      assert.deepEqual([first, second, others], ["a", "b", []])
      assert.equal(
        sql?.split("INSERT INTO `t` VALUES\n")[1],
        `${values.join(",\n")};\nUNLOCK TABLES;\n\n${table("u")
          .replace(/^(--)?\n/gm, "")
          .replace("\n-- Dump", "\n\n-- Dump")
          .trimEnd()}\n`,
      )
      assert.equal(cutter.header, "/*!40101 SET NAMES utf8mb4 */;\n/*!40014 SET UNIQUE_CHECKS=0 */;\n")
      assert.ok(cutter.completed)
      assert.deepEqual(
        [...(cutter.tables.get("a") ?? [])],
        [
          ["t", { rows: 4, sha256: hash(values.map((row) => `${row}\n`).join("")) }],
          ["u", { rows: 0, sha256: hash("") }],
        ],
      )
    }
  }
})

test("a column list is no row, and columns named like what rows begin with are none", () => {
  const cutter = new Cutter()
  const odd = "CREATE TABLE `VALUES` (\n  `VALUES` int(11),\n  PRIMARY KEY (`VALUES`)\n);\n"
  const sql = "INSERT INTO `VALUES` (`VALUES`, `b)`) VALUES\n(1,2);\n"
  assert.deepEqual(parts(cutter, `${begin("a")}${odd}${sql}${END}`, 3), [["a", `USE \`a\`;\n${odd}${sql}`]])
  assert.deepEqual(cutter.tables.get("a")?.get("VALUES")?.rows, 1)
})

test("a border that is in a name or a value is none", () => {
  const name = "t\n-- Current Database: ``b``"
  const sql = `CREATE TABLE \`${name}\` (\n  \`i\` int(11) DEFAULT 'it\\'s\n-- Current Database: \`b\`\n'\n);\n`
  for (const step of [1000, 1]) {
    const cutter = new Cutter()
    assert.deepEqual(parts(cutter, `${HEADER}${begin("a")}${sql}`, step), [["a", `USE \`a\`;\n${sql}`]])
    assert.ok(!cutter.completed)
    assert.deepEqual([...(cutter.tables.get("a") ?? new Map()).keys()], ["t\n-- Current Database: `b`"])
  }
  // The same line outside of quotes is one.
  assert.equal(parts(new Cutter(), `${HEADER}${begin("a")}-- Current Database: \`b\`\n`, 1000).length, 2)
})

test("where a dump was made is read from its header and its end alone", () => {
  const of = (text: string): Cutter => {
    const cutter = new Cutter()
    cutter.push(Buffer.from(text))
    return cutter
  }
  const at = "-- CHANGE MASTER TO MASTER_LOG_FILE='b.000007', MASTER_LOG_POS=4779;\n"
  const source = "-- CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='b.000007', SOURCE_LOG_POS=4779;\n"
  for (const line of [at, source])
    assert.deepEqual(of(HEADER + line + begin("a")).position, { file: "b.000007", offset: 4779 })
  assert.equal(of(HEADER + begin("a") + at).position, null)
  assert.equal(of(`${HEADER}${begin("a")}\n-- SET GLOBAL gtid_slave_pos='0-1-25';\n`).gtid, "0-1-25")
})

test("a row that grows changes no more than the INSERT it is in", () => {
  const rows = Array.from({ length: 20_000 }, (_, i) => `(${i},'${hash(String(i))}')`)
  const changed = rows.with(50, "(50,'longer than it was')")
  const dump = (all: readonly string[]): string[] => {
    // As long as the dump program makes them.
    const statements: string[] = [""]
    for (const row of all) {
      if ((statements.at(-1)?.length ?? 0) + row.length > 300_000) statements.push("")
      statements.push(`${statements.pop() ?? ""}${statements.at(-1) === "" ? "" : ","}${row}`)
    }
    const inserts = statements.map((each) => `INSERT INTO \`t\` VALUES ${each.replace(/^,/, "")};\n`).join("")
    const [found] = parts(new Cutter(), HEADER + begin("a") + inserts + END, 65_536)
    return found![1].split("INSERT INTO `t` VALUES\n")
  }
  const [one, two] = [dump(rows), dump(changed)]
  assert.ok(one.length > 10 && one.length < 60, `${one.length} statements of some 64 KiB`)
  assert.equal(one.slice(1).join("").match(/^\(/gm)?.length, 20_000)
  const same = new Set(one)
  assert.equal(two.filter((statement) => !same.has(statement)).length, 1)
})
