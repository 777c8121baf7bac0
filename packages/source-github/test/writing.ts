// What the double of GitHub does when something is made: repositories, with one on the git server, and all that is restored.

import { join } from "node:path"
import { git, type Lab } from "../../source-git/test/world.ts"
import { emptyRepository, type Fields, type GitHub, type Handler, type Repository, UPLOADS } from "./github.ts"

const AT = "2026-11-24T09:00:00Z"

export function addWriting(github: GitHub, lab: Lab): void {
  const { handlers, owner } = github
  const repo = (
    route: string,
    status: number,
    handler: (repository: Repository, call: Parameters<Handler>[0]) => unknown,
  ): void => {
    const [method = "", rest = ""] = route.split(" R")
    handlers.set(`${method} /repos/{owner}/{repo}${rest}`, (call) => {
      const found = github.repositories.get(call.params["repo"] ?? "")
      if (found === undefined) throw new Error(`there is no ${call.params["repo"] ?? ""}`)
      const data = handler(found, call)
      return data === undefined ? { status } : { status, data }
    })
  }
  const user = { login: "restorer", id: 9 }
  handlers.set("POST /orgs/{org}/repos", ({ body }) => {
    const name = String(body["name"])
    git(lab.place, "init", "--quiet", "--bare", "--initial-branch=main", join(lab.folder, `${name}.git`))
    const made = emptyRepository({
      ...body,
      ...{ id: github.nextId(), full_name: `${owner}/${name}`, default_branch: "main", owner: { login: owner } },
      clone_url: `${lab.server.url}/${name}.git`,
    })
    // As a new repository of GitHub has.
    made.labels.push({ id: github.nextId(), name: "bug", color: "d73a4a" })
    github.repositories.set(name, made)
    return { status: 201, data: made.fields }
  })
  const push = (list: Fields[], fields: Fields): Fields => {
    const made = { id: github.nextId(), created_at: AT, updated_at: AT, ...fields }
    list.push(made)
    return made
  }
  repo("PATCH R", 200, ({ fields }, { body }) => Object.assign(fields, body))
  repo("POST R/labels", 201, ({ labels }, { body }) => push(labels, body))
  repo("POST R/milestones", 201, ({ milestones }, { body }) =>
    push(milestones, { number: milestones.length + 1, ...body }),
  )
  repo("POST R/issues", 201, (repository, { body }) => {
    const labels = (body["labels"] as string[]).map((name) => repository.labels.find((each) => each["name"] === name))
    const milestone = repository.milestones.find(({ number }) => number === body["milestone"]) ?? null
    const number = repository.issues.length + 1
    return push(repository.issues, { ...body, number, state: "open", user, labels, milestone, comments: 0 })
  })
  repo("PATCH R/issues/{issue_number}", 200, ({ issues }, { params, body }) =>
    Object.assign(issues.find(({ number }) => number === Number(params["issue_number"])) ?? {}, body),
  )
  repo("POST R/issues/{issue_number}/comments", 201, ({ comments }, { params, body }) => {
    const number = Number(params["issue_number"])
    const list = comments.get(number) ?? []
    comments.set(number, list)
    return push(list, { ...body, user })
  })
  repo("POST R/releases", 201, ({ releases }, { body, params }) => {
    const id = github.nextId()
    const upload = `${new URL(github.baseUrl).origin}${UPLOADS}/repos/${owner}/${params["repo"] ?? ""}/releases/${id}/assets`
    return push(releases, { ...body, id, assets: [], upload_url: `${upload}{?name,label}`, author: user })
  })
  repo("POST R/releases/{release_id}/assets", 201, ({ releases, assets }, { params, query, raw }) => {
    const release = releases.find(({ id }) => id === Number(params["release_id"]))
    const made = push(release?.["assets"] as Fields[], { name: query.get("name"), state: "uploaded", size: raw.length })
    assets.set(Number(made["id"]), raw)
    return made
  })
  repo("DELETE R/releases/assets/{asset_id}", 204, ({ releases }, { params }) => {
    for (const release of releases)
      release["assets"] = (release["assets"] as Fields[]).filter(({ id }) => id !== Number(params["asset_id"]))
    return undefined
  })
}
