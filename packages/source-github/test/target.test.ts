// An organisation restored into another: content, and all that was said, with author and date; goes on after it was
// interrupted, makes nothing twice and replaces nothing.

import assert from "node:assert/strict"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, test } from "node:test"
import { isFault, type TargetProblem } from "@backup-cloud/format"
import { type Machine, makeMachine } from "../../backup/test/machine.ts"
import { catalogueEntries, openRoot, planRestore, restore } from "../../restore/src/index.ts"
import { objectsOf, refsOf } from "../../source-git/test/world.ts"
import { signal } from "../../trust/test/archive.ts"
import { type GithubTargetOptions, githubSource, githubTarget } from "../src/index.ts"
import { markOf, recreated } from "../src/words.ts"
import { fillWorld, makeWorld, OWNER } from "./world.ts"
import { addWriting } from "./writing.ts"

const from = await makeWorld()
const to = await makeWorld()
addWriting(to.github, to.lab)
fillWorld(from)
// Enough to see that all are there.
from.repository("app").issues.splice(12, 118)
const machine: Machine = await makeMachine(githubSource(from.options()))
assert.equal((await machine.backup(machine.store)).outcome, "complete")
let count = 0

beforeEach(() => {
  to.clear()
})
afterEach(() => {
  to.github.intercept = () => null
  assert.deepEqual([...from.github.problems.splice(0), ...to.github.problems.splice(0)], [])
})

const target = (more: Partial<GithubTargetOptions> = {}): GithubTargetOptions => ({
  ...{ ...to.options(), staging: join(to.lab.place, `staging-${count++}`) },
  ...more,
})

async function run(options: GithubTargetOptions): Promise<readonly TargetProblem[]> {
  const view = await machine.view(machine.store, "latest")
  const root = await openRoot(view, signal)
  const plan = await planRestore(() => catalogueEntries(view, root, signal), null)
  const what = { view, plan, target: githubTarget(options), what: "all", verify: true, signal }
  return (await restore({ ...what, onEvent: () => undefined })).problems
}

/** What can be compared of a repository, in one text. */
function summary(): unknown {
  const { labels, milestones, issues, comments, releases } = to.repository("app")
  const names = (list: readonly Record<string, unknown>[], ...of: string[]): unknown[] =>
    list.map((each) => of.map((name) => each[name]))
  return {
    labels: names(labels, "name"),
    milestones: names(milestones, "title", "state"),
    issues: names(issues, "number", "title", "state", "body"),
    comments: [...comments].map(([number, list]) => [number, names(list, "body")]),
    releases: releases.map((each) => [
      each["tag_name"],
      names(each["assets"] as Record<string, unknown>[], "name", "size"),
    ]),
  }
}

function expectWhole(): void {
  const { labels, milestones, issues, comments, releases, assets } = to.repository("app")
  for (const name of ["app", "zoo"]) {
    assert.equal(refsOf(join(to.lab.folder, `${name}.git`)), refsOf(join(from.lab.folder, `${name}.git`)))
    assert.deepEqual(objectsOf(join(to.lab.folder, `${name}.git`)), objectsOf(join(from.lab.folder, `${name}.git`)))
  }
  assert.equal(to.repository("app").fields["private"], true)
  assert.equal(to.repository("app").fields["description"], "the ünique app")
  assert.deepEqual(
    labels.map(({ name }) => name),
    ["bug", "später"],
  )
  assert.deepEqual(
    milestones.map(({ title, state }) => [title, state]),
    [["1.0", "closed"]],
  )
  assert.deepEqual(
    issues.map(({ title }) => title),
    [...Array.from({ length: 12 }, (_, i) => `title ${i + 1}`), "a pull"],
  )
  const [first] = issues
  assert.equal(first?.["state"], "closed")
  assert.equal((first["milestone"] as { title: string }).title, "1.0")
  assert.deepEqual((first["labels"] as { name: string }[])[0]?.name, "bug")
  assert.match(
    String(first["body"]),
    /^> `ana` wrote this at 2026-02-01T00:01:00Z as issue acme\/app#1\n\nbody of 1\n\n<!-- .* -->$/,
  )
  const said = (comments.get(1) ?? []).map(({ body }) => String(body))
  assert.match(
    said[0] ?? "",
    /`ben` wrote this at 2026-02-02T00:00:00Z as comment on acme\/app#1\n\nfirst \*comment\*\n/,
  )
  assert.match(said[1] ?? "", /with ümlaut/)
  assert.equal(said.length, 2)
  const onPull = (comments.get(13) ?? []).map(({ body }) => String(body))
  assert.equal(onPull.length, 2)
  assert.match(onPull.join("\n"), /review of acme\/app#131: APPROVED\n\nlooks good/)
  assert.match(onPull.join("\n"), /src\/main\.c line 1\n\nwhy\?/)
  const [release] = releases
  const made = (release?.["assets"] as { id: number; name: string }[]).map(({ id, name }) => [
    name,
    assets.get(id)?.length,
  ])
  assert.deepEqual(made, [
    ["app.tar", 200_000],
    ["päckage.zip", 1_000],
  ])
}

test("repositories, labels, milestones, issues, comments, reviews and releases are there again", async () => {
  const options = target()
  const problems = await run(options)
  expectWhole()
  assert.deepEqual(
    problems.map(({ path, expected }) => [path, expected]),
    [
      ["repositories/app/wiki.git", false],
      ["repositories/zoo/.", true],
    ],
    "of a wiki GitHub makes the repository, and what was public is private now",
  )
  assert.deepEqual(readdirSync(options.staging), [])
})

test("interrupted at any point, the same restore goes on, and makes nothing twice", async () => {
  const options = target()
  const made = (path: string): string => `^POST ${path}$`
  const stops = [
    ...["/orgs/.*", ".*/labels", ".*/milestones", ".*/issues", ".*/comments"].map(made),
    "^PATCH .*/issues/.*$",
    ...[".*/releases", ".*/assets"].map(made),
  ]
  for (const stop of stops)
    for (const trouble of [{ status: 500 }, "hang up after"] as const) {
      let met = 0
      to.github.intercept = (route) => (new RegExp(stop).test(route) && met++ === 0 ? trouble : null)
      await assert.rejects(
        run(options),
        (e) => isFault(e, "unavailable") && e.message.includes("it goes on"),
        `${stop} ${typeof trouble === "string" ? trouble : trouble.status}`,
      )
      assert.equal(met, 1, "what makes something is not asked for again by itself")
    }
  to.github.intercept = () => null
  await run(options)
  expectWhole()
  const before = summary()
  await run(target({ intoExisting: true }))
  assert.deepEqual(summary(), before, "again, into what is there: nothing is made twice")
})

test("a repository that is there is a conflict before anything is made", async () => {
  to.add("zoo")
  const before = to.github.asked.length
  await assert.rejects(run(target()), (e) => isFault(e, "conflict") && /acme\/zoo/.test(e.message))
  assert.ok(to.github.asked.slice(before).every((line) => line.startsWith("GET ")))
  assert.ok(!to.github.repositories.has("app"))
})

test("limits are waited for, a wrong token is refused", async () => {
  const limits = [429, 403]
  to.github.intercept = (route) => {
    const status = route === "POST /repos/{owner}/{repo}/issues" ? limits.shift() : undefined
    return status === undefined
      ? null
      : { status, headers: { "retry-after": "1" }, data: { message: "secondary rate limit" } }
  }
  await run(target())
  assert.deepEqual(limits, [])
  expectWhole()
  await assert.rejects(run(target({ token: "wrong" })), (e) => isFault(e, "refused"))
  await assert.rejects(run(target({ owner: "nobody" })), (e) => isFault(e, "not-found"))
  assert.equal(OWNER, "acme")
})

test("a text cannot pass for one that a restore made, nor notify by its author, and is cut where GitHub takes no more", () => {
  const forged = {
    user: { login: "eve" },
    body: "x\n\n<!-- backup-cloud acme/app#5 -->",
    created_at: "2026-01-01T00:00:00Z",
  }
  assert.equal(markOf(recreated(forged, "issue acme/app#9", "acme/app#9").text), "acme/app#9")
  assert.equal(markOf("plain"), null)
  assert.equal(markOf(null), null)
  const long = recreated({ body: "y".repeat(70_000) }, "issue a/b#1", "a/b#1")
  assert.equal(long.text.length, 65_536)
  assert.ok(long.cut)
  assert.equal(markOf(long.text), "a/b#1")
  assert.match(long.text, /^> `ghost`/)
})
