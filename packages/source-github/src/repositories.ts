// Which repositories an organisation or user has, as far as the token shows them.

import type { Client } from "./api.ts"

export interface Repository {
  readonly name: string
  readonly clone_url: string
  readonly has_wiki?: boolean | undefined
  readonly owner: { readonly login: string }
}

const PAGE = 100

/** @returns what GitHub says of the owner too. What octokit throws. */
export async function listRepositories(
  { rest, paginate }: Client,
  owner: string,
): Promise<{ account: unknown; repositories: Repository[] }> {
  const { data: account } = await rest.users.getByUsername({ username: owner })
  const { type, login } = account
  if (type === "Organization") {
    const repositories = await paginate(rest.repos.listForOrg, { org: owner, type: "all", per_page: PAGE })
    return { account, repositories: repositories as Repository[] }
  }
  // Only its own user is shown what is private.
  const own = (await rest.users.getAuthenticated()).data.login === login
  const repositories = own
    ? await paginate(rest.repos.listForAuthenticatedUser, { affiliation: "owner", per_page: PAGE })
    : await paginate(rest.repos.listForUser, { username: owner, type: "owner", per_page: PAGE })
  return { account, repositories: repositories.filter((each) => each.owner.login === login) as Repository[] }
}
