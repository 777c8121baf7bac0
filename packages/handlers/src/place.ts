// What a function can back up: what is read over the network, needs no other program and no folder. The place is as
// `source keygen --identity` noted it.

import { BackupError, escapeControl, type Source } from "@backup-cloud/format"
import { s3Source } from "@backup-cloud/source-s3"
import { ssmSource } from "@backup-cloud/source-ssm"
import * as v from "valibot"

const placeSchema = v.strictObject({
  url: v.string(),
  versions: v.optional(v.boolean()),
  tags: v.optional(v.boolean()),
  shard: v.optional(
    v.union([
      v.strictObject({ index: v.number(), count: v.number() }),
      v.strictObject({ from: v.exactOptional(v.string()), to: v.exactOptional(v.string()) }),
    ]),
  ),
  covers: v.optional(v.array(v.string())),
  checkpoint_minutes: v.optional(v.number()),
})

/**
 * Throws `usage` for a place of another kind, or with what a function does not know.
 * @param env used: AWS_ENDPOINT_URL and AWS_REGION, where the URL does not say it
 */
export function openPlace(place: unknown, env: Readonly<Record<string, string | undefined>>): Source {
  const parsed = v.safeParse(placeSchema, place)
  const url = parsed.success && URL.canParse(parsed.output.url) ? new URL(parsed.output.url) : null
  if (!parsed.success || url === null) throw unknown(place)
  const { versions, tags, shard } = parsed.output
  const endpoint = url.searchParams.get("endpoint") ?? env["AWS_ENDPOINT_URL"]
  const region = url.searchParams.get("region") ?? env["AWS_REGION"]
  const access = { ...(endpoint === undefined ? {} : { endpoint }), ...(region === undefined ? {} : { region }) }
  const path = decodeURIComponent(url.pathname)
  if (url.protocol === "ssm:" && url.host === "") return ssmSource({ path, ...access })
  if (url.protocol !== "s3:" || url.host === "") throw unknown(place)
  return s3Source({
    ...{ bucket: url.host, prefix: path.replace(/^\//, ""), ...access },
    ...(versions === undefined ? {} : { versions }),
    ...(tags === undefined ? {} : { tags }),
    // The package checks it.
    ...(shard === undefined ? {} : { shard }),
  })
}

function unknown(place: unknown): BackupError {
  const url = typeof place === "object" && place !== null && "url" in place ? String(place.url) : ""
  const shown = escapeControl(url.replace(/\/\/[^/@]*@/, "//…@"))
  return new BackupError(
    "usage",
    `a function does not back up "${shown}" as its identity has it; nothing was backed up`,
    {
      hint: "a function takes s3://bucket/prefix and ssm:/path; back up other kinds in a container or on a server",
    },
  )
}
