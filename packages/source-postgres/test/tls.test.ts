// Where a server is and how it is spoken to: what a URL means, and TLS with certificates that count and ones that do not.

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { chmodSync, chownSync, mkdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { after, test } from "node:test"
import { isFault } from "@backup-cloud/format"
import { collect, signal } from "../../trust/test/archive.ts"
import { parseAddress } from "../src/address.ts"
import { postgresSource } from "../src/index.ts"
import { Cluster } from "./cluster.ts"

let cluster: Cluster | null = null
after(async () => {
  await cluster?.close()
})

test("a URL says host, port, role, database and TLS; over the network the certificate is checked unless it says otherwise", () => {
  const variables = (url: string): Record<string, string> => {
    const { PGAPPNAME, PGCONNECT_TIMEOUT, ...others } = parseAddress(url).variables
    assert.deepEqual([PGAPPNAME, PGCONNECT_TIMEOUT], ["backup-cloud", "30"])
    return others
  }
  assert.deepEqual(variables("postgres://a%40b@db.example:5433/"), {
    ...{ PGHOST: "db.example", PGPORT: "5433", PGUSER: "a@b", PGSSLMODE: "verify-full" },
  })
  assert.deepEqual(variables("postgresql://db.example/x?sslmode=require&sslrootcert=/a%20b.pem"), {
    ...{ PGHOST: "db.example", PGSSLMODE: "require", PGSSLROOTCERT: "/a b.pem" },
  })
  for (const local of [
    "postgres:///x",
    "postgres://localhost/",
    "postgres://127.0.0.1",
    "postgres://[::1]/",
    "postgres:///?host=/run/pg",
  ])
    assert.equal(variables(local)["PGSSLMODE"], undefined, local)
  assert.equal(variables("postgres://[::1]/")["PGHOST"], "::1")
  assert.equal(variables("postgres://127.0.0.1.example/")["PGSSLMODE"], "verify-full")
  assert.equal(variables("postgres:///?host=/run/pg")["PGHOST"], "/run/pg")
  assert.equal(parseAddress("postgres://h/a%2Fb%20c").database, "a/b c")
  for (const all of ["postgres://h", "postgres://h/", "postgres://"]) assert.equal(parseAddress(all).database, null)
})

test("a URL that means something else, or holds a password, is a usage error that does not tell it", () => {
  const secret = "hunter2hunter2"
  const wrong = [
    `postgres://a:${secret}@h/`,
    "postgres://h/a/b",
    "postgres://h/?color=1",
    "postgres://h/x#y",
    "mysql://h/",
    "postgres",
    "postgres://h/%zz",
  ]
  for (const url of wrong) {
    assert.throws(
      () => parseAddress(url),
      (error) =>
        isFault(error, "usage") && !`${error.message}${error.hint ?? ""}${String(error.cause)}`.includes(secret),
      url,
    )
  }
})

test("with verify-full only the right authority and the right name count, and without TLS nobody comes in", async () => {
  cluster = await Cluster.start()
  cluster.backupRole()
  const folder = join(cluster.folder, "tls")
  mkdirSync(folder)
  const openssl = (...args: readonly string[]): unknown => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" })
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
  for (const name of ["right", "other"])
    openssl(
      "req",
      "-x509",
      ...key,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.pem`,
      "-subj",
      `/CN=${name}`,
      "-days",
      "2",
    )
  openssl(
    ...["req", "-x509", ...key, "-keyout", "server.key", "-out", "server.pem", "-subj", "/CN=server", "-days", "2"],
    ...["-CA", "right.pem", "-CAkey", "right.key", "-addext", "subjectAltName=IP:127.0.0.1"],
  )
  const { uid, gid } = statSync(cluster.folder)
  for (const file of ["server.key", "server.pem"]) chownSync(join(folder, file), uid, gid)
  chmodSync(join(folder, "server.key"), 0o600)
  cluster.requireTls()
  await cluster.stop("SIGINT")
  await cluster.run(["ssl=on", `ssl_cert_file=${folder}/server.pem`, `ssl_key_file=${folder}/server.key`])
  const listed = async (query: string, host = "127.0.0.1"): Promise<unknown> => {
    const url = `postgres://backup@${host}:${cluster?.port ?? 0}/postgres?${query}`
    const source = postgresSource({ ...cluster!.access(), url, now: () => new Date(0) })
    return await collect(source.entries(signal)).catch((error: unknown) => error)
  }
  const full = (authority: string): string => `sslmode=verify-full&sslrootcert=${folder}/${authority}.pem`
  assert.ok(Array.isArray(await listed(full("right"))))
  for (const [query, host] of [
    [full("other")],
    [full("right"), "localhost"],
    ["sslmode=verify-full&sslrootcert=/nowhere.pem"],
    ["sslmode=disable"],
  ] as const) {
    const error = await listed(query, host)
    assert.ok(isFault(error, "refused"), `${query} ${String(error)}`)
  }
  assert.ok(Array.isArray(await listed("sslmode=require", "localhost")))
})
