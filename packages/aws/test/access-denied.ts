// What must not go through, row by row. Each row cites a sentence of docs/security-analysis.md, and says what stops it.

import { mapDenied } from "./access-map.ts"
import type { Principal, Question } from "./judge.ts"
import { identityArn, parameterArn, roleArn } from "./judge.ts"
import { ACCOUNT, REGION } from "./resolve.ts"

/**
 * `role`: the role's own policy, even where the account grants it everything. `bucket`: the bucket's policy, even for
 * those who have everything. `grant`: nobody gave it the right.
 */
export type Stop = "role" | "bucket" | "grant"

export interface Denied extends Question {
  readonly cites: string
  readonly by: readonly Stop[]
}

const RUN = "20261123T221500Z-4f1c9a02"
const mine = `backup/docs/${RUN}`
const other = `backup/other/${RUN}`
const sealed = [
  "key.gpg",
  "share-alice.gpg",
  "volume-00000001.tar.zst.gpg",
  "catalogue-00000001.tar.zst.gpg",
  "root-0001.gpg",
]
const governing = [
  ...["archive.json", "RECOVER.txt", "recover.sh", "config/policy-000002.json", "expiries/000001.json"],
  ...["erasures/000001.json.gpg", `reseals/docs/${RUN}/alice-0123456789abcdef.gpg`],
]
const proofs = ["drills/20261123T221500Z-4f1c9a02.json", "media/vault-1.json"]

const DELETE = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
const LOCKS = ["s3:PutObjectRetention", "s3:PutObjectLegalHold", "s3:BypassGovernanceRetention", "s3:PutObjectAcl"]
export const SETTINGS = [
  ...["s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:PutBucketAcl", "s3:PutBucketLogging"],
  ...["s3:PutBucketObjectLockConfiguration", "s3:PutBucketOwnershipControls", "s3:PutBucketPolicy"],
  ...["s3:PutBucketPublicAccessBlock", "s3:PutBucketVersioning", "s3:PutEncryptionConfiguration"],
  ...["s3:PutIntelligentTieringConfiguration", "s3:PutLifecycleConfiguration", "s3:PutReplicationConfiguration"],
]
/** Of the settings, those that a role's own policy refuses besides. */
const NEVER = [
  ...["s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:PutBucketObjectLockConfiguration", "s3:PutBucketPolicy"],
  ...["s3:PutBucketVersioning", "s3:PutLifecycleConfiguration", "s3:PutReplicationConfiguration"],
]

const create = { "s3:if-none-match": "*" }
const list = (prefix: string): Record<string, string> => ({ "s3:prefix": `some/place/${prefix}` })

export function rows(
  cites: string,
  by: readonly Stop[],
  principals: readonly Principal[],
  actions: readonly string[],
  resources: readonly string[],
  context: Readonly<Record<string, string>> = {},
): Denied[] {
  return principals.flatMap((principal) =>
    actions.flatMap((action) => resources.map((resource) => ({ principal, action, resource, context, cites, by }))),
  )
}

const readsNothing =
  "A backup process reads no volume, catalogue, root, key or share, of no source, not even of its own."
const createsInTwo = "A backup process creates in its own two folders and nowhere else."
const nothingOfAnother = "A backup process lists and reads nothing of another source."
const noOtherRole = "A backup process takes no other role, and reaches nothing else in the account."
const ownIdentity =
  "A backup process reads the identity of no other source, and of its own changes what it saw of the archive, and no key."
const identitiesOfSources = "Neither an operator nor an administrator reads or changes the identity of a source."
const operatorCreates =
  "An operator creates drills and media, and nothing else: no run, no state, no policy, no expiry."
const administratorCreates = "An administrator creates no run and no state, no drill and no medium."
const administratorDeletes =
  "An administrator deletes below `backup/` and `state/` only: policies, expiries, erasures, drills and media stay."
const noDeletes = "Neither a backup process nor an operator deletes anything."
const noSettings = "No role changes a lock, a setting of the bucket or its policy."
const holderNone = "A key holder has no right in the account."
const strangerNone = "Another account has no right in the bucket."
const overwrites = "Nobody overwrites: whoever creates, the account's administrators too, must say `If-None-Match`."
const foreignKeys = "Nobody stores what only a key of a stranger opens."
const tls = "Nobody comes without TLS."
const onlyAdministratorDeletes =
  "Nobody but the administrator's role deletes, and S3 itself lets nobody delete before the lock ends."
const locksStay = "Nobody changes the lock of an object."
const settingsStay =
  "The settings of the bucket change with its stack and in no other way, also for the account's administrators."

const everybodysRole = ["source", "operator", "administrator"] as const
const customerKey = { ...create, "s3:x-amz-server-side-encryption-customer-algorithm": "AES256" }
const kms = { ...create, "s3:x-amz-server-side-encryption": "aws:kms" }
const plain = { "aws:SecureTransport": "false" }
const mfa = { "aws:MultiFactorAuthPresent": "true" }
const allSealed = [mine, other].flatMap((folder) => sealed.map((base) => `${folder}/${base}`))
const creatable: readonly (readonly [Principal, readonly string[]])[] = [
  ["source", [`${mine}/receipt-0001.json`, `state/docs/${RUN}/root-0001.gpg`]],
  ["operator", proofs],
  ["administrator", governing],
]

export const deniedRows: readonly Denied[] = [
  ...rows(readsNothing, ["role"], ["source"], ["s3:GetObject", "s3:GetObjectVersion"], allSealed),
  ...rows(
    createsInTwo,
    ["grant"],
    ["source"],
    ["s3:PutObject"],
    [`${other}/key.gpg`, `state/other/${RUN}/root-0001.gpg`, ...governing, ...proofs, "probe/condition", "backup/x"],
    create,
  ),
  ...["backup/other/", "backup/", "backup/docs", "", "state/other/", "reseals/other/", "drills/"].flatMap((prefix) =>
    rows(nothingOfAnother, ["grant"], ["source"], ["s3:ListBucket", "s3:ListBucketVersions"], [""], list(prefix)),
  ),
  ...rows(
    nothingOfAnother,
    ["grant"],
    ["source"],
    ["s3:GetObject"],
    [
      ...[`${other}/receipt-0001.json`, `${other}/SHA256SUMS-0001`, `${other}/SHA256SUMS-0001.sig`],
      ...[`state/other/${RUN}/root-0001.gpg`, `reseals/other/${RUN}/alice-0123456789abcdef.gpg`, ...proofs],
    ],
  ),
  ...rows(noOtherRole, ["grant"], ["source"], ["sts:AssumeRole"], [roleArn("operator"), roleArn("administrator")], mfa),
  ...rows(
    noOtherRole,
    ["grant"],
    ["source"],
    ["ssm:PutParameter"],
    [parameterArn("s3_bucket"), parameterArn("s3_path")],
  ),
  ...rows(noOtherRole, ["grant"], ["source"], ["ssm:GetParameter"], [parameterArn("other")]),
  ...rows(
    ownIdentity,
    ["grant"],
    ["source"],
    ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParameterHistory", "ssm:PutParameter", "ssm:DeleteParameter"],
    ["other/secret", "other/signing-key", "other/trust", "docs-2/signing-key"].map(identityArn),
  ),
  ...rows(
    ownIdentity,
    ["grant"],
    ["source"],
    ["ssm:PutParameter", "ssm:DeleteParameter"],
    ["docs/secret", "docs/signing-key", "docs/next-signing-key", "docs/source"].map(identityArn),
  ),
  ...rows(ownIdentity, ["grant"], ["source"], ["ssm:GetParametersByPath"], ["other", "docs"].map(identityArn)),
  ...rows(
    holderNone,
    ["grant"],
    ["holder"],
    ["ssm:GetParameter"],
    ["docs/secret", "docs/signing-key"].map(identityArn),
  ),
  ...rows(
    identitiesOfSources,
    ["grant"],
    ["operator", "administrator"],
    ["ssm:GetParameter", "ssm:PutParameter"],
    ["docs/secret", "docs/signing-key", "docs/trust"].map(identityArn),
  ),
  ...rows(noOtherRole, ["grant"], ["source"], ["iam:CreateAccessKey"], [roleArn("holder")]),
  ...rows(noOtherRole, ["grant"], ["source"], ["iam:UpdateAssumeRolePolicy"], [roleArn("source"), roleArn("operator")]),
  ...rows(
    noOtherRole,
    ["grant"],
    ["source"],
    ["cloudformation:UpdateStack"],
    [`arn:aws:cloudformation:${REGION}:${ACCOUNT}:stack/archive/1`],
  ),
  ...rows(
    operatorCreates,
    ["role"],
    ["operator"],
    ["s3:PutObject"],
    [`${mine}/receipt-0001.json`, `state/docs/${RUN}/root-0001.gpg`, ...governing],
    create,
  ),
  ...rows(operatorCreates, ["grant"], ["operator"], ["s3:PutObject"], ["probe/condition", "elsewhere"], create),
  ...rows(
    administratorCreates,
    ["role"],
    ["administrator"],
    ["s3:PutObject"],
    [`${mine}/receipt-0001.json`, `state/docs/${RUN}/root-0001.gpg`, ...proofs],
    create,
  ),
  ...rows(administratorDeletes, ["role"], ["administrator"], DELETE, [...governing, ...proofs]),
  ...rows(administratorDeletes, ["grant"], ["administrator"], DELETE, ["elsewhere"]),
  ...rows(noDeletes, ["role", "bucket"], ["source", "operator"], DELETE, [`${mine}/key.gpg`]),
  ...rows(noSettings, ["role", "bucket"], everybodysRole, LOCKS, [`${mine}/key.gpg`]),
  ...rows(noSettings, ["role", "bucket"], everybodysRole, NEVER, [""]),
  ...rows(
    holderNone,
    ["grant"],
    ["holder"],
    ["s3:GetObject"],
    [`${mine}/key.gpg`, `${mine}/volume-00000001.tar.zst.gpg`, "config/policy-000001.json"],
  ),
  ...rows(holderNone, ["grant"], ["holder"], ["s3:ListBucket"], [""], list("")),
  ...rows(holderNone, ["grant"], ["holder"], ["s3:PutObject"], ["config/policy-000002.json", ...proofs], create),
  ...rows(holderNone, ["grant"], ["holder"], ["sts:AssumeRole"], [roleArn("operator"), roleArn("administrator")], mfa),
  ...rows(strangerNone, ["grant"], ["stranger"], ["s3:GetObject", "s3:DeleteObject"], [`${mine}/key.gpg`]),
  ...rows(strangerNone, ["grant"], ["stranger"], ["s3:PutObject"], [`${mine}/key.gpg`], create),
  ...rows(strangerNone, ["grant"], ["stranger"], ["s3:ListBucket"], [""], list("")),
  ...rows(strangerNone, ["grant"], ["stranger"], ["sts:AssumeRole"], everybodysRole.map(roleArn), mfa),
  ...creatable.flatMap(([principal, names]) =>
    rows(overwrites, ["grant", "bucket"], [principal], ["s3:PutObject"], names),
  ),
  ...rows(overwrites, ["bucket"], ["account", "deployer"], ["s3:PutObject"], [`${mine}/key.gpg`, "config/x"]),
  ...creatable.flatMap(([principal, [name = ""]]) => [
    ...rows(foreignKeys, ["bucket"], [principal, "account"], ["s3:PutObject"], [name], customerKey),
    ...rows(foreignKeys, ["bucket"], [principal, "account"], ["s3:PutObject"], [name], kms),
  ]),
  ...rows(tls, ["bucket"], [...everybodysRole, "account"], ["s3:GetObject"], ["archive.json"], plain),
  ...rows(tls, ["bucket"], [...everybodysRole, "account"], ["s3:ListBucket"], [""], { ...list("config/"), ...plain }),
  ...rows(onlyAdministratorDeletes, ["bucket"], ["account", "deployer"], DELETE, [`${mine}/key.gpg`, "archive.json"]),
  ...rows(locksStay, ["bucket"], ["account", "deployer"], [...LOCKS, "s3:PutObjectVersionAcl"], [`${mine}/key.gpg`]),
  ...rows(settingsStay, ["bucket"], ["account"], SETTINGS, [""]),
  ...mapDenied,
]
