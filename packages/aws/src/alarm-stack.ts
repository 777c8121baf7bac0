// Who is told when somebody touches what must stay: a topic, a trail that records the requests in question, and a rule for
// each kind of them (alarm-patterns.ts). The alarms of one source are a stack of their own (source-alarm-stack.ts).
//
// IAM tells its events in one region of the world, us-east-1: where the archive is elsewhere, this template is deployed
// there a second time, without a trail.

import {
  CfnCondition,
  CfnDeletionPolicy,
  CfnOutput,
  CfnParameter,
  Fn,
  Stack,
  type StackProps,
  Validations,
} from "aws-cdk-lib"
import { CfnTrail } from "aws-cdk-lib/aws-cloudtrail"
import { CfnRule } from "aws-cdk-lib/aws-events"
import { CfnSubscription, CfnTopic, CfnTopicPolicy } from "aws-cdk-lib/aws-sns"
import type { Construct } from "constructs"
import { alarmPatterns, DELETES, LOCKS, WRITES } from "./alarm-patterns.ts"
import { ABORT_UPLOADS, bucketPolicy, closedBucket } from "./locked-bucket.ts"
import { DEFAULT_PATH, isGiven, PATH, PATH_PATTERN } from "./parameters.ts"

/** Each is the default of a parameter of the template. */
export interface AlarmStackProps extends StackProps {
  /** The archive's bucket, and its path there; the path is `backup-cloud` unless given. */
  readonly bucket?: string
  readonly path?: string
  /** Who gets the messages; a person confirms it by a mail that AWS sends. */
  readonly mail?: string
  /** Whether a trail is made; it is unless told. */
  readonly trail?: boolean
  /** Days for which the trail's records are kept, 400 unless given. */
  readonly trailDays?: number
}

export class AlarmStack extends Stack {
  constructor(scope: Construct, id: string, props: AlarmStackProps = {}) {
    super(scope, id, {
      description:
        "Tells when somebody deletes in an archive of backup-cloud, changes a lock, its bucket, policy or roles",
      ...props,
    })
    new CfnParameter(this, "Bucket", {
      description: "Name of the archive's bucket",
      ...(props.bucket === undefined ? {} : { default: props.bucket }),
      allowedPattern: "^[a-z0-9.-]{3,63}$",
    })
    new CfnParameter(this, PATH, {
      description: "Where in the bucket the archive lies",
      default: props.path ?? DEFAULT_PATH,
      allowedPattern: PATH_PATTERN,
      maxLength: 40,
    })
    const topic = this.#topic(props.mail)
    for (const [name, { says, pattern }] of Object.entries(alarmPatterns())) {
      new CfnRule(this, name, {
        description: `Somebody ${says}`,
        eventPattern: pattern,
        targets: [
          {
            ...{ id: "topic", arn: topic.ref },
            inputTransformer: {
              inputPathsMap: {
                ...{ what: "$.detail.eventName", who: "$.detail.userIdentity.arn", when: "$.detail.eventTime" },
                ...{ event: "$.detail.eventID", where: "$.detail.awsRegion" },
              },
              inputTemplate: `"Somebody ${says}: <what> by <who> at <when> in <where>. Event <event> of CloudTrail says more, also whether it was refused."`,
            },
          },
        ],
      })
    }
    this.#trail(props)
    new CfnOutput(this, "TopicArn", { value: topic.ref })
  }

  #topic(mail: string | undefined): CfnTopic {
    const address = new CfnParameter(this, "Mail", {
      description: "Address that gets the messages, once it has confirmed that; empty for none",
      default: mail ?? "",
      allowedPattern: "^$|^[^@ ]+@[^@ ]+$",
    })
    const topic = new CfnTopic(this, "Alarms", { displayName: "backup-cloud" })
    Validations.of(topic).acknowledge({
      id: "AwsSolutions-SNS2",
      reason: "messages name sources and requests and hold no data; a key that somebody disables would silence them",
    })
    const services = (sid: string, service: string) => ({
      ...{ Sid: sid, Effect: "Allow", Principal: { Service: service }, Action: "sns:Publish", Resource: topic.ref },
      Condition: { StringEquals: { "aws:SourceAccount": { Ref: "AWS::AccountId" } } },
    })
    new CfnTopicPolicy(this, "AlarmsPolicy", {
      topics: [topic.ref],
      policyDocument: {
        Version: "2012-10-17",
        Statement: [
          services("Alarms", "cloudwatch.amazonaws.com"),
          // No condition: AWS documents none for rules, and one that is not met would keep every message back in silence.
          {
            ...{ Sid: "Rules", Effect: "Allow", Principal: { Service: "events.amazonaws.com" } },
            ...{ Action: "sns:Publish", Resource: topic.ref },
          },
          {
            ...{ Sid: "TlsOnly", Effect: "Deny", Principal: "*", Action: "sns:Publish", Resource: topic.ref },
            Condition: { Bool: { "aws:SecureTransport": "false" } },
          },
        ],
      },
    })
    new CfnSubscription(this, "MailSubscription", {
      ...{ topicArn: topic.ref, protocol: "email", endpoint: address.valueAsString },
    }).cfnOptions.condition = isGiven(this, "MailGiven", address)
    return topic
  }

  /** It records no backup: of what is written only what lies below `config/` and `expiries/`. */
  #trail(props: AlarmStackProps): void {
    const wanted = new CfnParameter(this, "Trail", {
      description:
        "Whether a trail is made; false where one records the bucket's data events already, and where this template is " +
        "deployed a second time for the events of IAM",
      default: String(props.trail ?? true),
      allowedValues: ["true", "false"],
    })
    const days = new CfnParameter(this, "TrailDays", {
      type: "Number",
      description: "Days for which the trail's records are kept",
      default: props.trailDays ?? 400,
      minValue: 1,
    })
    const condition = new CfnCondition(this, "MakesTrail", {
      expression: Fn.conditionEquals(wanted.valueAsString, "true"),
    })
    const records = closedBucket(this, "Records", {
      lifecycleConfiguration: {
        rules: [
          ABORT_UPLOADS,
          {
            ...{ id: "old-records", status: "Enabled", noncurrentVersionExpiration: { noncurrentDays: 1 } },
            expirationInDays: days.valueAsNumber,
          },
        ],
      },
    })
    records.cfnOptions.condition = condition
    Validations.of(records).acknowledge({
      id: "AwsSolutions-S1",
      reason: "it holds a log itself, which CloudTrail signs: logFileValidation",
    })
    const name = "${AWS::StackName}"
    const trailArn = Fn.sub(`arn:\${AWS::Partition}:cloudtrail:\${AWS::Region}:\${AWS::AccountId}:trail/${name}`)
    const fromTrail = { Effect: "Allow", Principal: { Service: "cloudtrail.amazonaws.com" } } as const
    const policy = bucketPolicy(this, "RecordsPolicy", records, [
      {
        ...fromTrail,
        Sid: "Ask",
        Action: ["s3:GetBucketAcl"],
        Resource: [records.attrArn],
        Condition: { StringEquals: { "aws:SourceArn": trailArn } },
      },
      {
        ...fromTrail,
        Sid: "Deliver",
        Action: ["s3:PutObject"],
        Resource: [Fn.sub("${Records.Arn}/AWSLogs/${AWS::AccountId}/*")],
        Condition: { StringEquals: { "aws:SourceArn": trailArn } },
      },
    ])
    policy.cfnOptions.condition = condition
    const data = (
      more: readonly CfnTrail.AdvancedFieldSelectorProperty[],
    ): CfnTrail.AdvancedFieldSelectorProperty[] => [
      { field: "eventCategory", equalTo: ["Data"] },
      { field: "resources.type", equalTo: ["AWS::S3::Object"] },
      ...more,
    ]
    const below = (folder: string): string => Fn.sub(`arn:\${AWS::Partition}:s3:::\${Bucket}/${folder}`)
    const trail = new CfnTrail(this, "RequestTrail", {
      trailName: Fn.ref("AWS::StackName"),
      s3BucketName: records.ref,
      isLogging: true,
      enableLogFileValidation: true,
      includeGlobalServiceEvents: true,
      isMultiRegionTrail: true,
      advancedEventSelectors: [
        {
          name: "what changes the account",
          fieldSelectors: [
            { field: "eventCategory", equalTo: ["Management"] },
            { field: "readOnly", equalTo: ["false"] },
          ],
        },
        {
          name: "deletes and locks",
          fieldSelectors: data([
            { field: "resources.ARN", startsWith: [below("")] },
            { field: "eventName", equalTo: [...DELETES, ...LOCKS] },
          ]),
        },
        {
          name: "policies and expiries",
          fieldSelectors: data([
            { field: "resources.ARN", startsWith: [below("${Path}/config/"), below("${Path}/expiries/")] },
            { field: "eventName", equalTo: WRITES },
          ]),
        },
      ],
    })
    trail.cfnOptions.condition = condition
    trail.cfnOptions.deletionPolicy = CfnDeletionPolicy.DELETE
    trail.addResourceDependency(policy)
  }
}
