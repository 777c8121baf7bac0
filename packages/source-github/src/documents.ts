// What a repository has besides content and issues, as JSON documents: settings, labels, milestones, protection, releases.

import { type Client, lossOf } from "./api.ts"
import type { Place } from "./issues.ts"

/** A document by its name, or the word for why it cannot be had. */
export type Document = { readonly name: string } & ({ readonly value: unknown } | { readonly error: string })

export interface Release {
  readonly id: number
  readonly tag_name: string
  readonly assets: readonly Asset[]
}

export interface Asset {
  readonly id: number
  readonly name: string
  readonly size: number
  readonly updated_at: string
}

const PAGE = 100

/** Asks for each; of one that is refused the error is kept, and the others are had. What octokit throws otherwise. */
export async function documentsOf(client: Client, place: Place): Promise<Document[]> {
  const { rest, paginate } = client
  const of = { ...place, per_page: PAGE }
  const asked: Record<string, () => Promise<unknown>> = {
    "repository.json": async () => (await rest.repos.get(place)).data,
    "labels.json": () => paginate(rest.issues.listLabelsForRepo, of),
    "milestones.json": () => paginate(rest.issues.listMilestones, { ...of, state: "all" }),
    "branch-protection.json": () => protectionOf(client, place),
    "rulesets.json": () => rulesetsOf(client, place),
    "releases.json": () => paginate(rest.repos.listReleases, of),
  }
  const documents: Document[] = []
  for (const [name, ask] of Object.entries(asked)) {
    try {
      documents.push({ name, value: await ask() })
    } catch (error) {
      const loss = lossOf(error)
      if (loss === null) throw error
      documents.push({ name, error: loss })
    }
  }
  return documents
}

/** Of each protected branch, by its name. */
async function protectionOf({ rest, paginate }: Client, place: Place): Promise<Record<string, unknown>> {
  const branches = await paginate(rest.repos.listBranches, { ...place, protected: true, per_page: PAGE })
  const protection: Record<string, unknown> = {}
  for (const { name } of branches)
    protection[name] = (await rest.repos.getBranchProtection({ ...place, branch: name })).data
  return protection
}

async function rulesetsOf({ rest, paginate }: Client, place: Place): Promise<unknown[]> {
  const listed = await paginate(rest.repos.getRepoRulesets, { ...place, includes_parents: false, per_page: PAGE })
  const whole: unknown[] = []
  for (const { id } of listed) whole.push((await rest.repos.getRepoRuleset({ ...place, ruleset_id: id })).data)
  return whole
}
