// An organisation with repositories on a double of GitHub, and beside it the real git server that they are cloned from.

import { randomBytes } from "node:crypto"
import { rmSync } from "node:fs"
import { join } from "node:path"
import { kill } from "node:process"
import { after } from "node:test"
import { commit, git, type Lab, makeLabFor } from "../../source-git/test/world.ts"
import { noise } from "../../store/test/helpers.ts"
import type { GithubSourceOptions } from "../src/index.ts"
import { emptyRepository, type Fields, type GitHub, type Repository, startGitHub } from "./github.ts"

export const OWNER = "acme"

export interface World {
  readonly github: GitHub
  readonly lab: Lab
  /** Of a repository, to work in. */
  readonly work: ReadonlyMap<string, string>
  repository(name: string): Repository
  /** Adds a repository with content on the git server. */
  add(name: string, fields?: Fields): Repository
  /** Nothing is left of any repository. */
  clear(): void
  options(more?: Partial<GithubSourceOptions>): GithubSourceOptions
}

/** Ends with the file's tests. */
export async function makeWorld(): Promise<World> {
  const token = `ghp_${randomBytes(16).toString("hex")}`
  const lab = await makeLabFor({ username: "x-access-token", password: token })
  const github = await startGitHub(OWNER, token)
  after(() => github.close())
  const work = new Map<string, string>()
  let caches = 0
  const remove = (name: string): void => {
    for (const old of [`${name}-work`, `server/${name}.git`, `server/${name}.wiki.git`])
      rmSync(join(lab.place, old), { recursive: true, force: true })
  }
  return {
    ...{ github, lab, work },
    repository(name) {
      const found = github.repositories.get(name)
      if (found === undefined) throw new Error(`there is no ${name}`)
      return found
    },
    add(name, fields = {}) {
      remove(name)
      work.set(name, lab.repository(name))
      const clone = { clone_url: `${lab.server.url}/${name}.git`, has_wiki: false, owner: { login: OWNER } }
      const made = emptyRepository({ name, full_name: `${OWNER}/${name}`, id: github.nextId(), ...clone, ...fields })
      github.repositories.set(name, made)
      return made
    },
    clear() {
      for (const name of github.repositories.keys()) remove(name)
      github.repositories.clear()
    },
    options: (more = {}) => ({
      ...{ owner: OWNER, token, baseUrl: github.baseUrl, cache: join(lab.place, `github-cache-${caches++}`) },
      ...{
        env: process.env,
        kill,
        second: 5,
        paced: false,
        tries: 3,
        now: () => new Date("2026-11-24T08:00:00Z"),
        ...more,
      },
    }),
  }
}

const user = (login: string): Fields => ({ login, id: 7 })

/** Two repositories: one with all that can be kept, and its wiki; and one that is plain. */
export function fillWorld(world: World): void {
  const { github, lab } = world
  const app = world.add("app", { has_wiki: true, description: "the ünique app", private: true, default_branch: "main" })
  world.add("zoo")
  git(lab.place, "clone", "--quiet", "--bare", join(lab.folder, "app.git"), join(lab.folder, "app.wiki.git"))
  app.labels.push(
    { id: 1, name: "bug", color: "ff0000", description: "wrong" },
    { id: 2, name: "später", color: "00ff00" },
  )
  app.milestones.push({
    number: 1,
    title: "1.0",
    state: "closed",
    description: "the first",
    due_on: "2026-03-01T00:00:00Z",
  })
  for (let number = 1; number <= 130; number++) addIssue(app, number, `title ${number}`, `body of ${number}`)
  const first = app.issues[0]
  Object.assign(first ?? {}, {
    state: "closed",
    state_reason: "completed",
    labels: [app.labels[0]],
    milestone: app.milestones[0],
  })
  addComment(github, app, 1, "first *comment*", "ben")
  addComment(github, app, 1, "second, with ümlaut", "cleo")
  const at = "2026-02-03T00:00:00Z"
  addIssue(app, 131, "a pull", "please take", { pull_request: {} })
  app.pulls.set(131, {
    number: 131,
    title: "a pull",
    state: "open",
    user: user("ana"),
    merged: false,
    body: "please take",
  })
  app.reviews.set(131, [{ id: 501, user: user("ben"), body: "looks good", state: "APPROVED", submitted_at: at }])
  app.reviewComments.set(131, [
    { id: 502, user: user("cleo"), body: "why?", path: "src/main.c", line: 1, created_at: at, updated_at: at },
  ])
  app.protection.set("main", { required_linear_history: { enabled: true } })
  addRelease(github, app, "v1", { "app.tar": noise(200_000), "päckage.zip": noise(1_000) })
}

export function addIssue(
  repository: Repository,
  number: number,
  title: string,
  body: string,
  more: Fields = {},
): Fields {
  const at = `2026-02-01T00:${String(number % 60).padStart(2, "0")}:00Z`
  const fields = { id: 10_000 + number, number, title, body, state: "open", user: user("ana"), comments: 0 }
  const issue = { ...fields, labels: [], milestone: null, created_at: at, updated_at: at, ...more }
  repository.issues.push(issue)
  return issue
}

export function addComment(github: GitHub, repository: Repository, issue: number, body: string, login: string): void {
  const at = "2026-02-02T00:00:00Z"
  const known = repository.comments.get(issue) ?? []
  known.push({ id: github.nextId(), body, user: user(login), created_at: at, updated_at: at })
  repository.comments.set(issue, known)
  const found = repository.issues.find(({ number }) => number === issue)
  Object.assign(found ?? {}, { comments: known.length })
}

function addRelease(github: GitHub, repository: Repository, tag: string, files: Record<string, Uint8Array>): void {
  const assets = Object.entries(files).map(([name, bytes]) => {
    const id = github.nextId()
    repository.assets.set(id, Buffer.from(bytes))
    return {
      id,
      name,
      label: null,
      size: bytes.length,
      content_type: "application/octet-stream",
      state: "uploaded",
      updated_at: "2026-02-01T00:00:00Z",
    }
  })
  const id = github.nextId()
  repository.releases.push({
    id,
    tag_name: tag,
    name: `release ${tag}`,
    body: "notes",
    draft: false,
    prerelease: false,
    assets,
  })
}

export function pushChange(world: World, name: string): void {
  const work = world.work.get(name) ?? ""
  commit(work, "changed", noise(10))
  git(work, "push", "--quiet", "origin", "HEAD")
}
