// Which requests somebody is told of: patterns of EventBridge on what CloudTrail records, by anybody, whether S3 or IAM
// granted or refused it. Backups themselves match none.
//
// What S3 does by a rule of the bucket, the lifecycle of `state/`, is no request and is not in CloudTrail's data events.

import { Fn } from "aws-cdk-lib"

export interface EventPattern {
  readonly source: readonly string[]
  readonly "detail-type": readonly string[]
  readonly detail: Readonly<Record<string, unknown>>
}

/** Deletes and changes of locks; CloudTrail calls each version's delete `DeleteObject` as well. */
export const DELETES = ["DeleteObject", "DeleteObjects", "DeleteObjectVersion"]
export const LOCKS = ["PutObjectRetention", "PutObjectLegalHold", "PutObjectAcl", "PutObjectVersionAcl"]
/** All ways in which an object gets its content. */
export const WRITES = ["PutObject", "CopyObject", "CreateMultipartUpload", "CompleteMultipartUpload"]

/** What begins with these changes the bucket itself. */
const SETTINGS = [
  ...[{ prefix: "PutBucket" }, { prefix: "DeleteBucket" }, { prefix: "PutLifecycle" }],
  ...["PutObjectLockConfiguration", "PutPublicAccessBlock", "DeletePublicAccessBlock"],
]

/** Roles of the templates, by what CloudFormation makes of their logical ids: `<stack>-<logical id>-<letters>`. */
const ROLES = [
  ...["AdministratorRole", "OperatorRole", "SourceRole", "ReplicationRole", "MapRole", "SummaryRole", "ScheduleRole"],
  ...["BackupRole", "MachineRole", "PullRole", "WatchRole", "WatchdogRole", "BuildRole", "RebuildRole"],
].map((id) => ({ wildcard: `*-${id}-*` }))
const ROLE_CHANGES = [
  ...["PutRolePolicy", "DeleteRolePolicy", "AttachRolePolicy", "DetachRolePolicy", "UpdateAssumeRolePolicy"],
  ...["PutRolePermissionsBoundary", "DeleteRolePermissionsBoundary", "DeleteRole", "UpdateRole"],
]
const POLICY_CHANGES = ["CreatePolicyVersion", "SetDefaultPolicyVersion", "DeletePolicyVersion", "DeletePolicy"]
const WATCH_ENDS = [
  ...["StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors", "PutInsightSelectors"],
  ...["DisableRule", "DeleteRule", "RemoveTargets", "DeleteAlarms", "DisableAlarmActions"],
]

const calls = (service: string, detail: Readonly<Record<string, unknown>>): EventPattern => ({
  source: [`aws.${service}`],
  "detail-type": ["AWS API Call via CloudTrail"],
  detail,
})

/** Each with what the message says. `${Bucket}` and `${Path}` are parameters of the template. */
export function alarmPatterns(): Readonly<Record<string, { readonly says: string; readonly pattern: EventPattern }>> {
  const bucketName = [Fn.ref("Bucket")]
  return {
    Deleted: {
      says: "deletes in the archive, or changes the lock of an object or who may read it",
      pattern: calls("s3", { eventName: [...DELETES, ...LOCKS], requestParameters: { bucketName } }),
    },
    Bypassed: {
      says: "asks to go round a lock",
      pattern: calls("s3", {
        requestParameters: { bucketName, "x-amz-bypass-governance-retention": [{ exists: true }] },
      }),
    },
    SettingsChanged: {
      says: "changes a setting of the archive's bucket, or its policy",
      pattern: calls("s3", { eventName: SETTINGS, requestParameters: { bucketName } }),
    },
    PolicyChanged: {
      says: "writes below config/ or expiries/: who counts in the archive, and what may be deleted",
      pattern: calls("s3", {
        eventName: WRITES,
        requestParameters: {
          bucketName,
          key: [{ prefix: Fn.sub("${Path}/config/") }, { prefix: Fn.sub("${Path}/expiries/") }],
        },
      }),
    },
    RoleChanged: {
      says: "changes what a role of the archive may do, or who may take it",
      pattern: calls("iam", { eventName: ROLE_CHANGES, requestParameters: { roleName: ROLES } }),
    },
    RightsChanged: {
      says: "changes a policy of the archive's roles",
      pattern: calls("iam", {
        eventName: POLICY_CHANGES,
        requestParameters: {
          policyArn: [{ prefix: Fn.sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/backup-cloud/") }],
        },
      }),
    },
    WatchEnded: {
      says: "stops or changes what watches the account",
      pattern: {
        source: ["aws.cloudtrail", "aws.events", "aws.monitoring", "aws.cloudwatch"],
        "detail-type": ["AWS API Call via CloudTrail"],
        detail: { eventName: WATCH_ENDS },
      },
    },
  }
}
