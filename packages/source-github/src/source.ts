// An organisation or user of GitHub as a source: every repository as a mirror with its wiki, and as JSON what only GitHub
// holds. What cannot be read is listed with the server's word for it, and the rest goes on.

import { hash } from "node:crypto"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import {
  BackupError,
  EntryError,
  type Fault,
  pathKey,
  type Source,
  type SourceEntry,
  toByteString,
} from "@backup-cloud/format"
import {
  CONTENT,
  folder,
  Git,
  type GitOptions,
  mirrorEntries,
  remoteOf,
  sortEntries,
  text,
  updateMirror,
} from "@backup-cloud/source-git"
import { type Client, expectApi, faultOf, GITHUB, type GithubAccess, lossOf, openClient } from "./api.ts"
import { type Asset, documentsOf, type Release } from "./documents.ts"
import { type Place, updateIssues } from "./issues.ts"
import { stable } from "./json.ts"
import { listRepositories, type Repository } from "./repositories.ts"

export interface GithubSourceOptions extends GithubAccess, GitOptions {
  /** Organisation or user. */
  readonly owner: string
  /** Folder for mirrors and answers, absolute; made with mode 0700. One source, one process at a time. */
  readonly cache: string
  readonly now: () => Date
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9-]{0,99}$/

/**
 * The source of all repositories of `owner` that the token shows. Throws `usage` for a name that cannot be.
 *
 * `entries` throws `refused` for a wrong token, `not-found` for an owner that is not there, `unavailable` if GitHub does not
 * answer or the limit of requests stays used up, `incomplete` if git breaks off. Of what is refused singly the entry has the error
 * `HTTP-<status>`, of a repository that git is refused `refused`, `not-found` or `unavailable`.
 */
export function githubSource(options: GithubSourceOptions): Source {
  expectOwner(options.owner)
  expectApi(options)
  return {
    kind: "github",
    identity: [CONTENT],
    async *entries(signal) {
      const client = openClient(options, join(options.cache, "answers"), signal)
      try {
        const { account, repositories } = await listRepositories(client, options.owner)
        yield [folder("."), text("account.json", stable(account)), folder("repositories")]
        const sorted = repositories.map((each) => ({ each, key: pathKey(toByteString(each.name)) }))
        for (const { each } of sorted.sort((a, b) => (a.key < b.key ? -1 : 1)))
          yield sortEntries(await repositoryEntries(client, options, each, signal))
      } catch (error) {
        throw faultOf(`${options.owner} at ${options.baseUrl ?? GITHUB}`, error, signal)
      }
    },
  }
}

export function expectOwner(owner: string): void {
  if (NAME.test(owner)) return
  throw new BackupError("usage", `${JSON.stringify(owner)} is no name of an organisation or user; nothing was done`)
}

async function repositoryEntries(
  client: Client,
  options: GithubSourceOptions,
  repository: Repository,
  signal: AbortSignal,
): Promise<SourceEntry[]> {
  const at = `repositories/${repository.name}`
  const place = { owner: options.owner, repo: repository.name }
  const entries: SourceEntry[] = [folder(at)]
  entries.push(...(await gitEntries(options, repository, repository.clone_url, `${at}/repository.git`, signal)))
  if (repository.has_wiki === true) {
    const wiki = repository.clone_url.replace(/(?:\.git)?$/, ".wiki.git")
    const found = await gitEntries(options, repository, wiki, `${at}/wiki.git`, signal)
    // A wiki that nobody has written in is a repository that is not there.
    if (found[0]?.attributes.get("error") !== "not-found") entries.push(...found)
  }
  let releases: readonly Release[] = []
  for (const document of await documentsOf(client, place)) {
    const path = `${at}/${document.name}`
    entries.push("error" in document ? lost(path, document.error) : text(path, stable(document.value)))
    if (document.name === "releases.json" && "value" in document) releases = document.value as Release[]
  }
  entries.push(...(await issueEntries(client, options, place, at, signal)))
  entries.push(...assetEntries(client, place, at, releases))
  return entries
}

/** What is known to be there and cannot be had. */
function lost(path: string, error: string): SourceEntry {
  return { ...text(path, ""), content: null, attributes: new Map([["error", error]]) }
}

const LISTED: readonly Fault[] = ["refused", "not-found", "unavailable"]

async function gitEntries(
  options: GithubSourceOptions,
  repository: Repository,
  url: string,
  at: string,
  signal: AbortSignal,
): Promise<SourceEntry[]> {
  const remote = remoteOf({ url, credential: { username: "x-access-token", password: options.token } })
  await using git = await Git.open(remote, options)
  try {
    const mirror = await updateMirror(git, join(options.cache, "git", repository.name), signal)
    return await mirrorEntries(mirror, url, at)
  } catch (error) {
    if (!(error instanceof BackupError) || !LISTED.includes(error.fault)) throw error
    return [{ ...lost(at, error.fault), type: "u" }]
  }
}

async function issueEntries(
  client: Client,
  options: GithubSourceOptions,
  place: Place,
  at: string,
  signal: AbortSignal,
): Promise<SourceEntry[]> {
  const cached = join(options.cache, "issues", place.repo)
  try {
    const numbers = await updateIssues(client, place, cached, options.now(), signal)
    const entries = [folder(`${at}/issues`)]
    for (const number of numbers)
      entries.push(await issueEntry(`${at}/issues/${number}.json`, join(cached, `${number}.json`)))
    return entries
  } catch (error) {
    const loss = lossOf(error)
    if (loss === null) throw error
    return [{ ...lost(`${at}/issues`, loss), type: "u" }]
  }
}

/** Its content is read twice, so that not all issues are in memory at once. */
async function issueEntry(path: string, file: string): Promise<SourceEntry> {
  const content = await readFile(file)
  return {
    ...text(path, ""),
    size: content.length,
    attributes: new Map([[CONTENT, hash("sha256", content)]]),
    content: { kind: "stream", open: async () => ({ attributes: new Map(), bytes: once(() => readFile(file)) }) },
  }
}

async function* once(read: () => Promise<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield await read()
}

function assetEntries(client: Client, place: Place, at: string, releases: readonly Release[]): SourceEntry[] {
  const found = releases.flatMap(({ assets }) => assets)
  if (found.length === 0) return []
  return [folder(`${at}/assets`), ...found.map((asset) => assetEntry(client, place, `${at}/assets/${asset.id}`, asset))]
}

/** An asset never changes: another with its name is another. */
function assetEntry(client: Client, place: Place, path: string, asset: Asset): SourceEntry {
  const attributes = new Map([
    [CONTENT, `asset-${asset.id}-${asset.updated_at}`],
    ["github.name", toByteString(asset.name)],
  ])
  return {
    ...text(path, ""),
    ...{ size: asset.size, attributes },
    content: {
      kind: "stream",
      open: async (signal) => ({ attributes: new Map(), bytes: download(client, place, asset, signal) }),
    },
  }
}

async function* download(client: Client, place: Place, asset: Asset, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  let length = 0
  try {
    const { data } = await client.request("GET /repos/{owner}/{repo}/releases/assets/{asset_id}", {
      ...place,
      asset_id: asset.id,
      headers: { accept: "application/octet-stream" },
      request: { parseSuccessResponseBody: false, signal },
    })
    for await (const piece of data as unknown as AsyncIterable<Uint8Array>) {
      length += piece.length
      yield piece
    }
  } catch (error) {
    const loss = lossOf(error)
    if (loss !== null && length === 0) throw new EntryError(loss)
    if (length === 0) throw faultOf(`asset ${asset.name} of ${place.repo}`, error, signal)
    signal.throwIfAborted()
  }
  if (length === asset.size) return
  throw new BackupError(
    "incomplete",
    `asset ${JSON.stringify(asset.name)} of ${place.repo}: broke off; the backup is not whole`,
    {
      hint: "run it again",
    },
  )
}
