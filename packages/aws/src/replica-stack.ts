// The bucket that takes the copies of an archive's objects, in a second account or region. Only S3 itself writes there,
// with the role of the archive's stack; nobody deletes, unless this stack is changed first.

import { CfnOutput, CfnParameter, Fn, Stack, type StackProps, Token, Validations } from "aws-cdk-lib"
import type { Construct } from "constructs"
import { ABORT_UPLOADS, bucketPolicy, closedBucket, denied, keepsItself, lockOf, objects } from "./locked-bucket.ts"
import { changerParameter, isGiven, lockParameter } from "./parameters.ts"

/** Each is the default of a parameter of the template. */
export interface ReplicaStackProps extends StackProps {
  readonly lockDays?: number
  /** Pattern of the name of the role that deploys stacks in this account. */
  readonly changerRole?: string
  /** The role of the archive's stack, which exists once that one has this bucket as its replica. */
  readonly replicationRoleArn?: string
}

const COPYING = ["s3:ReplicateObject", "s3:ReplicateTags"]

export class ReplicaStack extends Stack {
  constructor(scope: Construct, id: string, props: ReplicaStackProps = {}) {
    super(scope, id, {
      description:
        "A second bucket for the objects of an archive of backup-cloud, where S3 replicates them. They are locked in " +
        "COMPLIANCE mode: nobody can delete them, or end what they cost, before their lock ends",
      ...props,
    })
    changerParameter(this, props.changerRole)
    const lockDays = lockParameter(this, props.lockDays)
    const role = new CfnParameter(this, "ReplicationRoleArn", {
      description: "The output ReplicationRoleArn of the archive's stack; empty until there is one",
      default: props.replicationRoleArn ?? "",
      allowedPattern: "^$|^arn:[a-z-]+:iam::[0-9]{12}:role/.+$",
    })
    const given = isGiven(this, "RoleGiven", role)
    const bucket = closedBucket(this, "Replica", {
      ...lockOf(Token.asNumber(lockDays.value)),
      lifecycleConfiguration: { rules: [ABORT_UPLOADS] },
    })
    Validations.of(bucket).acknowledge({
      id: "AwsSolutions-S1",
      reason: "only replication writes here, what it holds is sealed, and the archive's own bucket has access logs",
    })
    const nobody = Fn.sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/none")
    bucketPolicy(this, "ReplicaPolicy", bucket, [
      ...keepsItself(bucket),
      denied("NobodyDeletes", ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ReplicateDelete"], objects(bucket)),
      denied("OnlyReplication", ["s3:PutObject", ...COPYING], objects(bucket), {
        ArnNotEquals: { "aws:PrincipalArn": Fn.conditionIf(given.logicalId, role.valueAsString, nobody) },
      }),
      Fn.conditionIf(
        given.logicalId,
        {
          ...{ Sid: "Replicate", Effect: "Allow", Principal: { AWS: role.valueAsString } },
          ...{ Action: COPYING, Resource: objects(bucket) },
        },
        { Ref: "AWS::NoValue" },
      ),
    ])
    new CfnOutput(this, "ReplicaBucketArn", { value: bucket.attrArn })
  }
}
