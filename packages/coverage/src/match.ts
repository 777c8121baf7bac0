// Which resources some source backs up: from what was listed and where the sources are. It asks nobody.

import type { Kind, Resource } from "./resource.ts"

/** Where a source is, as far as that tells which resources it covers. */
export type Place =
  | {
      readonly kind: "s3"
      readonly bucket: string
      /** `""` for all of it. */
      readonly prefix: string
      /** Which part of the keys, of how many; `null` for all, `"some"` for a part that nobody can tell is one of all. */
      readonly shard: { readonly index: number; readonly count: number } | "some" | null
    }
  /** `path` as `/app`, `/` for all. */
  | { readonly kind: "ssm"; readonly path: string }
  /** A server of databases; `all` if none of its databases is left out. */
  | { readonly kind: "host"; readonly host: string; readonly all: boolean }
  /** Said by a person: an ARN in which `*` stands for anything. */
  | { readonly kind: "arn"; readonly pattern: string }

export interface NamedPlace {
  readonly source: string
  readonly place: Place
}

export interface Covered {
  readonly resource: Resource
  /** `part`: of some of it no source tells. */
  readonly state: "covered" | "part" | "left-out" | "not-covered"
  /** Names of sources, sorted. */
  readonly by: readonly string[]
  /** Of what was left out: why. */
  readonly reason: string | null
}

/** @param leftOut by ARN, in which `*` stands for anything: why no source is meant to cover it */
export function coverage(
  resources: readonly Resource[],
  places: readonly NamedPlace[],
  leftOut: ReadonlyMap<string, string>,
): Covered[] {
  return resources.map((resource) => {
    const touching = places.filter(({ place }) => touches(place, resource))
    const by = [...new Set(touching.map(({ source }) => source))].sort()
    const reason = [...leftOut].find(([pattern]) => matches(pattern, resource.arn))?.[1] ?? null
    const whole = isWhole(
      touching.map(({ place }) => place),
      resource,
    )
    const state = whole ? "covered" : reason !== null ? "left-out" : by.length > 0 ? "part" : "not-covered"
    return { resource, state, by, reason: state === "left-out" ? reason : null }
  })
}

const SERVERS: readonly Kind[] = ["rds-instance", "rds-cluster"]

function touches(place: Place, { kind, arn, name, parts }: Resource): boolean {
  if (place.kind === "arn") return matches(place.pattern, arn)
  if (place.kind === "s3") return kind === "s3-bucket" && place.bucket === name
  if (place.kind === "ssm") return kind === "ssm-parameters" && parts.some((part) => isBelow(part, place.path))
  return SERVERS.includes(kind) && parts.some((host) => host.toLowerCase() === place.host.toLowerCase())
}

function isWhole(places: readonly Place[], { parts }: Resource): boolean {
  if (places.some((place) => place.kind === "arn" || (place.kind === "host" && place.all))) return true
  const paths = places.flatMap((place) => (place.kind === "ssm" ? [place.path] : []))
  if (paths.length > 0) return parts.every((part) => paths.some((path) => isBelow(part, path)))
  return hasWholeBucket(places)
}

function hasWholeBucket(places: readonly Place[]): boolean {
  const whole = places.flatMap((place) => (place.kind === "s3" && place.prefix === "" ? [place.shard] : []))
  if (whole.includes(null)) return true
  const shards = whole.filter((shard) => shard !== null && shard !== "some")
  return shards.some(({ count }) =>
    Array.from({ length: count }, (_, index) => index).every((index) =>
      shards.some((shard) => shard.count === count && shard.index === index),
    ),
  )
}

function isBelow(name: string, path: string): boolean {
  return path === "/" || name === path || name.startsWith(path.endsWith("/") ? path : `${path}/`)
}

/** Whether `*` in the pattern can stand for something that makes it the ARN. */
function matches(pattern: string, arn: string): boolean {
  const [first = "", ...rest] = pattern.split("*")
  const last = rest.pop()
  if (last === undefined) return pattern === arn
  if (!arn.startsWith(first) || !arn.endsWith(last)) return false
  let at = first.length
  for (const text of rest) {
    const found = arn.indexOf(text, at)
    if (found < 0) return false
    at = found + text.length
  }
  return at + last.length <= arn.length
}
