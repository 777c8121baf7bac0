// Recreates releases with their assets. An asset that is there with its length is not sent again; one that broke off is
// removed first.

import { openAsBlob } from "node:fs"
import { join } from "node:path"
import type { Client } from "./api.ts"
import type { Place } from "./issues.ts"
import { type KeptRelease, readKept } from "./kept.ts"
import { recreated } from "./words.ts"

const PAGE = 100

/** @param onLost is told of an asset that is not staged */
export async function recreateReleases(
  client: Client,
  place: Place,
  folder: string,
  original: string,
  onLost: (what: string) => void,
): Promise<void> {
  const { rest, paginate } = client
  const kept = await readKept<KeptRelease[]>(folder, "releases.json", [])
  if (kept.length === 0) return
  const there = await paginate(rest.repos.listReleases, { ...place, per_page: PAGE })
  // GitHub lists the newest first, and shows as the latest what was made last.
  for (const release of kept.toReversed()) {
    const { tag_name: tag, name, draft = false, prerelease = false } = release
    const made =
      there.find((each) => each.tag_name === tag) ??
      (
        await rest.repos.createRelease({
          ...{ ...place, tag_name: tag, draft, prerelease },
          ...(typeof name === "string" ? { name } : {}),
          body: recreated(release, `release ${tag} of ${original}`, `${original} release ${release.id}`).text,
        })
      ).data
    for (const asset of release.assets) {
      const same = made.assets.find((each) => each.name === asset.name)
      if (same?.state === "uploaded" && same.size === asset.size) continue
      if (same !== undefined) await rest.repos.deleteReleaseAsset({ ...place, asset_id: same.id })
      const data = await openAsBlob(join(folder, "assets", String(asset.id))).catch(() => null)
      if (data === null) {
        onLost(`assets/${asset.id}`)
        continue
      }
      // The server says where uploads go: another host than that of the API.
      await client.request(`POST ${made.upload_url}`, {
        ...{ name: asset.name, data },
        headers: { "content-type": asset.content_type ?? "application/octet-stream" },
      })
    }
  }
}
