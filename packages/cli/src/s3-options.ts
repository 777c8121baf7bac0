// What of a bucket a source takes, on the command line and in the configuration: older versions, tags, a part of the keys.

import { BackupError, escapeControl, expectName } from "@backup-cloud/format"
import type { S3SourceOptions, Shard } from "@backup-cloud/source-s3"
import type { Command } from "commander"
import type { SourceConfig } from "./config.ts"

type Options = Readonly<Record<string, unknown>>

/** More would be a list of sources that nobody looks through. */
const MOST_SHARDS = 1000

export function addS3Options(command: Command): Command {
  return command
    .option("--versions", "of s3: older versions of objects too")
    .option("--no-tags", "of s3: leave tags out, which saves a request for each object that is read")
    .option("--shard <index/count>", "of s3: one part of the keys, such as 0/16, the first of sixteen")
}

/** What the options say for the configuration. Throws `usage` for a shard that cannot be meant. */
export function s3Config({ versions, tags, shard }: Options): Pick<SourceConfig, "versions" | "tags" | "shard"> {
  const text = typeof shard === "string" ? shard : ""
  const [, index, count] = /^([0-9]{1,4})\/([0-9]{1,4})$/.exec(text) ?? []
  if (shard !== undefined && !(Number(index) < Number(count))) {
    throw new BackupError("usage", `there is no shard ${escapeControl(text)}; nothing was made`, {
      hint: "write 0/16 for the first of sixteen parts, 15/16 for the last",
    })
  }
  return {
    ...(versions === true ? { versions } : {}),
    ...(tags === false ? { tags } : {}),
    ...(shard === undefined ? {} : { shard: { index: Number(index), count: Number(count) } }),
  }
}

/** What the configuration says for the package, which checks the shard itself. */
export function s3Settings({
  versions,
  tags,
  shard,
}: SourceConfig): Pick<S3SourceOptions, "versions" | "tags" | "shard"> {
  return {
    ...(versions === undefined ? {} : { versions }),
    ...(tags === undefined ? {} : { tags }),
    ...(shard === undefined ? {} : { shard: shardOf(shard) }),
  }
}

function shardOf({ index, count, from, to }: NonNullable<SourceConfig["shard"]>): Shard {
  const isShare = index !== undefined && count !== undefined && from === undefined && to === undefined
  if (isShare) return { index, count }
  if (index === undefined && count === undefined)
    return { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }
  throw new BackupError(
    "usage",
    "a shard is a part by index and count, or a range by from and to; nothing was backed up",
  )
}

/**
 * The sources that `--shards` divides one into, with what each one's configuration is; the one itself without the option. Throws `usage`
 * for what cannot be divided.
 */
export function divided(
  name: string,
  config: SourceConfig | null,
  { shards }: Options,
): Map<string, SourceConfig | null> {
  if (shards === undefined) return new Map([[name, config]])
  const count = Number(shards)
  if (!Number.isSafeInteger(count) || count < 2 || count > MOST_SHARDS)
    throw new BackupError("usage", `--shards takes a number from 2 to ${MOST_SHARDS}; nothing was made`)
  if (config?.url.startsWith("s3:") !== true || config.shard !== undefined)
    throw new BackupError("usage", "--shards divides a whole s3://bucket/prefix; nothing was made", {
      hint: "a source whose keys are made where its data is gets its part there: source keygen NAME URL --shard INDEX/COUNT",
    })
  const digits = Math.max(2, String(count - 1).length)
  const parts = Array.from({ length: count }, (_, index): [string, SourceConfig] => [
    expectName("name", `${name}-${String(index).padStart(digits, "0")}`),
    { ...config, shard: { index, count } },
  ])
  return new Map(parts)
}
