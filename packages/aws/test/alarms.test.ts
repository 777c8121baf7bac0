// Who touches the archive is told of: each rule's pattern is put into moto's EventBridge, over HTTP, and given events as
// CloudTrail records them, those that must be told of and those that must not; among these all that a backup itself does.
// And what the alarms of a source look at, and what the trail records.

import assert from "node:assert/strict"
import { globSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { type Moto, startMoto } from "../../store/test/moto.ts"
import { alarmPatterns } from "../src/alarm-patterns.ts"
import { type Resource, resolve, template } from "./resolve.ts"

const alarms = resolve(template("alarms"), { Bucket: "the-bucket", Path: "some/place" })
const names = Object.keys(alarmPatterns())
/** Logical ids of the roles of all templates. */
const roleIds = globSync("*.json", { cwd: join(import.meta.dirname, "../../../deploy/cloudformation") }).flatMap(
  (file) => {
    const { Resources } = JSON.parse(template(file.slice(0, -".json".length))) as {
      Resources: Record<string, Resource>
    }
    return Object.keys(Resources).filter((id) => Resources[id]?.Type === "AWS::IAM::Role")
  },
)
let moto: Moto
const queues = new Map<string, string>()

/** One request of a JSON protocol of AWS. */
async function ask(service: string, target: string, body: object): Promise<Record<string, unknown>> {
  const answer = await fetch(`${moto.endpoint}/`, {
    method: "POST",
    headers: {
      "content-type": "application/x-amz-json-1.1",
      "x-amz-target": target,
      authorization: `AWS4-HMAC-SHA256 Credential=anybody/20261123/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`,
    },
    body: JSON.stringify(body),
  })
  const text = await answer.text()
  assert.ok(answer.ok, `${target}: ${text}`)
  return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>)
}

interface RuleProperties {
  readonly EventPattern: unknown
  readonly Targets: readonly [{ readonly Arn: string; readonly InputTransformer: object }]
}

before(async () => {
  moto = await startMoto()
  for (const name of names) {
    const { EventPattern, Targets } = alarms[name]?.Properties as unknown as RuleProperties
    assert.equal(Targets[0].Arn, "Alarms")
    const { QueueUrl } = await ask("sqs", "AmazonSQS.CreateQueue", { QueueName: name })
    queues.set(name, String(QueueUrl))
    await ask("events", "AWSEvents.PutRule", { Name: name, EventPattern: JSON.stringify(EventPattern) })
    // moto sends no rule's event to a topic, so a queue stands for it.
    const Arn = `arn:aws:sqs:us-east-1:123456789012:${name}`
    await ask("events", "AWSEvents.PutTargets", { Rule: name, Targets: [{ ...Targets[0], Arn, Id: "queue" }] })
  }
})
after(() => moto.close())

interface Recorded {
  readonly service: string
  readonly eventName: string
  readonly requestParameters?: object
  readonly errorCode?: string
}

/** An event as EventBridge has it from CloudTrail. */
const entry = ({ service, eventName, ...more }: Recorded) => ({
  Source: `aws.${service}`,
  DetailType: "AWS API Call via CloudTrail",
  Detail: JSON.stringify({
    eventVersion: "1.11",
    userIdentity: { type: "AssumedRole", arn: "arn:aws:sts::111122223333:assumed-role/Admin/mallory" },
    eventTime: "2026-11-23T22:15:00Z",
    eventSource: `${service}.amazonaws.com`,
    eventName,
    awsRegion: "eu-central-1",
    eventID: "3c9d5a6e-0000-4000-8000-000000000000",
    readOnly: false,
    eventType: "AwsApiCall",
    ...more,
  }),
})

/** @returns what each rule said, by its name; those that said nothing left out */
async function told(event: Recorded | { Source: string; DetailType: string; Detail: string }) {
  const Entries = ["Source" in event ? event : entry(event)]
  assert.equal((await ask("events", "AWSEvents.PutEvents", { Entries }))["FailedEntryCount"], 0)
  const said = new Map<string, string>()
  for (const [name, QueueUrl] of queues) {
    const { Messages = [] } = (await ask("sqs", "AmazonSQS.ReceiveMessage", { QueueUrl, WaitTimeSeconds: 0 })) as {
      Messages?: readonly { readonly Body: string }[]
    }
    const [message] = Messages
    if (message !== undefined) said.set(name, message.Body)
    await ask("sqs", "AmazonSQS.PurgeQueue", { QueueUrl })
  }
  return said
}

const RUN = "some/place/backup/docs/20261123T221500Z-4f1c9a02"
const s3 = (eventName: string, key?: string, more: object = {}): Recorded => ({
  ...{ service: "s3", eventName },
  requestParameters: {
    ...{ bucketName: "the-bucket", Host: "the-bucket.s3.eu-central-1.amazonaws.com" },
    ...(key === undefined ? {} : { key }),
    ...more,
  },
})
const iam = (eventName: string, requestParameters: object): Recorded => ({
  service: "iam",
  eventName,
  requestParameters,
})
const POLICIES = "arn:aws:iam::111122223333:policy/backup-cloud/"

const mustTell: readonly (readonly [string, readonly Recorded[]])[] = [
  [
    "Deleted",
    [
      s3("DeleteObject", `${RUN}/key.gpg`),
      s3("DeleteObject", `${RUN}/key.gpg`, { versionId: "3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY" }),
      { ...s3("DeleteObject", `${RUN}/key.gpg`), errorCode: "AccessDenied" },
      s3("DeleteObjects", undefined, { delete: "" }),
      s3("PutObjectRetention", `${RUN}/key.gpg`, { retention: "" }),
      s3("PutObjectLegalHold", `${RUN}/key.gpg`, { "legal-hold": "" }),
      s3("PutObjectAcl", "some/place/archive.json", { acl: "" }),
    ],
  ],
  ["Bypassed", [s3("PutObjectTagging", `${RUN}/key.gpg`, { "x-amz-bypass-governance-retention": "true" })]],
  [
    "SettingsChanged",
    [
      ...["PutBucketPolicy", "DeleteBucketPolicy", "PutBucketVersioning", "PutBucketLifecycle", "DeleteBucket"],
      ...["PutBucketEncryption", "PutBucketReplication", "PutBucketLogging", "PutBucketAcl", "DeleteBucketLifecycle"],
      ...["PutBucketPublicAccessBlock", "PutBucketObjectLockConfiguration", "PutObjectLockConfiguration"],
      ...["PutBucketOwnershipControls", "DeleteBucketPublicAccessBlock", "PutBucketIntelligentTieringConfiguration"],
    ].map((name) => s3(name)),
  ],
  [
    "PolicyChanged",
    [
      s3("PutObject", "some/place/config/policy-000002.json"),
      s3("PutObject", "some/place/config/public-keys/alice-0123456789abcdef.asc"),
      s3("CompleteMultipartUpload", "some/place/config/policy-000002.json"),
      s3("CopyObject", "some/place/expiries/000001.json"),
      { ...s3("PutObject", "some/place/config/policy-000002.json"), errorCode: "AccessDenied" },
    ],
  ],
  [
    "RoleChanged",
    [
      iam("PutRolePolicy", { roleName: "archive-OperatorRole-1A2B3C", policyName: "more" }),
      iam("AttachRolePolicy", {
        roleName: "source-docs-SourceRole-1A2B3C",
        policyArn: "arn:aws:iam::aws:policy/Admin",
      }),
      iam("UpdateAssumeRolePolicy", { roleName: "archive-AdministratorRole-1A2B3C" }),
      iam("DetachRolePolicy", { roleName: "archive-ReplicationRole-1A2B3C" }),
      ...roleIds.map((id) => iam("DeleteRolePolicy", { roleName: `stack-${id}-1A2B3C` })),
    ],
  ],
  [
    "RightsChanged",
    [
      iam("CreatePolicyVersion", { policyArn: `${POLICIES}archive-OperatorRights-1A2B3C`, setAsDefault: true }),
      iam("SetDefaultPolicyVersion", { policyArn: `${POLICIES}archive-OperatorRights-1A2B3C`, versionId: "v1" }),
    ],
  ],
  [
    "WatchEnded",
    [
      { service: "cloudtrail", eventName: "StopLogging", requestParameters: { name: "alarms" } },
      { service: "cloudtrail", eventName: "PutEventSelectors", requestParameters: { trailName: "alarms" } },
      { service: "events", eventName: "DisableRule", requestParameters: { name: "alarms-Deleted" } },
      { service: "monitoring", eventName: "DeleteAlarms", requestParameters: { alarmNames: ["x"] } },
    ],
  ],
]

test("what must be told of is, by its rule and no other, with who and what, refused or not", async () => {
  assert.deepEqual(mustTell.map(([name]) => name).sort(), names.toSorted())
  for (const [rule, events] of mustTell) {
    for (const event of events) {
      const said = await told(event)
      assert.deepEqual([...said.keys()], [rule], JSON.stringify(event))
      const message = said.get(rule) ?? ""
      assert.match(
        message,
        new RegExp(`^"?Somebody .*: ${event.eventName} by arn:aws:sts::111122223333:.*/mallory at 2026`),
      )
    }
  }
})

const mustNot: readonly Recorded[] = [
  // What a backup, a restore and an operator do.
  ...["volume-00000001.tar.zst.gpg", "key.gpg", "receipt-0001.json", "SHA256SUMS-0001.sig"].flatMap((name) => [
    s3("PutObject", `${RUN}/${name}`),
    s3("CompleteMultipartUpload", `${RUN}/${name}`),
    s3("GetObject", `${RUN}/${name}`),
  ]),
  s3("PutObject", "some/place/state/docs/20261123T221500Z-4f1c9a02/root-0001.gpg"),
  s3("PutObject", "some/place/drills/20261123T221500Z-4f1c9a02.json"),
  s3("GetObject", "some/place/config/policy-000002.json"),
  s3("ListObjectVersions"),
  s3("GetBucketPolicy"),
  s3("GetBucketVersioning"),
  // Names that only look like it, in another place, and another bucket.
  s3("PutObject", "some/place/configuration"),
  s3("PutObject", "config/policy-000002.json"),
  s3("PutObject", "another/some/place/config/policy-000002.json"),
  ...["DeleteObject", "PutBucketPolicy", "PutObjectRetention"].map((name) =>
    s3(name, "some/place/config/policy-000001.json", { bucketName: "other" }),
  ),
  iam("PutRolePolicy", { roleName: "Admin" }),
  iam("PutRolePolicy", { roleName: "MapRole" }),
  iam("GetRolePolicy", { roleName: "archive-OperatorRole-1A2B3C" }),
  iam("CreatePolicyVersion", { policyArn: "arn:aws:iam::111122223333:policy/other" }),
  iam("CreatePolicyVersion", { policyArn: "arn:aws:iam::444455556666:policy/backup-cloud/x" }),
  { service: "cloudtrail", eventName: "LookupEvents" },
  { service: "events", eventName: "PutRule", requestParameters: { name: "other" } },
]

test("what need not be told of is not: backups, restores, other places, and other roles", async () => {
  for (const event of mustNot) assert.deepEqual([...(await told(event)).keys()], [], JSON.stringify(event))
  // The same names in an event that CloudTrail did not record.
  const { Source, Detail } = entry(s3("DeleteObject", `${RUN}/key.gpg`))
  assert.deepEqual([...(await told({ Source, Detail, DetailType: "Object Deleted" })).keys()], [])
})

interface Selector {
  readonly FieldSelectors: readonly {
    readonly Field: string
    readonly Equals?: string[]
    readonly StartsWith?: string[]
  }[]
}

/** Whether the trail records a data event, by its advanced selectors. */
function recorded(eventName: string, key: string): boolean {
  const { AdvancedEventSelectors } = alarms["RequestTrail"]?.Properties as { AdvancedEventSelectors: Selector[] }
  const event: Readonly<Record<string, string>> = {
    ...{ eventCategory: "Data", "resources.type": "AWS::S3::Object", eventName, readOnly: "false" },
    "resources.ARN": `arn:aws:s3:::the-bucket/${key}`,
  }
  return AdvancedEventSelectors.some(({ FieldSelectors }) =>
    FieldSelectors.every(({ Field, Equals, StartsWith }) => {
      const value = event[Field] ?? assert.fail(Field)
      return Equals?.includes(value) ?? StartsWith?.some((start) => value.startsWith(start)) ?? assert.fail(Field)
    }),
  )
}

test("the trail records each data event that a rule waits for, and no backup", () => {
  for (const [rule, events] of mustTell) {
    if (!["Deleted", "PolicyChanged"].includes(rule)) continue
    for (const { eventName, requestParameters } of events)
      assert.ok(recorded(eventName, (requestParameters as { key?: string }).key ?? ""), eventName)
  }
  for (const name of ["PutObject", "CompleteMultipartUpload", "GetObject"])
    assert.equal(recorded(name, `${RUN}/volume-00000001.tar.zst.gpg`), false, name)
})

test("without a trail of its own the stack has the rules and no bucket", () => {
  const second = resolve(template("alarms"), { Bucket: "the-bucket", Trail: "false" })
  assert.ok(names.every((name) => name in second))
  assert.deepEqual(
    Object.values(second).filter(({ Type }) => /S3|CloudTrail/.test(Type)),
    [],
  )
})

test("a source's alarms look at its own metrics; missing data is an alarm only where a complete run is missing", () => {
  const given = { Source: "docs", TopicArn: "arn:aws:sns:eu-central-1:111122223333:alarms", Hours: "30" }
  const { Failed, Missing, Shrank } = resolve(template("source-alarms"), given)
  const rows = [Failed, Missing, Shrank].map((alarm) => {
    const properties = alarm?.Properties ?? assert.fail()
    assert.deepEqual(properties["Dimensions"], [{ Name: "Source", Value: "docs" }])
    assert.deepEqual([properties["Namespace"], properties["AlarmActions"]], ["BackupCloud", [given.TopicArn]])
    return ["MetricName", "ComparisonOperator", "Threshold", "EvaluationPeriods", "TreatMissingData"].map(
      (name) => properties[name],
    )
  })
  assert.deepEqual(rows, [
    ["Failed", "GreaterThanOrEqualToThreshold", 1, 1, "notBreaching"],
    ["Complete", "LessThanThreshold", 1, "30", "breaching"],
    ["Shrank", "GreaterThanOrEqualToThreshold", 1, 1, "notBreaching"],
  ])
})
