// A repository on a server, worked on through a checkout of its own, and what tests ask of repositories.

import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { kill } from "node:process"
import { after } from "node:test"
import type { CatalogueEntry } from "@backup-cloud/format"
import type { Machine } from "../../backup/test/machine.ts"
import { catalogueEntries, openRoot } from "../../restore/src/index.ts"
import { noise } from "../../store/test/helpers.ts"
import { collect, signal } from "../../trust/test/archive.ts"
import type { GitSourceOptions } from "../src/index.ts"
import { type Account, type GitServer, startGitServer } from "./server.ts"

export const account: Account = { username: "backup", password: `token-${randomBytes(12).toString("hex")}` }

export interface Lab {
  readonly place: string
  /** Holds the repositories that the server shows. */
  readonly folder: string
  readonly server: GitServer
  /** A new repository on the server with two branches and a tag; the checkout to work in. */
  repository(name: string): string
  options(name: string): GitSourceOptions
}

/** Ends with the file's tests. */
export async function makeLab(): Promise<Lab> {
  return await makeLabFor(account)
}

/** The same for others who know another password. */
export async function makeLabFor(account: Account): Promise<Lab> {
  const place = mkdtempSync(join(tmpdir(), "git-lab-"))
  const folder = join(place, "server")
  mkdirSync(folder)
  const server = await startGitServer(folder, account)
  after(async () => {
    await server.close()
    rmSync(place, { recursive: true, force: true })
  })
  return {
    ...{ place, folder, server },
    repository(name) {
      git(place, "init", "--quiet", "--bare", "--initial-branch=main", join(folder, `${name}.git`))
      const work = join(place, `${name}-work`)
      git(place, "init", "--quiet", "--initial-branch=main", work)
      git(work, "remote", "add", "origin", join(folder, `${name}.git`))
      commit(work, "README.md", "hello\n")
      commit(work, "src/main.c", "int main() { return 0; }\n")
      git(work, "branch", "feature/one", "HEAD~1")
      git(work, "tag", "-a", "v1", "-m", "the first")
      git(work, "push", "--quiet", "--all")
      git(work, "push", "--quiet", "--tags")
      return work
    },
    options: (name) => ({
      url: `${server.url}/${name}.git`,
      credential: account,
      cache: join(place, "cache", name),
      env: process.env,
      kill,
    }),
  }
}

/** Runs git as the user of a checkout, with none of this machine's configuration. */
export function git(cwd: string, ...args: string[]): string {
  const who = [
    "-c",
    "user.name=Ana",
    "-c",
    "user.email=ana@test.example",
    "-c",
    "protocol.file.allow=always",
    "-c",
    "core.hooksPath=/dev/null",
  ]
  const env = { PATH: process.env["PATH"] ?? "", HOME: cwd, GIT_CONFIG_NOSYSTEM: "1", GIT_TERMINAL_PROMPT: "0" }
  return execFileSync("git", [...who, ...args], { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })
}

export function commit(work: string, path: string, content: string | Uint8Array): string {
  mkdirSync(dirname(join(work, path)), { recursive: true })
  writeFileSync(join(work, path), content)
  git(work, "add", "--all")
  git(work, "commit", "--quiet", "--message", `change ${path}`)
  return git(work, "rev-parse", "HEAD").trim()
}

/**
 * Commits and pushes a file that is in LFS, its object put where the server has them; its id.
 * @param length of content that is the same each time
 */
export function commitLarge(lab: Lab, work: string, path: string, length: number): string {
  git(work, "lfs", "install", "--local", "--skip-repo")
  git(work, "lfs", "track", "*.bin")
  commit(work, path, noise(length))
  git(work, "push", "--quiet", "origin", "HEAD")
  const id = /^oid sha256:(.*)$/m.exec(git(work, "cat-file", "blob", `HEAD:${path}`))?.[1] ?? ""
  const at = join(work, ".git/lfs/objects", id.slice(0, 2), id.slice(2, 4), id)
  lab.server.lfs.set(id, readFileSync(at))
  return id
}

/** Refs with their objects, HEAD first. */
export function refsOf(repository: string): string {
  return `${git(repository, "symbolic-ref", "HEAD")}${git(repository, "for-each-ref", "--format=%(objectname) %(refname)")}`
}

/** Every object of a repository that a ref reaches, with type and size. */
export function objectsOf(repository: string): string[] {
  const ids = git(repository, "rev-list", "--objects", "--all", "--no-object-names").split("\n").filter(Boolean)
  const asked = { cwd: repository, input: `${ids.join("\n")}\n`, encoding: "utf8" as const }
  return execFileSync("git", ["cat-file", "--batch-check"], asked).split("\n").filter(Boolean).sort()
}

/** Files of a folder by path, contents as byte strings. */
export function filesOf(top: string): Map<string, string> {
  const paths = readdirSync(top, { recursive: true, encoding: "utf8" }).filter((path) =>
    statSync(join(top, path)).isFile(),
  )
  return new Map(paths.map((path) => [path, readFileSync(join(top, path), "latin1")]))
}

export async function entriesOf(machine: Machine, which = "latest"): Promise<CatalogueEntry[]> {
  const view = await machine.view(machine.store, which)
  return await collect(catalogueEntries(view, await openRoot(view, signal), signal))
}

/** Restores the files of a run into a new folder below `place`, as any restore to a directory would; the folder. */
export async function restored(machine: Machine, place: string, which = "latest"): Promise<string> {
  const top = mkdtempSync(join(place, "restored-"))
  for (const entry of await entriesOf(machine, which))
    if (entry.type === "d") mkdirSync(join(top, entry.path), { recursive: true })
  for (const [path, content] of await machine.content(machine.store, which))
    writeFileSync(join(top, path), content, "latin1")
  return top
}
