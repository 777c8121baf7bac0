// Copies of the archive's objects in a second account or region, where S3 makes them: locks come along, deletions do not.

import { CfnOutput, CfnParameter, CfnRule, Fn, type Stack } from "aws-cdk-lib"
import { CfnPolicy, CfnRole } from "aws-cdk-lib/aws-iam"
import type { CfnBucket } from "aws-cdk-lib/aws-s3"
import { isGiven, KMS_KEY } from "./parameters.ts"
import { allowPatterns } from "./role-policy.ts"

const REPLICATES = "Replicates"

/** Makes the bucket replicate where a parameter names the bucket of a `ReplicaStack`. */
export function replicate(stack: Stack, bucket: CfnBucket, replicaBucketArn: string | undefined): void {
  const target = new CfnParameter(stack, "ReplicaBucketArn", {
    description: "ARN of a bucket of the replica template, in another account or region; empty for none",
    default: replicaBucketArn ?? "",
    allowedPattern: "^$|^arn:[a-z-]+:s3:::[a-z0-9.-]{3,63}$",
  })
  const condition = isGiven(stack, REPLICATES, target)
  const role = new CfnRole(stack, "ReplicationRole", {
    description: "With it S3 copies the objects of the archive to their replica",
    path: "/backup-cloud/",
    assumeRolePolicyDocument: {
      Version: "2012-10-17",
      Statement: [
        {
          Effect: "Allow",
          Principal: { Service: "s3.amazonaws.com" },
          Action: ["sts:AssumeRole"],
          Condition: { StringEquals: { "aws:SourceAccount": { Ref: "AWS::AccountId" } } },
        },
      ],
    },
  })
  role.cfnOptions.condition = condition
  const all = `\${${bucket.node.id}.Arn}/*`
  const copies = `\${${target.node.id}}/*`
  const rights = new CfnPolicy(stack, "ReplicationRights", {
    policyName: "replicate",
    roles: [role.ref],
    policyDocument: {
      Version: "2012-10-17",
      Statement: [
        {
          Sid: "Ask",
          Effect: "Allow",
          Action: ["s3:GetReplicationConfiguration", "s3:ListBucket"],
          Resource: [bucket.attrArn],
        },
        {
          Sid: "Take",
          Effect: "Allow",
          Action: [
            "s3:GetObjectVersionForReplication",
            "s3:GetObjectVersionAcl",
            "s3:GetObjectVersionTagging",
            "s3:GetObjectRetention",
            "s3:GetObjectLegalHold",
          ],
          Resource: [{ "Fn::Sub": all }],
        },
        {
          Sid: "Bring",
          Effect: "Allow",
          Action: ["s3:ReplicateObject", "s3:ReplicateTags"],
          Resource: [{ "Fn::Sub": copies }],
        },
      ],
    },
  })
  rights.cfnOptions.condition = condition
  allowPatterns(rights, [all, copies], "every object of the archive has its copy")
  bucket.replicationConfiguration = Fn.conditionIf(
    REPLICATES,
    {
      Role: role.attrArn,
      Rules: [
        {
          Id: "replica",
          Status: "Enabled",
          Priority: 1,
          Filter: { Prefix: "" },
          DeleteMarkerReplication: { Status: "Disabled" },
          Destination: { Bucket: target.valueAsString },
        },
      ],
    },
    { Ref: "AWS::NoValue" },
  )
  new CfnOutput(stack, "ReplicationRoleArn", { value: role.attrArn }).condition = condition
  new CfnRule(stack, "OneOfThem", {
    ruleCondition: Fn.conditionNot(Fn.conditionEquals(target.valueAsString, "")),
    assertions: [
      {
        assert: Fn.conditionEquals(Fn.ref(KMS_KEY), ""),
        assertDescription: "A bucket with a KMS key is not replicated by this template",
      },
    ],
  })
}
