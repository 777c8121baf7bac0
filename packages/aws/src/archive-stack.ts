// The archive's bucket, its access logs, the parameters that name it, and the roles of operator and administrator. A
// source's role is a stack of its own (source-stack.ts), and key holders have none: they need nothing in the account.
//
// Not here: anything that can read a volume without an operator, or create below `backup/` without a source.

import { CfnOutput, CfnParameter, Fn, Stack, type StackProps, Token } from "aws-cdk-lib"
import type { CfnBucket } from "aws-cdk-lib/aws-s3"
import { type CfnParameterProps, CfnParameter as SsmParameter } from "aws-cdk-lib/aws-ssm"
import type { Construct } from "constructs"
import {
  ABORT_UPLOADS,
  type BucketStatement,
  bucketPolicy,
  closedBucket,
  denied,
  keepsItself,
  lockOf,
  objects,
  SSE_S3,
} from "./locked-bucket.ts"
import {
  BASE,
  baseParameter,
  changerParameter,
  DEFAULT_PATH,
  KMS_KEY,
  kmsParameter,
  lockParameter,
  PATH,
  PATH_PATTERN,
  USES_KMS,
} from "./parameters.ts"
import { personRole } from "./people.ts"
import { replicate } from "./replication.ts"
import { keyRights, rolePolicy } from "./role-policy.ts"

/** Each is the default of a parameter of the template. */
export interface ArchiveStackProps extends StackProps {
  /** Of the archive in its bucket, without slashes around it; `backup-cloud` unless given. */
  readonly path?: string
  /** Of the parameters in Systems Manager; `/backup_cloud/base_defs` unless given. */
  readonly base?: string
  /** Days, 277 unless given: a horizon of 90, 7 of grace, 180 of guaranteed retention. */
  readonly lockDays?: number
  /** Days after which a run's state goes, 100 unless given; a source that runs less often stores everything anew. */
  readonly stateDays?: number
  readonly logDays?: number
  /** Who deletes this key makes the archive unreadable for good. SSE-S3 unless given. */
  readonly kmsKeyArn?: string
  /** Who may take the role; the account itself, by its own policies, unless given. */
  readonly administratorArn?: string
  readonly operatorArn?: string
  /** Pattern of the name of the role that deploys stacks. */
  readonly changerRole?: string
  /** Bucket of a `ReplicaStack`. */
  readonly replicaBucketArn?: string
}

export class ArchiveStack extends Stack {
  constructor(scope: Construct, id: string, props: ArchiveStackProps = {}) {
    super(scope, id, {
      description:
        "The bucket of an archive of backup-cloud. Its objects are locked in COMPLIANCE mode: nobody can delete them, or " +
        "end what they cost, before LockDays are over. A KMS key that is deleted would make them unreadable: see KmsKeyArn",
      ...props,
    })
    const path = new CfnParameter(this, PATH, {
      description: "Where in the bucket the archive lies",
      default: props.path ?? DEFAULT_PATH,
      allowedPattern: PATH_PATTERN,
      // It stands in each line of a role's policy, and IAM takes 6,144 letters.
      maxLength: 40,
    })
    baseParameter(this, props.base)
    const usesKms = kmsParameter(this, props.kmsKeyArn)
    changerParameter(this, props.changerRole)
    const bucket = this.#bucket(props, this.#logs(props))
    const administrator = personRole(this, "Administrator", props.administratorArn)
    const operator = personRole(this, "Operator", props.operatorArn)
    bucketPolicy(this, "ArchivePolicy", bucket, [
      ...createsOnly(bucket),
      ...keepsItself(bucket),
      denied("OnlyTheAdministratorDeletes", ["s3:DeleteObject", "s3:DeleteObjectVersion"], objects(bucket), {
        ArnNotEquals: { "aws:PrincipalArn": administrator.attrArn },
      }),
    ])
    rolePolicy(this, "AdministratorRights", "administrator", { bucket: bucket.node.id }, [administrator])
    rolePolicy(this, "OperatorRights", "operator", { bucket: bucket.node.id }, [operator])
    keyRights(this, "KeyRights", usesKms, [administrator, operator])
    const contract = (name: string, value: string): CfnParameterProps => ({
      ...{ name: Fn.sub(`\${${BASE}}/${name}`), type: "String", value },
      description: "Where the archive of backup-cloud is",
    })
    new SsmParameter(this, "BucketParameter", contract("s3_bucket", bucket.ref))
    new SsmParameter(this, "PathParameter", contract("s3_path", path.valueAsString))
    new CfnOutput(this, "BucketName", { value: bucket.ref })
    new CfnOutput(this, "AdministratorRoleArn", { value: administrator.attrArn })
    new CfnOutput(this, "OperatorRoleArn", { value: operator.attrArn })
  }

  #bucket(props: ArchiveStackProps, logs: CfnBucket): CfnBucket {
    const lockDays = lockParameter(this, props.lockDays)
    const stateDays = new CfnParameter(this, "StateDays", {
      type: "Number",
      description: "Days after which a run's state is hidden; it is gone when its lock ends. It can be made anew",
      default: props.stateDays ?? 100,
      minValue: 1,
    })
    const below = (folder: string): string => Fn.sub(`\${${PATH}}/${folder}/`)
    const bucket = closedBucket(this, "Archive", {
      ...lockOf(Token.asNumber(lockDays.value)),
      bucketEncryption: {
        serverSideEncryptionConfiguration: [
          Fn.conditionIf(
            USES_KMS,
            {
              BucketKeyEnabled: true,
              ServerSideEncryptionByDefault: { SSEAlgorithm: "aws:kms", KMSMasterKeyID: Fn.ref(KMS_KEY) },
            },
            { ServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" } },
          ),
        ],
      },
      loggingConfiguration: { destinationBucketName: logs.ref, logFilePrefix: "access/" },
      lifecycleConfiguration: {
        rules: [
          ABORT_UPLOADS,
          {
            id: "states",
            status: "Enabled",
            prefix: below("state"),
            expirationInDays: Token.asNumber(stateDays.value),
            noncurrentVersionExpiration: { noncurrentDays: 1 },
          },
          { id: "marks-of-states", status: "Enabled", prefix: below("state"), expiredObjectDeleteMarker: true },
        ],
      },
    })
    replicate(this, bucket, props.replicaBucketArn)
    return bucket
  }

  /** Who asked for what; a bucket with a default lock can't take access logs. */
  #logs(props: ArchiveStackProps): CfnBucket {
    const days = new CfnParameter(this, "LogDays", {
      type: "Number",
      description: "Days for which access logs are kept",
      default: props.logDays ?? 400,
      minValue: 1,
    })
    const logs = closedBucket(this, "Logs", {
      bucketEncryption: SSE_S3,
      lifecycleConfiguration: {
        rules: [
          ABORT_UPLOADS,
          {
            id: "old-logs",
            status: "Enabled",
            expirationInDays: Token.asNumber(days.value),
            noncurrentVersionExpiration: { noncurrentDays: 1 },
          },
        ],
      },
    })
    bucketPolicy(this, "LogsPolicy", logs, [
      {
        Sid: "Deliver",
        Effect: "Allow",
        Principal: { Service: "logging.s3.amazonaws.com" },
        Action: ["s3:PutObject"],
        Resource: [{ "Fn::Sub": "${Logs.Arn}/access/*" }],
        Condition: { StringEquals: { "aws:SourceAccount": { Ref: "AWS::AccountId" } } },
      },
    ])
    return logs
  }
}

/** An object is created whole, once, and readable with the bucket's key: an overwrite, or a key of a stranger's, is refused. */
function createsOnly(bucket: CfnBucket): BucketStatement[] {
  const create = (sid: string, condition: unknown): BucketStatement =>
    denied(sid, ["s3:PutObject"], objects(bucket), condition)
  const header = "s3:x-amz-server-side-encryption"
  return [
    create("CreatesOnly", { Null: { "s3:if-none-match": "true" } }),
    create("NoCustomerKeys", { Null: { [`${header}-customer-algorithm`]: "false" } }),
    create(
      "NoForeignKeys",
      Fn.conditionIf(
        USES_KMS,
        {
          Null: { [`${header}-aws-kms-key-id`]: "false" },
          StringNotEquals: { [`${header}-aws-kms-key-id`]: Fn.ref(KMS_KEY) },
        },
        { Null: { [header]: "false" }, StringNotEquals: { [header]: "AES256" } },
      ),
    ),
  ]
}
