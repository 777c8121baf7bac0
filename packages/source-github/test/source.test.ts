// An organisation as a source in whole runs: what is kept, what is asked of GitHub again and what is not, and what happens
// when a part of it cannot be had.

import assert from "node:assert/strict"
import { join } from "node:path"
import { afterEach, beforeEach, test } from "node:test"
import { inspect } from "node:util"
import { isFault } from "@backup-cloud/format"
import { type Machine, makeMachine } from "../../backup/test/machine.ts"
import { inFiles, watched } from "../../source-git/test/watch.ts"
import { entriesOf, objectsOf, refsOf, restored } from "../../source-git/test/world.ts"
import { githubSource } from "../src/index.ts"
import { addComment, addIssue, fillWorld, makeWorld, OWNER, pushChange } from "./world.ts"

const world = await makeWorld()
const { github, lab } = world
beforeEach(() => {
  github.repositories.clear()
  github.asked.length = 0
})
afterEach(() => {
  github.intercept = () => null
  lab.server.intercept = () => null
  assert.deepEqual(github.problems.splice(0), [], "every request and answer is as GitHub describes it")
})

async function again(machine: Machine) {
  machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
  return await machine.backup(machine.store)
}

const json = (content: ReadonlyMap<string, string>, path: string): unknown =>
  JSON.parse(Buffer.from(content.get(path) ?? "", "latin1").toString("utf8"))

test("everything is kept, and what did not change is not asked for or stored again", async () => {
  fillWorld(world)
  const machine = await makeMachine(githubSource(world.options()))
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  const content = await machine.content(machine.store, "latest")
  const at = "repositories/app"
  assert.equal((json(content, `${at}/repository.json`) as { description: string }).description, "the ünique app")
  const issue = json(content, `${at}/issues/1.json`) as {
    issue: { milestone: { title: string } }
    comments: { body: string }[]
  }
  assert.deepEqual(
    issue.comments.map(({ body }) => body),
    ["first *comment*", "second, with ümlaut"],
  )
  assert.equal(issue.issue.milestone.title, "1.0")
  const pull = json(content, `${at}/issues/131.json`) as {
    reviews: { body: string }[]
    review_comments: { path: string }[]
  }
  assert.equal(pull.reviews[0]?.body, "looks good")
  assert.equal(pull.review_comments[0]?.path, "src/main.c")
  assert.equal([...content.keys()].filter((path) => path.startsWith(`${at}/issues/`)).length, 131)
  assert.deepEqual(
    (json(content, `${at}/labels.json`) as { name: string }[]).map(({ name }) => name),
    ["bug", "später"],
  )
  assert.deepEqual(Object.keys(json(content, `${at}/branch-protection.json`) as object), ["main"])
  const [release] = json(content, `${at}/releases.json`) as { assets: { id: number }[] }[]
  for (const { id } of release?.assets ?? [])
    assert.ok(
      Buffer.from(content.get(`${at}/assets/${id}`) ?? "", "latin1").equals(
        world.repository("app").assets.get(id) ?? Buffer.alloc(0),
      ),
    )
  const back = await restored(machine, lab.place)
  for (const [path, name] of [
    ["app/repository.git", "app.git"],
    ["app/wiki.git", "app.wiki.git"],
    ["zoo/repository.git", "zoo.git"],
  ] as const) {
    assert.equal(refsOf(join(back, "repositories", path)), refsOf(join(lab.folder, name)))
    assert.deepEqual(objectsOf(join(back, "repositories", path)), objectsOf(join(lab.folder, name)))
  }
  assert.deepEqual(await machine.problems(machine.store), [])

  github.asked.length = 0
  const second = await again(machine)
  assert.equal(second.outcome, "complete")
  const counted = github.asked.filter((line) => !line.endsWith(" 304"))
  assert.ok(
    counted.every((line) => /\/issues(?:\?.*since=|\/[0-9]+\/)|\/pulls\/131/.test(line)),
    counted.join("\n"),
  )
  assert.ok(counted.length < 15, counted.join("\n"))
  const before = await machine.content(machine.store, "latest")
  assert.deepEqual(before, content)

  addIssue(world.repository("app"), 132, "new", "new one", { updated_at: "2026-03-01T00:00:00Z" })
  addComment(github, world.repository("app"), 5, "late", "ben")
  Object.assign(world.repository("app").issues.find(({ number }) => number === 5) ?? {}, {
    updated_at: "2026-03-02T00:00:00Z",
  })
  pushChange(world, "zoo")
  await again(machine)
  const after = await machine.content(machine.store, "latest")
  const changed = [...after].filter(([path, bytes]) => before.get(path) !== bytes && !path.endsWith(".git/packed-refs"))
  assert.deepEqual(
    changed.map(([path]) => path.replace(/pack-[0-9a-f]+/, "pack")).sort(),
    [
      ...["app/issues/132.json", "app/issues/5.json"],
      ...["zoo/repository.git/objects/pack/pack.idx", "zoo/repository.git/objects/pack/pack.pack"],
    ].map((path) => `repositories/${path}`),
  )
  assert.deepEqual((json(after, `${at}/issues/5.json`) as { comments: { body: string }[] }).comments[0]?.body, "late")
})

test("an issue that was deleted goes once everything is listed again, and stays in the earlier run", async () => {
  fillWorld(world)
  let now = new Date("2026-11-24T08:00:00Z")
  const machine = await makeMachine(githubSource(world.options({ now: () => now })))
  await machine.backup(machine.store)
  const issues = world.repository("app").issues
  issues.splice(
    issues.findIndex(({ number }) => number === 7),
    1,
  )
  now = new Date("2026-12-02T08:00:00Z")
  await again(machine)
  const paths = [...(await machine.content(machine.store, "latest")).keys()]
  assert.ok(!paths.includes("repositories/app/issues/7.json"))
  assert.ok(paths.includes("repositories/app/issues/8.json"))
})

test("a repository that cannot be read is listed, and the others go on", async () => {
  fillWorld(world)
  world.add("middle")
  lab.server.intercept = ({ url }) => (url?.startsWith("/middle.git") === true ? { status: 403 } : null)
  github.intercept = (_, url) =>
    url.includes("/middle/labels") ? { status: 403 } : url.includes("/middle/issues") ? { status: 410 } : null
  const machine = await makeMachine(githubSource(world.options()))
  const result = await machine.backup(machine.store)
  assert.equal(result.outcome, "partial")
  assert.deepEqual(
    (await entriesOf(machine)).flatMap(({ path, attributes }) =>
      attributes.has("error") ? [[path, attributes.get("error")]] : [],
    ),
    [
      ["repositories/middle/issues", "HTTP-410"],
      ["repositories/middle/labels.json", "HTTP-403"],
      ["repositories/middle/repository.git", "refused"],
    ],
  )
  const paths = (await entriesOf(machine)).flatMap(({ path, sha256 }) => (sha256 === null ? [] : [path]))
  assert.ok(paths.includes("repositories/zoo/repository.git/packed-refs"))
  assert.ok(paths.includes("repositories/middle/repository.json"))
  github.intercept = () => null
  lab.server.intercept = () => null
  assert.equal((await again(machine)).outcome, "complete")
})

test("limits are waited for as the server says: 429, 403 with retry-after, and the hour's limit", async () => {
  fillWorld(world)
  const limits = [
    { status: 429, headers: { "retry-after": "2" } },
    { status: 403, headers: { "retry-after": "1" }, data: { message: "You have exceeded a secondary rate limit" } },
    { status: 403, headers: { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1" } },
    { status: 502 },
  ]
  const met: number[] = []
  github.intercept = (route) => {
    if (route !== "GET /repos/{owner}/{repo}/issues") return null
    const limit = limits.shift() ?? null
    if (limit !== null) met.push(limit.status)
    return limit
  }
  const machine = await makeMachine(githubSource(world.options()))
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  assert.deepEqual(met, [429, 403, 403, 502])
})

test("a limit that stays used up, a page that fails, a server that goes: nothing is committed, the next run is whole", async () => {
  fillWorld(world)
  const machine = await makeMachine(githubSource(world.options()))
  await machine.backup(machine.store)
  const before = await machine.content(machine.store, "latest")
  addIssue(world.repository("app"), 140, "one more", "x", { updated_at: "2026-04-01T00:00:00Z" })
  const troubles = [
    () => ({ status: 403, headers: { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1" } }),
    () => "hang up" as const,
  ]
  for (const trouble of troubles) {
    github.intercept = (route) => (route === "GET /repos/{owner}/{repo}/issues" ? trouble() : null)
    await assert.rejects(again(machine), (e) => isFault(e, "unavailable") && e.hint !== undefined)
    assert.deepEqual(await machine.content(machine.store, "latest"), before)
  }
  github.intercept = () => null
  await again(machine)
  assert.ok((await machine.content(machine.store, "latest")).has("repositories/app/issues/140.json"))
  const fresh = await makeMachine(githubSource(world.options()))
  github.intercept = (_, url) => (/issues\?.*[?&]page=2/.test(url) ? { status: 500 } : null)
  assert.equal((await fresh.backup(fresh.store)).outcome, "partial")
  github.intercept = () => null
  assert.equal((await again(fresh)).outcome, "complete")
  assert.ok((await fresh.content(fresh.store, "latest")).has("repositories/app/issues/131.json"))
})

test("a wrong token and an owner that is not there end the run with a word of it", async () => {
  fillWorld(world)
  const list = async (more: object) => {
    const machine = await makeMachine(githubSource(world.options(more)))
    await machine.backup(machine.store)
  }
  await assert.rejects(
    list({ token: "wrong" }),
    (e) => isFault(e, "refused") && /does not know the token/.test(e.message),
  )
  await assert.rejects(list({ owner: "nobody" }), (e) => isFault(e, "not-found"))
  await assert.rejects(list({ owner: "../x" }), (e) => isFault(e, "usage"))
  for (const baseUrl of ["ftp://h/api", "x", "https://u:p@h/api/v3"])
    await assert.rejects(list({ baseUrl }), (e) => isFault(e, "usage"))
  await assert.rejects(list({ baseUrl: "http://github.test.example/api/v3" }), (e) => isFault(e, "refused"))
  await list({ owner: OWNER })
})

test("the token is in no process, event, error, file or object", async () => {
  fillWorld(world)
  world.repository("app").fields["temp_clone_token"] = "AATEMPORARY"
  const options = world.options()
  const machine = await makeMachine(githubSource(options))
  const secrets = [options.token, Buffer.from(`x-access-token:${options.token}`).toString("base64")]
  const events: unknown[] = []
  const onEvent = (event: unknown): void => {
    events.push(event)
  }
  const { found, looks } = await watched(secrets, machine.backup(machine.store, { onEvent }))
  assert.deepEqual(found, [])
  assert.ok(looks > 10)
  assert.ok(!secrets.some((secret) => JSON.stringify(events).includes(secret)))
  assert.deepEqual(inFiles(secrets, options.cache), [])
  for (const [path, content] of await machine.content(machine.store, "latest"))
    assert.ok(![...secrets, "AATEMPORARY"].some((secret) => content.includes(secret)), path)
  for (const trouble of [{ status: 401 }, { status: 429, headers: { "retry-after": "1" } }, "hang up"] as const) {
    github.intercept = () => trouble
    const error = await again(machine).catch((thrown: unknown) => thrown)
    assert.ok(error instanceof Error)
    assert.ok(!secrets.some((secret) => inspect(error, { depth: 9, showHidden: true }).includes(secret)))
  }
})
