// Issues and pull requests of a repository, with all that was said on them: a file each in a folder that is kept between
// runs. Only those that changed since the last run are asked for, by the server's own times; from time to time all are
// listed, so that what was deleted or moved away goes.

import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { inOrder } from "@backup-cloud/format"
import type { Client } from "./api.ts"
import { stable } from "./json.ts"

// An alias, since octokit takes parameters with other names too, which an interface could not be.
export type Place = {
  readonly owner: string
  readonly repo: string
}

interface State {
  /** `updated_at` of what changed last; `""` if there was nothing. */
  readonly since: string
  /** When everything was listed, milliseconds since 1970. */
  readonly listed: number
}

interface Listed {
  readonly number: number
  readonly updated_at: string
  readonly comments: number
  readonly pull_request?: unknown
}

/** Milliseconds after which all are listed again. */
const LIST_ALL = 7 * 24 * 3_600_000
const WIDTH = 4
const PAGE = 100

/**
 * Brings `folder` up to date; numbers of what it holds then, in their order. What octokit throws.
 * @param folder holds `<number>.json`: `issue`, `comments`, and of pull requests `pull`, `reviews`, `review_comments`
 */
export async function updateIssues(
  client: Client,
  place: Place,
  folder: string,
  now: Date,
  signal: AbortSignal,
): Promise<number[]> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const state = await readState(folder)
  const all = state === null || state.since === "" || Math.abs(now.getTime() - state.listed) > LIST_ALL
  const changed: Listed[] = []
  const numbers = new Set<number>()
  let since = state?.since ?? ""
  const query = { ...place, state: "all", sort: "updated", direction: "asc", per_page: PAGE } as const
  const listing = all ? query : { ...query, since: state.since }
  for await (const { data } of client.paginate.iterator(client.rest.issues.listForRepo, listing))
    for (const issue of data as Listed[]) {
      numbers.add(issue.number)
      if (issue.updated_at > since) since = issue.updated_at
      // Within the last second seen there may have been another change.
      const known =
        state !== null && issue.updated_at < state.since && (await keptTime(folder, issue.number)) === issue.updated_at
      if (!known) changed.push(issue)
    }
  const fetching = inOrder(changed, WIDTH, signal, (issue) => fetchIssue(client, place, folder, issue))
  while ((await fetching.next()).done !== true) continue
  const there = await numbersIn(folder)
  if (all) for (const number of there) if (!numbers.has(number)) await rm(join(folder, `${number}.json`))
  await write(
    join(folder, STATE),
    JSON.stringify({ since, listed: all ? now.getTime() : state.listed } satisfies State),
  )
  return all ? [...numbers].sort((a, b) => a - b) : there
}

const STATE = "state"

async function readState(folder: string): Promise<State | null> {
  return await readFile(join(folder, STATE), "utf8").then(
    (text) => JSON.parse(text) as State,
    () => null,
  )
}

async function keptTime(folder: string, number: number): Promise<string | null> {
  return await readFile(join(folder, `${number}.json`), "utf8").then(
    (text) => (JSON.parse(text) as { issue: Listed }).issue.updated_at,
    () => null,
  )
}

async function numbersIn(folder: string): Promise<number[]> {
  const found = (await readdir(folder)).flatMap((name) => /^([0-9]+)\.json$/.exec(name)?.[1] ?? [])
  return found.map(Number).sort((a, b) => a - b)
}

async function fetchIssue(client: Client, place: Place, folder: string, issue: Listed): Promise<void> {
  const { rest, paginate } = client
  const { number } = issue
  const of = { ...place, issue_number: number, per_page: PAGE }
  const comments = issue.comments === 0 ? [] : await paginate(rest.issues.listComments, of)
  let more = {}
  if (issue.pull_request !== undefined) {
    const pull = { ...place, pull_number: number, per_page: PAGE }
    more = {
      pull: (await rest.pulls.get({ ...place, pull_number: number })).data,
      reviews: await paginate(rest.pulls.listReviews, pull),
      review_comments: await paginate(rest.pulls.listReviewComments, pull),
    }
  }
  await write(join(folder, `${number}.json`), stable({ issue, comments, ...more }))
}

/** @param content a byte string */
async function write(file: string, content: string): Promise<void> {
  await writeFile(`${file}.new`, content, { mode: 0o600, encoding: "latin1" })
  await rename(`${file}.new`, file)
}
