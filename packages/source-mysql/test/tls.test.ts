// Servers that are spoken to over TLS: only one whose certificate the file of authorities vouches for.

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { isFault } from "@backup-cloud/format"
import { signal } from "../../trust/test/archive.ts"
import { mysqlSource } from "../src/index.ts"
import { findMydumper } from "../src/mydumper.ts"
import { RowsDump } from "../src/rows-dump.ts"
import { byContent } from "../src/table-rows.ts"
import { contentOf, MORE_GRANTS, makeSaver, PASSWORD, sourceOf } from "./helpers.ts"
import { PATH, Server } from "./server.ts"

const folder = mkdtempSync(join(tmpdir(), "bc-tls-"))
const file = (name: string): string => join(folder, name)
let server: Server

/** A certificate of its own, good for the name as well. */
function selfSigned(name: string): void {
  const args = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
  const names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
  execFileSync("openssl", [...args, ...names, "-keyout", file(`${name}.key`), "-out", file(`${name}.pem`)], {
    stdio: "ignore",
  })
}

before(async () => {
  for (const name of ["server", "stranger"]) selfSigned(name)
  const tls = [`--ssl-cert=${file("server.pem")}`, `--ssl-key=${file("server.key")}`, `--ssl-ca=${file("server.pem")}`]
  // It listens where its certificate does not say it does, too.
  server = await Server.start(...tls, "--require-secure-transport", "--bind-address=127.0.0.1,127.0.0.2")
  makeSaver(server)
  server.sql("CREATE DATABASE shop")
})
after(async () => {
  await server.end()
  rmSync(folder, { recursive: true })
})

test("a server is asked if the authorities know it, and not told the password if they do not", async () => {
  const content = await contentOf(sourceOf(server, { ca: file("server.pem") }))
  assert.ok(content.has("1-tables/shop.sql"))
  const refused = (error: unknown): boolean => isFault(error, "refused") && /2026|certificate/.test(error.message)
  await assert.rejects(contentOf(sourceOf(server, { ca: file("stranger.pem") })), refused)
  await assert.rejects(contentOf(sourceOf(server, { ca: file("server.pem"), host: "127.0.0.2" })), refused)
})

test("mydumper by itself asks no server that the authorities do not know under this name, or that speaks in the clear", async () => {
  server.sql(`${MORE_GRANTS}; CREATE TABLE IF NOT EXISTS shop.t (id INT)`)
  const content = await contentOf(sourceOf(server, { ca: file("server.pem"), mydumper: { threads: 1 } }))
  assert.ok(content.has("1a-definitions/shop.sql"))
  const tool = await findMydumper(PATH)
  const clear = await Server.start("--skip-ssl")
  after(() => clear.end())
  makeSaver(clear)
  clear.sql(`${MORE_GRANTS}; CREATE DATABASE shop`)
  const own = { ca: file("server.pem") }
  for (const access of [
    server.access("saver", PASSWORD, { ca: file("stranger.pem") }),
    server.access("saver", PASSWORD, { ...own, host: "127.0.0.2" }),
    clear.access("saver", PASSWORD, own),
  ]) {
    await using dump = await RowsDump.start({
      ...{ tool, access, tables: [], limit: 1e6, signal },
      ...{ chosen: { schemas: ["shop"], skip: [], threads: 1 }, endsPart: byContent },
    })
    await assert.rejects(dump.files().next(), /mydumper ended with exit status 1; .*(?:TLS|SSL|certificate)/i)
  }
})

test("a server elsewhere is not spoken to in the clear unasked", async () => {
  const options = { ...server.access("saver", null), schemas: [], now: () => new Date(), host: "db.example" }
  assert.throws(
    () => mysqlSource(options),
    (error) => isFault(error, "usage"),
  )
  mysqlSource({ ...options, allowClear: true })
  mysqlSource({ ...options, ca: file("server.pem") })
  // This server refuses to be spoken to so.
  await assert.rejects(contentOf(sourceOf(server)), (error) => isFault(error, "refused"))
})
