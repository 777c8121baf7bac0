// What each role may do in the bucket of an archive, as an IAM policy: the table of roles in docs/design.md, word by word.
// A policy allows what the role needs and then denies what it must never do, so that a broader grant elsewhere in the
// account does not undo it.
//
// A create must carry `If-None-Match`, so no role can overwrite, whatever program it runs. Servers that do not know the
// condition key `s3:if-none-match` refuse such a statement or ignore it; there `probe` tells what holds. Not here: who
// may change the bucket itself (its policy, lock and lifecycle), which belongs to nobody in the table.

import { BackupError, expectName } from "@backup-cloud/format"

export type Role = "source" | "operator" | "administrator"

export interface Statement {
  readonly Sid: string
  readonly Effect: "Allow" | "Deny"
  readonly Action: readonly string[]
  readonly Resource: readonly string[]
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>
}

export interface IamPolicy {
  readonly Version: "2012-10-17"
  readonly Statement: readonly Statement[]
}

export interface Place {
  readonly bucket: string
  /** As in the archive's URL; slashes around it do not count. */
  readonly prefix: string
  /** Name of the source whose process it is; only and always for the role `source`. */
  readonly source?: string
}

/** Throws `usage` for a place that IAM would read as a pattern, and for a source that is missing or not wanted. */
export function iamPolicy(role: Role, place: Place): IamPolicy {
  if (/[*?$]/.test(place.bucket + place.prefix)) {
    throw new BackupError("usage", `${place.bucket}/${place.prefix}: IAM gives *, ? and $ a meaning of their own`)
  }
  const { source } = place
  if ((role === "source") !== (source !== undefined)) {
    throw new BackupError("usage", "the role source, and no other, is that of one source", { hint: "give its name" })
  }
  if (source !== undefined) return policy(sourceStatements(place, expectName("name", source)))
  return policy(role === "operator" ? operatorStatements(place) : administratorStatements(place))
}

const READ = ["s3:GetObject", "s3:GetObjectVersion"]
const DELETE = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
/** Rights over the lock, the access and the bucket that no role has. */
const NEVER = [
  "s3:PutObjectRetention",
  "s3:PutObjectLegalHold",
  "s3:BypassGovernanceRetention",
  "s3:PutObjectAcl",
  "s3:PutBucketObjectLockConfiguration",
  "s3:PutBucketVersioning",
  "s3:PutLifecycleConfiguration",
  "s3:PutReplicationConfiguration",
  "s3:PutBucketPolicy",
  "s3:DeleteBucketPolicy",
  "s3:DeleteBucket",
]
/** Names of what only a released secret opens, below a run. */
const SEALED = ["key.gpg", "share-*", "volume-*", "catalogue-*", "root-*"]
/** What only the administrator creates. */
const GOVERNING = ["archive.json", "RECOVER.txt", "recover.sh", "config/*", "reseals/*", "expiries/*", "erasures/*"]

function sourceStatements(place: Place, source: string): Statement[] {
  const own = [`backup/${source}/`, `state/${source}/`]
  const shared = ["archive.json", "config/*", `reseals/${source}/*`]
  const proofs = [`backup/${source}/*/receipt-*`, `backup/${source}/*/SHA256SUMS-*`, `state/${source}/*`]
  return [
    create(
      "Create",
      place,
      own.map((folder) => `${folder}*`),
    ),
    list("List", ["s3:ListBucket"], place, [...own.map((folder) => `${folder}*`), ...shared]),
    { Sid: "Read", Effect: "Allow", Action: ["s3:GetObject"], Resource: objects(place, [...shared, ...proofs]) },
    {
      Sid: "NeverSealed",
      Effect: "Deny",
      Action: READ,
      Resource: objects(
        place,
        SEALED.map((name) => `backup/*/${name}`),
      ),
    },
    never(place, [...DELETE, ...NEVER]),
  ]
}

function operatorStatements(place: Place): Statement[] {
  return [
    ...readAll(place),
    create("Create", place, ["drills/*", "media/*"]),
    deny("NeverCreate", ["s3:PutObject"], place, ["backup/*", "state/*", ...GOVERNING]),
    never(place, [...DELETE, ...NEVER]),
  ]
}

function administratorStatements(place: Place): Statement[] {
  return [
    ...readAll(place),
    create("Create", place, [...GOVERNING, "probe/*"]),
    { Sid: "Expire", Effect: "Allow", Action: DELETE, Resource: objects(place, ["backup/*", "state/*", "probe/*"]) },
    deny("NeverCreate", ["s3:PutObject"], place, ["backup/*", "state/*", "drills/*", "media/*"]),
    deny("NeverDelete", DELETE, place, [...GOVERNING, "drills/*", "media/*"]),
    never(place, NEVER),
  ]
}

function policy(statements: readonly Statement[]): IamPolicy {
  return { Version: "2012-10-17", Statement: statements }
}

/** Everything with its versions, and what `probe` and a status page ask of the bucket. */
function readAll(place: Place): Statement[] {
  const bucket = `arn:aws:s3:::${place.bucket}`
  return [
    list("List", ["s3:ListBucket", "s3:ListBucketVersions"], place, ["*"]),
    { Sid: "Read", Effect: "Allow", Action: [...READ, "s3:GetObjectRetention"], Resource: objects(place, ["*"]) },
    {
      Sid: "Ask",
      Effect: "Allow",
      Action: ["s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration"],
      Resource: [bucket],
    },
  ]
}

function list(sid: string, actions: readonly string[], place: Place, patterns: readonly string[]): Statement {
  const condition = { StringLike: { "s3:prefix": patterns.map((pattern) => keyOf(place, pattern)) } }
  return {
    Sid: sid,
    Effect: "Allow",
    Action: actions,
    Resource: [`arn:aws:s3:::${place.bucket}`],
    Condition: condition,
  }
}

function create(sid: string, place: Place, patterns: readonly string[]): Statement {
  const condition = { Null: { "s3:if-none-match": "false" } }
  return {
    Sid: sid,
    Effect: "Allow",
    Action: ["s3:PutObject"],
    Resource: objects(place, patterns),
    Condition: condition,
  }
}

function deny(sid: string, actions: readonly string[], place: Place, patterns: readonly string[]): Statement {
  return { Sid: sid, Effect: "Deny", Action: actions, Resource: objects(place, patterns) }
}

function never(place: Place, actions: readonly string[]): Statement {
  const bucket = `arn:aws:s3:::${place.bucket}`
  return { Sid: "Never", Effect: "Deny", Action: actions, Resource: [bucket, `${bucket}/*`] }
}

function objects(place: Place, patterns: readonly string[]): string[] {
  return patterns.map((pattern) => `arn:aws:s3:::${place.bucket}/${keyOf(place, pattern)}`)
}

function keyOf(place: Place, pattern: string): string {
  return [...place.prefix.split("/").filter((part) => part !== ""), pattern].join("/")
}
