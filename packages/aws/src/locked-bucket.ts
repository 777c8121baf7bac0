// A bucket whose objects nobody can change or delete before their time, and the policy that keeps it so. Its settings are
// changed by a change of its stack and in no other way: an administrator of the account who clicks or types by mistake is
// refused. Who means to do it can change the stack, and even then not unlock what is locked.
//
// Properties are those of CloudFormation, so the template reads as its reference does.

import { CfnDeletionPolicy, type IResolvable } from "aws-cdk-lib"
import { CfnBucket, CfnBucketPolicy, type CfnBucketProps } from "aws-cdk-lib/aws-s3"
import type { Construct } from "constructs"
import { CHANGER } from "./parameters.ts"

/** A statement of a bucket's policy, with what a template computes. */
export interface BucketStatement {
  readonly Sid: string
  readonly Effect: "Allow" | "Deny"
  readonly Principal: unknown
  readonly Action: string | readonly string[]
  readonly Resource: readonly unknown[]
  readonly Condition?: unknown
}

/** A bucket that outlives its stack and is closed to the public; its policy must be made with `bucketPolicy`. */
export function closedBucket(scope: Construct, id: string, more: CfnBucketProps): CfnBucket {
  const bucket = new CfnBucket(scope, id, {
    publicAccessBlockConfiguration: {
      blockPublicAcls: true,
      blockPublicPolicy: true,
      ignorePublicAcls: true,
      restrictPublicBuckets: true,
    },
    ownershipControls: { rules: [{ objectOwnership: "BucketOwnerEnforced" }] },
    bucketEncryption: SSE_S3,
    versioningConfiguration: { status: "Enabled" },
    ...more,
  })
  bucket.cfnOptions.deletionPolicy = CfnDeletionPolicy.RETAIN
  bucket.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN
  return bucket
}

/** Nothing to pay, nothing to lose: a KMS key that is deleted would take with it what the lock keeps. */
export const SSE_S3: CfnBucket.BucketEncryptionProperty = {
  serverSideEncryptionConfiguration: [{ serverSideEncryptionByDefault: { sseAlgorithm: "AES256" } }],
}

/** The lock that every new object gets by itself. @param days a number or a token */
export function lockOf(days: number): Pick<CfnBucketProps, "objectLockEnabled" | "objectLockConfiguration"> {
  return {
    objectLockEnabled: true,
    objectLockConfiguration: {
      objectLockEnabled: "Enabled",
      rule: { defaultRetention: { mode: "COMPLIANCE", days } },
    },
  }
}

/** An upload in parts that was broken off costs money and shows in no list of objects. */
export const ABORT_UPLOADS: CfnBucket.RuleProperty = {
  id: "broken-off-uploads",
  status: "Enabled",
  abortIncompleteMultipartUpload: { daysAfterInitiation: 1 },
}

/** @param more besides that everybody must come by TLS; a statement may depend on a condition of the template */
export function bucketPolicy(
  scope: Construct,
  id: string,
  bucket: CfnBucket,
  more: readonly (BucketStatement | IResolvable)[],
): CfnBucketPolicy {
  const statements = [
    denied("TlsOnly", "s3:*", everything(bucket), { Bool: { "aws:SecureTransport": "false" } }),
    ...more,
  ]
  const policy = new CfnBucketPolicy(scope, id, {
    bucket: bucket.ref,
    policyDocument: { Version: "2012-10-17", Statement: statements },
  })
  // Without it the bucket would stand open to its account's administrators.
  policy.cfnOptions.deletionPolicy = CfnDeletionPolicy.RETAIN
  policy.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN
  return policy
}

/** What holds for everybody: no lock is changed, and the settings are those of the stack. */
export function keepsItself(bucket: CfnBucket): BucketStatement[] {
  return [
    denied("LocksStay", LOCKS, objects(bucket)),
    denied("OnlyTheStackChanges", SETTINGS, [bucket.attrArn], {
      ArnNotLike: {
        "aws:PrincipalArn": { "Fn::Sub": `arn:\${AWS::Partition}:iam::\${AWS::AccountId}:role/\${${CHANGER}}` },
      },
      "ForAllValues:StringNotEquals": { "aws:CalledVia": ["cloudformation.amazonaws.com"] },
    }),
  ]
}

/** No role has these, and nobody gets them: what is stored has the lock of the bucket, no more and no less. */
const LOCKS = [
  "s3:PutObjectRetention",
  "s3:PutObjectLegalHold",
  "s3:BypassGovernanceRetention",
  "s3:PutObjectAcl",
  "s3:PutObjectVersionAcl",
]

/** All that changes whether objects stay, can be read, and by whom. */
const SETTINGS = [
  "s3:DeleteBucket",
  "s3:DeleteBucketPolicy",
  "s3:PutBucketAcl",
  "s3:PutBucketLogging",
  "s3:PutBucketObjectLockConfiguration",
  "s3:PutBucketOwnershipControls",
  "s3:PutBucketPolicy",
  "s3:PutBucketPublicAccessBlock",
  "s3:PutBucketVersioning",
  "s3:PutEncryptionConfiguration",
  // Objects in its archive tiers can't be read before they are brought back.
  "s3:PutIntelligentTieringConfiguration",
  "s3:PutLifecycleConfiguration",
  "s3:PutReplicationConfiguration",
]

export function denied(
  sid: string,
  action: string | readonly string[],
  resource: readonly unknown[],
  condition?: unknown,
): BucketStatement {
  const statement = { Sid: sid, Effect: "Deny", Principal: "*", Action: action, Resource: resource } as const
  return condition === undefined ? statement : { ...statement, Condition: condition }
}

export function objects(bucket: CfnBucket): readonly unknown[] {
  return [{ "Fn::Sub": `\${${bucket.node.id}.Arn}/*` }]
}

function everything(bucket: CfnBucket): readonly unknown[] {
  return [bucket.attrArn, ...objects(bucket)]
}
