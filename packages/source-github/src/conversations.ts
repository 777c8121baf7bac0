// Recreates labels, milestones, issues and what was said on them. Pull requests become issues, since their branches may be
// gone. Everything made carries a mark, and what has its mark there is not made again.

import type { Client } from "./api.ts"
import type { Place } from "./issues.ts"
import { type KeptComment, type KeptIssue, type KeptLabel, type KeptMilestone, keptIssues, readKept } from "./kept.ts"
import { markOf, recreated } from "./words.ts"

const PAGE = 100

interface Made {
  readonly number: number
  readonly state: string
}

/** Recreates what the folder holds, in the order of numbers. `onCut` is told of a text that did not fit. */
export async function recreateConversations(
  client: Client,
  place: Place,
  folder: string,
  original: string,
  onCut: (what: string) => void,
): Promise<void> {
  await recreateLabels(client, place, await readKept<KeptLabel[]>(folder, "labels.json", []))
  const milestones = await recreateMilestones(
    client,
    place,
    await readKept<KeptMilestone[]>(folder, "milestones.json", []),
  )
  const there = new Map<string, Made>()
  const all = { ...place, state: "all", per_page: PAGE } as const
  for (const { body, number, state } of await client.paginate(client.rest.issues.listForRepo, all)) {
    const mark = markOf(body)
    if (mark !== null) there.set(mark, { number, state })
  }
  for (const number of await keptIssues(folder)) {
    const kept = await readKept<KeptIssue | null>(folder, `issues/${number}.json`, null)
    if (kept === null) continue
    const mark = `${original}#${number}`
    const before = there.get(mark)
    const made = before ?? (await createIssue(client, place, kept, mark, milestones, onCut))
    await recreateComments(client, place, kept, made.number, mark, before === undefined, onCut)
    if (kept.issue.state === "closed" && made.state !== "closed") {
      const reason = kept.issue.state_reason === "not_planned" ? "not_planned" : "completed"
      await client.rest.issues.update({ ...place, issue_number: made.number, state: "closed", state_reason: reason })
    }
  }
}

async function recreateLabels({ rest, paginate }: Client, place: Place, labels: readonly KeptLabel[]): Promise<void> {
  const there = await paginate(rest.issues.listLabelsForRepo, { ...place, per_page: PAGE })
  const names = new Set(there.map(({ name }) => name.toLowerCase()))
  for (const { name, color, description } of labels) {
    if (names.has(name.toLowerCase())) continue
    await rest.issues.createLabel({
      ...{ ...place, name },
      ...(color === undefined ? {} : { color }),
      ...(typeof description === "string" ? { description } : {}),
    })
  }
}

/** New number of each old one. */
async function recreateMilestones(
  { rest, paginate }: Client,
  place: Place,
  milestones: readonly KeptMilestone[],
): Promise<Map<number, number>> {
  const there = await paginate(rest.issues.listMilestones, { ...place, state: "all", per_page: PAGE })
  const byTitle = new Map(there.map(({ title, number }) => [title, number]))
  const numbers = new Map<number, number>()
  for (const { number, title, state, description, due_on: due } of milestones.toSorted((a, b) => a.number - b.number)) {
    const made =
      byTitle.get(title) ??
      (
        await rest.issues.createMilestone({
          ...{ ...place, title },
          ...(state === undefined ? {} : { state }),
          ...(typeof description === "string" ? { description } : {}),
          ...(typeof due === "string" ? { due_on: due } : {}),
        })
      ).data.number
    numbers.set(number, made)
  }
  return numbers
}

async function createIssue(
  { rest }: Client,
  place: Place,
  { issue }: KeptIssue,
  mark: string,
  milestones: ReadonlyMap<number, number>,
  onCut: (what: string) => void,
): Promise<Made> {
  const what = `${issue.pull_request === undefined ? "issue" : "pull request"} ${mark}`
  const { text, cut } = recreated(issue, what, mark)
  if (cut) onCut(what)
  const milestone = milestones.get(issue.milestone?.number ?? 0)
  const labels = (issue.labels ?? []).flatMap((label) => (typeof label === "string" ? label : (label.name ?? [])))
  const { data } = await rest.issues.create({
    ...{ ...place, title: issue.title, body: text, labels },
    ...(milestone === undefined ? {} : { milestone }),
  })
  return { number: data.number, state: "open" }
}

async function recreateComments(
  { rest, paginate }: Client,
  place: Place,
  { comments = [], reviews = [], review_comments: onLines = [] }: KeptIssue,
  issue: number,
  mark: string,
  isNew: boolean,
  onCut: (what: string) => void,
): Promise<void> {
  const wanted = [
    ...comments.map((each) => said(each, `comment on ${mark}`, `${mark} comment ${each.id}`)),
    ...reviews.map((each) => said(each, `review of ${mark}: ${each.state ?? ""}`, `${mark} review ${each.id}`)),
    ...onLines.map((each) =>
      said(each, `comment on ${mark}, ${each.path ?? ""} line ${each.line ?? "?"}`, `${mark} line ${each.id}`),
    ),
  ].sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
  if (wanted.length === 0) return
  const of = { ...place, issue_number: issue }
  const there = isNew ? [] : await paginate(rest.issues.listComments, { ...of, per_page: PAGE })
  const marks = new Set(there.map(({ body }) => markOf(body)))
  for (const { comment, what, own } of wanted) {
    if (marks.has(own)) continue
    const { text, cut } = recreated(comment, what, own)
    if (cut) onCut(what)
    await rest.issues.createComment({ ...of, body: text })
  }
}

function said(comment: KeptComment, what: string, own: string) {
  return { comment, what, own, at: comment.submitted_at ?? comment.created_at ?? "" }
}
