// Restores repositories to an organisation or user of GitHub: made anew and private, pushed, then labels, milestones, issues
// with what was said on them, and releases. All of it is staged first; interrupted, the same restore goes on.

import { readdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { BackupError, isFault, type Target, type TargetProblem, toByteString } from "@backup-cloud/format"
import { Git, type GitOptions, push, remoteOf, Staging } from "@backup-cloud/source-git"
import { type Client, expectApi, faultOf, GITHUB, type GithubAccess, openClient, statusOf } from "./api.ts"
import { recreateConversations } from "./conversations.ts"
import type { Place } from "./issues.ts"
import { type KeptRepository, readKept } from "./kept.ts"
import { recreateReleases } from "./releases.ts"
import { expectOwner } from "./source.ts"

export interface GithubTargetOptions extends GithubAccess, GitOptions {
  /** Organisation, or the token's own user. */
  readonly owner: string
  /** Folder, absolute, for what is staged: as large as all of it. Emptied at the end. */
  readonly staging: string
  /** Go into repositories that are there. Nothing of theirs is replaced. */
  readonly intoExisting?: boolean
}

const GOES_ON = "the restore is not whole; run it again, and it goes on"

/**
 * The way back. Repositories keep their names. Throws `conflict` if one is there already and was not made by this restore,
 * `refused` or `not-found` for token and owner, `unavailable` if GitHub does not answer or its limit is used up. What one
 * repository's server refuses singly is a problem of `finish`.
 */
export function githubTarget(options: GithubTargetOptions): Target {
  expectOwner(options.owner)
  expectApi(options)
  const staging = new Staging(options.staging)
  const problems: TargetProblem[] = []
  const where = `${options.owner} at ${options.baseUrl ?? GITHUB}`
  return {
    async begin(what, signal) {
      const client = openClient(options, null, signal)
      try {
        await client.rest.users.getByUsername({ username: options.owner })
      } catch (error) {
        throw faultOf(where, error, signal, "nothing was restored")
      }
      await staging.begin(what)
    },
    has: (entry, signal) => staging.has(entry, signal),
    write: (entry, offset, bytes) => staging.write(entry, offset, bytes),
    read: (entry) => staging.read(entry),
    commit: (entry) => staging.commit(entry),
    discard: (entry) => staging.discard(entry),
    async make({ path, type }) {
      if (type !== "d") problems.push({ path, why: "it is not in the backup", expected: false })
    },
    async finish(signal) {
      const client = openClient(options, null, signal)
      try {
        const names = await readdir(join(staging.path, "files/repositories")).catch(() => [])
        const work = new Work(client, options, staging.path, signal)
        for (const name of names) await work.expectAbsent(name)
        for (const name of names) await work.recreate(name)
        await staging.remove()
        return [...problems, ...work.problems]
      } catch (error) {
        throw faultOf(where, error, signal, GOES_ON)
      }
    },
  }
}

class Work {
  readonly problems: TargetProblem[] = []
  readonly #client: Client
  readonly #options: GithubTargetOptions
  readonly #staging: string
  readonly #signal: AbortSignal

  constructor(client: Client, options: GithubTargetOptions, staging: string, signal: AbortSignal) {
    this.#client = client
    this.#options = options
    this.#staging = staging
    this.#signal = signal
  }

  /** Throws `conflict` for a repository that is there, unless this restore made it or may go into it. */
  async expectAbsent(name: string): Promise<void> {
    if (this.#options.intoExisting === true || (await this.#made()).includes(name)) return
    if ((await this.#find(name)) === null) return
    throw new BackupError("conflict", `${this.#options.owner}/${name}: is there already; nothing was restored`, {
      hint: "restore to another organisation, choose others with --path, or say that it goes into what is there",
    })
  }

  /** Everything of one repository. */
  async recreate(name: string): Promise<void> {
    const folder = join(this.#staging, "files/repositories", name)
    const kept = await readKept<KeptRepository>(folder, "repository.json", {})
    const place = { owner: this.#options.owner, repo: name }
    const original = kept.full_name ?? name
    const problem = (path: string, why: string, expected = false): void => {
      this.problems.push({ path: `repositories/${toByteString(name)}/${path}`, why, expected })
    }
    const { clone_url: url } = (await this.#find(name)) ?? (await this.#create(name, kept))
    if (kept.private === false) problem(".", "it was public; it was made private: look at it, then publish it", true)
    const there = await readdir(folder)
    if (there.includes("repository.git"))
      await this.#push(join(folder, "repository.git"), url, problem, "repository.git")
    if (there.includes("wiki.git"))
      await this.#push(join(folder, "wiki.git"), url.replace(/(?:\.git)?$/, ".wiki.git"), problem, "wiki.git")
    await this.#chooseBranch(place, kept.default_branch)
    await recreateConversations(this.#client, place, folder, original, (what) => {
      problem("issues", `${what} was too long to be recreated whole`)
    })
    await recreateReleases(this.#client, place, folder, original, (what) => {
      problem(what, "it is not in the backup")
    })
  }

  async #find(name: string): Promise<{ readonly clone_url: string; readonly default_branch: string } | null> {
    try {
      return (await this.#client.rest.repos.get({ owner: this.#options.owner, repo: name })).data
    } catch (error) {
      if (statusOf(error) === 404) return null
      throw error
    }
  }

  async #create(name: string, kept: KeptRepository): Promise<{ readonly clone_url: string }> {
    const { rest } = this.#client
    const { owner } = this.#options
    const settings = {
      ...{ name, private: true, has_issues: true, has_wiki: true },
      ...(typeof kept.description === "string" ? { description: kept.description } : {}),
      ...(typeof kept.homepage === "string" ? { homepage: kept.homepage } : {}),
    }
    const { type } = (await rest.users.getByUsername({ username: owner })).data
    // Noted before: of one that was made and not noted, the next try would say that it is in the way.
    await writeFile(join(this.#staging, MADE), JSON.stringify([...(await this.#made()), name]))
    return type === "Organization"
      ? (await rest.repos.createInOrg({ ...settings, org: owner })).data
      : (await rest.repos.createForAuthenticatedUser(settings)).data
  }

  /** Names of the repositories that this restore made. */
  async #made(): Promise<string[]> {
    return await readFile(join(this.#staging, MADE), "utf8").then(
      (text) => JSON.parse(text) as string[],
      () => [],
    )
  }

  async #push(
    from: string,
    url: string,
    problem: (path: string, why: string, expected?: boolean) => void,
    at: string,
  ): Promise<void> {
    const remote = remoteOf({ url, credential: { username: "x-access-token", password: this.#options.token } })
    await using git = await Git.open(remote, this.#options)
    try {
      for (const { path, why, expected } of await push(git, from, this.#staging, this.#signal))
        problem(`${at}/${path}`, why, expected)
    } catch (error) {
      if (at !== "wiki.git" || !isFault(error, "not-found")) throw error
      problem(at, "GitHub makes a wiki's repository with its first page: make one there, then push this one by hand")
    }
  }

  async #chooseBranch(place: Place, branch: string | undefined): Promise<void> {
    const found = await this.#find(place.repo)
    if (branch === undefined || found === null || found.default_branch === branch) return
    try {
      await this.#client.rest.repos.update({ ...place, default_branch: branch })
    } catch (error) {
      if (statusOf(error) !== 422) throw error
      const path = `repositories/${toByteString(place.repo)}`
      this.problems.push({ path, why: `its first branch could not be made ${branch}`, expected: false })
    }
  }
}

const MADE = "made.json"
