// The page docs/writing-a-source.md: each of its blocks is run as it stands there, but for the places of this test and the
// yes that a person would type, in the order of the page; and its source keeps the contract of all sources.

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { createServer, type RequestListener, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { pathToFileURL } from "node:url"
import { exitCode, type Source } from "@backup-cloud/format"
import { sourceContract } from "../../backup/test/source-contract.ts"
import { of } from "../../cli/test/run.ts"
import { fromSources, World } from "../../cli/test/world.ts"

const root = join(import.meta.dirname, "../../..")
const page = readFileSync(join(root, "docs/writing-a-source.md"), "utf8")
const blocks = [...page.matchAll(/^```(\w*) ?(\S*)\n(.*?)^```$/gms)].map(([, kind = "", name = "", text = ""]) => ({
  ...{ kind, name, text },
}))

/** A wiki that answers as the page says. */
class Wiki {
  readonly pages = new Map<string, { text: string; revision: number; changed: string }>()
  /** Names of pages whose text was asked for. */
  readonly read: string[] = []
  /** Names of pages whose text is gone although they are listed. */
  readonly gone = new Set<string>()
  broken = false
  readonly #server: Server

  constructor() {
    const answer: RequestListener = (request, response) => {
      const [, , , name] = (request.url ?? "").split("/")
      if (name === undefined) {
        const listed = [...this.pages].map(([each, { revision, changed }]) => ({ name: each, revision, changed }))
        response.end(JSON.stringify(listed))
        return
      }
      const decoded = decodeURIComponent(name)
      this.read.push(decoded)
      const found = this.gone.has(decoded) ? undefined : this.pages.get(decoded)
      if (found === undefined) {
        response.writeHead(404).end()
        return
      }
      const bytes = Buffer.from(found.text)
      response.writeHead(200, { "content-length": bytes.length })
      if (this.broken) response.write(bytes.subarray(0, bytes.length >> 1), () => response.destroy())
      else response.end(bytes)
    }
    this.#server = createServer(answer)
  }

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/api/`
  }

  put(name: string, text: string): void {
    const revision = (this.pages.get(name)?.revision ?? 0) + 1
    this.pages.set(name, { text, revision, changed: "2026-11-20T08:00:00Z" })
  }

  /** Text by path, a character for each byte. */
  content(): Map<string, string> {
    const bytes = (text: string): string => Buffer.from(text).toString("latin1")
    return new Map([...this.pages].map(([name, { text }]) => [encodeURIComponent(name), bytes(text)]))
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}

const world = new World()
const folder = world.file("program")
const people: Readonly<Record<string, string>> = {
  ...{ machine: "machine", administrator: "admin", operator: "oscar", holder: "alice" },
}
const wikis: Wiki[] = []
let wiki: Wiki
let places: readonly (readonly [string | RegExp, string])[]

async function openWiki(): Promise<{ wiki: Wiki; base: string }> {
  const opened = new Wiki()
  wikis.push(opened)
  const base = await opened.open()
  opened.put("Main Page", "Welcome!\n".repeat(20_000))
  opened.put("Zürich/Café", "Grüezi\n")
  opened.put("empty", "")
  return { wiki: opened, base }
}

before(async () => {
  const opened = await openWiki()
  wiki = opened.wiki
  for (const name of ["data", "machine", "program", "bin"]) mkdirSync(world.file(name), { mode: 0o700 })
  world.start(world.file("data"))
  const modules = join(folder, "node_modules")
  mkdirSync(join(modules, "@backup-cloud"), { recursive: true })
  symlinkSync(join(root, "packages/backup-cloud"), join(modules, "backup-cloud"))
  symlinkSync(join(root, "packages/source-dir"), join(modules, "@backup-cloud/source-dir"))
  const program = join(root, "packages/cli/bin/backup-cloud.js")
  writeFileSync(join(world.file("bin"), "backup-cloud"), `#!/bin/sh\nexec ${process.execPath} ${program} "$@"\n`, {
    mode: 0o755,
  })
  places = [
    ["FINGERPRINT", world.fingerprints.get("admin") ?? ""],
    ["/mnt/archive", world.archive],
    ["/etc/backup-cloud", world.file("machine/backup-cloud")],
    ["/etc/oscar", world.file("oscar/backup-cloud")],
    ["/srv/restored", world.file("restored")],
    ["https://wiki.example/api/", opened.base],
    [/^backup-cloud (?:trust|keyholder approve) .*$/gm, "$& --yes"],
  ]
  for (const { kind, name, text } of blocks) if (kind === "ts") writeFileSync(join(folder, name), here(text))
})
after(() => {
  for (const each of wikis) each.close()
  world.end()
})

const here = (text: string): string => places.reduce((line, [from, to]) => line.replaceAll(from, to), text)

/** Runs a program as somebody, while the wiki answers. */
async function run(who: string, program: string, ...args: string[]): Promise<{ status: number | null; said: string }> {
  const { env } = of(world, who, fromSources)
  const path = `${world.file("bin")}:${env["PATH"] ?? ""}`
  const child = spawn(program, args, { cwd: folder, env: { ...env, PATH: path }, stdio: ["ignore", "pipe", "pipe"] })
  let said = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece: Buffer) => (said += piece.toString()))
  return await new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (status) => {
      resolve({ status, said })
    })
  })
}

async function runBlock(at: number): Promise<void> {
  const { kind, name, text } = blocks[at] ?? { kind: "none", name: "", text: "" }
  const { status, said } =
    kind === "ts"
      ? await run(name === "restore.ts" ? "oscar" : "machine", process.execPath, name)
      : await run(people[name] ?? "", "/bin/sh", "-euc", here(text))
  assert.equal(status, 0, `${name}: ${text}\n${said}`)
}

/** What the restored folder holds, by name, a character for each byte. */
const restored = (): [string, string][] =>
  readdirSync(world.file("restored")).map((name) => [name, readFileSync(join(world.file("restored"), name), "latin1")])

test("the blocks of the page back up, back up what changed, and restore", async () => {
  const names = blocks.map(({ kind, name }) => `${kind} ${name}`)
  assert.deepEqual(names, [
    ...["ts wiki.ts", "sh machine", "sh administrator", "ts backup.ts", "sh operator", "sh holder", "ts restore.ts"],
  ])
  for (const at of [1, 2, 3]) await runBlock(at)
  assert.deepEqual(wiki.read.splice(0).toSorted(), [...wiki.pages.keys()].toSorted())
  wiki.put("Main Page", "Welcome again!\n".repeat(20_000))
  wiki.put("new", "page\n")
  await runBlock(3)
  assert.deepEqual(wiki.read.toSorted(), ["Main Page", "new"])
  for (const at of [4, 5, 6]) await runBlock(at)
  assert.deepEqual(new Map(restored().toSorted()), new Map([...wiki.content()].toSorted()))
  assert.equal(world.runs("wiki").length, 2)
})

test("the command leaves such a source to its program", async () => {
  const alone = await run("machine", "backup-cloud", "backup", "wiki")
  assert.equal(alone.status, exitCode.usage, alone.said)
  assert.match(alone.said, /wiki is backed up by a program of its own/)
  const nothing = await run("machine", "backup-cloud", "backup")
  assert.equal(nothing.status, exitCode["not-found"], nothing.said)
  assert.match(world.ok("admin", "source", "list"), /^wiki +wiki +elsewhere/m)
  for (const wrong of [["program:"], ["program:My Kind"], ["program:wiki", "--include", "x"]])
    world.fails("admin", exitCode.usage, "source", "add", "other", ...wrong)
})

test("the source of the page has fewer than 60 lines, and its types are right", async () => {
  assert.ok((blocks[0]?.text ?? "").trimEnd().split("\n").length < 60)
  const options = { extends: join(root, "tsconfig.base.json"), compilerOptions: { noEmit: true, composite: false } }
  const more = { types: ["node"], typeRoots: [join(root, "node_modules/@types")], allowImportingTsExtensions: true }
  const config = { ...options, compilerOptions: { ...options.compilerOptions, ...more, declaration: false } }
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }')
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ ...config, include: ["*.ts"] }))
  const tsc = join(root, "node_modules/typescript/bin/tsc")
  const { status, said } = await run("machine", process.execPath, tsc, "-p", folder)
  assert.equal(status, 0, said)
})

sourceContract("the wiki of the page", { broken: "failed", loses: true }, async () => {
  const opened = await openWiki()
  const { wikiSource } = (await import(pathToFileURL(join(folder, "wiki.ts")).href)) as {
    wikiSource: (base: string) => Source
  }
  const revision = (path: string) => opened.wiki.pages.get(decodeURIComponent(path))?.revision
  return {
    source: wikiSource(opened.base),
    content: () => opened.wiki.content(),
    attributes: (path) => ({ "wiki.revision": String(revision(path)) }),
    async change() {
      opened.wiki.put("Main Page", `${opened.wiki.pages.get("Main Page")?.text ?? ""}More.\n`)
      return encodeURIComponent("Main Page")
    },
    async breakOff() {
      opened.wiki.broken = true
      return async () => {
        opened.wiki.broken = false
      }
    },
    async lose() {
      opened.wiki.gone.add("Main Page")
      return { path: encodeURIComponent("Main Page"), word: "ENOENT" }
    },
  }
})
