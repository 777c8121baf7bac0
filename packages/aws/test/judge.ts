// Who may do what by the templates: the policies of each role and of the bucket, judged by an IAM simulator as IAM would.

import assert from "node:assert/strict"
import { runSimulation } from "@cloud-copilot/iam-simulate"
import { ACCOUNT, REGION, type Resource, resolve, template } from "./resolve.ts"
import { type On, schedule } from "./schedules.ts"

export const BUCKET = "the-bucket"
export const PATH = "some/place"
/** The source whose role it is; another one is called `other`. */
export const SOURCE = "docs"
const BASE = "/backup_cloud/base_defs"

export interface Statement {
  readonly Sid: string
  readonly Effect: "Allow" | "Deny"
  readonly Action: string | readonly string[]
  /** The policy of a role that is taken names none. */
  readonly Resource?: readonly string[]
  readonly Principal?: unknown
  readonly Condition?: Readonly<Record<string, unknown>>
}

export interface Policy {
  readonly Version: "2012-10-17"
  readonly Statement: readonly Statement[]
}

/** Roles of services by which a source is run, with the template that each is in and its logical id there. */
const SERVICES = {
  starter: ["function", "BackupRole"],
  caller: ["function", "MachineRole"],
  runner: ["task", "MachineRole"],
  puller: ["task", "PullRole"],
  launcher: ["server", "BackupRole"],
  watcher: ["server", "WatchRole"],
  watchdog: ["server", "WatchdogRole"],
} as const
export type Service = keyof typeof SERVICES
export const services = Object.keys(SERVICES) as Service[]

type Taken = "source" | "operator" | "administrator" | Service
/** Holder: has no right in the account. Account: may do everything that a policy of the account can grant. */
export type Principal = Exclude<RoleName, "run"> | "holder" | "account" | "deployer" | "stranger"

/**
 * `run`: what a source's role has besides where it is run by schedule, on a server. `map` and `mapTasks`: the state machine over
 * shards, with workers in Lambda and in Fargate.
 */
export type RoleName =
  | (Taken | "run")
  | ("map" | "mapTasks" | "summary" | "mapSchedule")
  | ("imageBuild" | "imageSchedule")

export interface Policies {
  readonly roles: Readonly<Record<RoleName, Policy>>
  readonly bucket: Policy
  /** Of the roles that people, machines and services may take, by the principal that takes it. */
  readonly trust: Readonly<Record<Taken, Policy>>
}

/** The policies of the templates as they are committed, deployed with these parameters. */
export function policies(given: Readonly<Record<string, string>> = {}): Policies {
  const place = { Bucket: BUCKET, Path: PATH, Source: SOURCE }
  const archive = resolve(template("archive"), { Path: PATH, ...given }, { Archive: BUCKET })
  const source = resolve(template("source"), { ...place, ...given })
  const shards = { Source: "uploads", CodeBucket: "code", CodeKey: "summary.zip" }
  const image = resolve(template("image"), { Repository: "https://git.example/x.git" }, { Images: "images" })
  const map = (Worker: string) => resolve(template("map"), { ...given, ...shards, Worker }, { Map: mapArn })
  const document = ({ Properties }: Resource, name = "PolicyDocument"): Policy => Properties[name] as Policy
  const of = (stack: Readonly<Record<string, Resource>>, id: string, name?: string): Policy =>
    document(stack[id] ?? assert.fail(id), name)
  const takes = "AssumeRolePolicyDocument"
  const scheduled = (on: On): Readonly<Record<string, Resource>> => schedule(on, { SourceRole: "SourceRole", ...given })
  const serving = (take: (stack: Readonly<Record<string, Resource>>, id: string) => Policy): Record<Service, Policy> =>
    Object.fromEntries(services.map((who) => [who, take(scheduled(SERVICES[who][0]), SERVICES[who][1])])) as never
  return {
    roles: {
      ...serving((stack, id) => (stack[id]?.Properties["Policies"] as [{ PolicyDocument: Policy }])[0].PolicyDocument),
      run: of(scheduled("server"), "RunRights"),
      source: of(source, "SourceRights"),
      operator: of(archive, "OperatorRights"),
      administrator: of(archive, "AdministratorRights"),
      map: rightsOfMap(map("lambda")),
      mapTasks: rightsOfMap(map("fargate")),
      summary: of(map("lambda"), "SummaryRights"),
      mapSchedule: of(map("lambda"), "ScheduleRights"),
      imageBuild: of(image, "BuildRights"),
      imageSchedule: of(image, "RebuildRights"),
    },
    bucket: of(archive, "ArchivePolicy"),
    trust: {
      ...serving((stack, id) => of(stack, id, takes)),
      source: of(source, "SourceRole", takes),
      operator: of(archive, "OperatorRole", takes),
      administrator: of(archive, "AdministratorRole", takes),
    },
  }
}

/** All policies of the role: which there are depends on the kind of the workers. */
function rightsOfMap(stack: Readonly<Record<string, Resource>>): Policy {
  const there = ["MapRights", "LambdaRights", "FargateRights"].flatMap((id) => stack[id] ?? [])
  assert.equal(there.length, 2)
  const documents = there.map(({ Properties }) => Properties["PolicyDocument"] as Policy)
  return { Version: "2012-10-17", Statement: documents.flatMap(({ Statement }) => Statement) }
}

/** What an administrator of an account has. */
export const EVERYTHING: Policy = {
  Version: "2012-10-17",
  Statement: [{ Sid: "All", Effect: "Allow", Action: "*", Resource: ["*"] }],
}

export const mapArn = `arn:aws:states:${REGION}:${ACCOUNT}:stateMachine:the-stack`
const OTHER_ACCOUNT = "444455556666"
const arns: Readonly<Record<Principal, string>> = {
  ...(Object.fromEntries(
    services.map((who) => [who, `arn:aws:iam::${ACCOUNT}:role/backup-cloud/${SERVICES[who].join("-")}`]),
  ) as Record<Service, string>),
  source: `arn:aws:iam::${ACCOUNT}:role/backup-cloud/SourceRole`,
  operator: `arn:aws:iam::${ACCOUNT}:role/backup-cloud/OperatorRole`,
  administrator: `arn:aws:iam::${ACCOUNT}:role/backup-cloud/AdministratorRole`,
  map: `arn:aws:iam::${ACCOUNT}:role/backup-cloud/MapRole`,
  mapTasks: `arn:aws:iam::${ACCOUNT}:role/backup-cloud/MapRole`,
  summary: `arn:aws:iam::${ACCOUNT}:role/backup-cloud/SummaryRole`,
  mapSchedule: `arn:aws:iam::${ACCOUNT}:role/backup-cloud/ScheduleRole`,
  imageBuild: `arn:aws:iam::${ACCOUNT}:role/backup-cloud/BuildRole`,
  imageSchedule: `arn:aws:iam::${ACCOUNT}:role/backup-cloud/RebuildRole`,
  holder: `arn:aws:iam::${ACCOUNT}:user/alice`,
  account: `arn:aws:iam::${ACCOUNT}:role/Admin`,
  deployer: `arn:aws:iam::${ACCOUNT}:role/cdk-hnb659fds-cfn-exec-role-${ACCOUNT}-${REGION}`,
  stranger: `arn:aws:iam::${OTHER_ACCOUNT}:role/Admin`,
}

export interface Question {
  readonly principal: Principal
  /** `s3:GetObject` */
  readonly action: string
  /** Of `s3`: a name in the archive, `""` for the bucket. Otherwise an ARN, or `*` where the action is on no resource. */
  readonly resource: string
  readonly context?: Readonly<Record<string, string>>
}

/**
 * Whether what is asked goes through, by TLS unless the context says otherwise.
 * @param identity what the principal itself has
 * @param onResource the policy of the bucket, or of the role that is to be taken; `null` for none
 */
export async function judge(
  { principal, action, resource, context = {} }: Question,
  identity: readonly Policy[],
  onResource: Policy | null,
): Promise<"Allowed" | "ExplicitlyDenied" | "ImplicitlyDenied"> {
  const arn = arnOf(resource)
  const [, account = ACCOUNT] = /^arn:aws:[a-z0-9]+:[a-z0-9-]*:([0-9]{12}):/.exec(arn) ?? []
  const result = await runSimulation(
    {
      request: {
        ...{ principal: arns[principal], action, resource: { resource: arn, accountId: account } },
        contextVariables: { "aws:SecureTransport": "true", "aws:PrincipalArn": arns[principal], ...context },
      },
      identityPolicies: identity.map((policy, index) => ({ name: `policy-${index}`, policy })),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      ...(onResource === null ? {} : { resourcePolicy: onResource }),
    },
    {},
  )
  if (result.resultType !== "single") assert.fail(`${action} on ${arn}: ${JSON.stringify(result)}`)
  // What was left out would not have been judged.
  assert.deepEqual(result.result.ignoredContextKeys ?? [], [], `${action} on ${arn}`)
  return result.overallResult
}

/** Of a name in the archive; an ARN, or the `*` of actions that are on no resource, is itself. */
export function arnOf(resource: string): string {
  if (resource === "*" || resource.startsWith("arn:")) return resource
  return `arn:aws:s3:::${BUCKET}${resource === "" ? "" : `/${PATH}/${resource}`}`
}

/** The policy that the resource itself has. */
export function policyOn({ resource }: Question, { bucket, trust }: Policies): Policy | null {
  if (resource !== "*" && !resource.startsWith("arn:")) return bucket
  const role = (Object.keys(trust) as Taken[]).find((each) => resource === arns[each])
  return role === undefined ? null : trust[role]
}

/** What a principal has of its own. */
export function identityOf(principal: Principal, { roles }: Policies): readonly Policy[] {
  if (principal === "holder") return []
  if (principal === "source") return [roles.source, roles.run]
  return principal in roles ? [roles[principal as RoleName]] : [EVERYTHING]
}

export const parameterArn = (name: string): string => `arn:aws:ssm:${REGION}:${ACCOUNT}:parameter${BASE}/${name}`
export const identityArn = (name: string): string =>
  `arn:aws:ssm:${REGION}:${ACCOUNT}:parameter/backup-cloud/identity/${name}`
export const roleArn = (principal: Principal): string => arns[principal]
