// What CloudFormation makes of a template: parameters, conditions and functions replaced by values, resources by names
// that a deployment could have given them.

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"

export const ACCOUNT = "111122223333"
export const REGION = "eu-central-1"
export const STACK = "the-stack"

const folder = join(import.meta.dirname, "../../../deploy/cloudformation")
/** Text of a template as it is committed. */
export const template = (name: string): string => readFileSync(join(folder, `${name}.json`), "utf8")

export interface Resource {
  readonly Type: string
  readonly Properties: Readonly<Record<string, unknown>>
}

interface Template {
  readonly Parameters?: Readonly<Record<string, { readonly Default?: string | number }>>
  readonly Conditions?: Readonly<Record<string, unknown>>
  readonly Resources: Readonly<Record<string, Resource & { readonly Condition?: string }>>
}

const NOTHING = Symbol("AWS::NoValue")

/**
 * The resources by logical id, those whose condition is not met left out.
 * @param given values of parameters; of the others the defaults count
 * @param named names of resources where they matter, otherwise the logical id; and of pseudo parameters
 */
export function resolve(
  text: string,
  given: Readonly<Record<string, string>> = {},
  named: Readonly<Record<string, string>> = {},
): Readonly<Record<string, Resource>> {
  const { Parameters = {}, Conditions = {}, Resources } = JSON.parse(text) as Template

  const ref = (name: string): unknown => {
    if (name in pseudo) return named[name] ?? pseudo[name]
    if (name in Parameters) {
      const value = given[name] ?? Parameters[name]?.Default
      assert.notEqual(value, undefined, `the parameter ${name} has no value`)
      return value
    }
    assert.ok(name in Resources, name)
    return named[name] ?? name
  }
  const attribute = (name: string, what: string): string => {
    const { Type, Properties } = Resources[name] ?? assert.fail(name)
    const own = String(ref(name))
    if (what === "RepositoryUri") return `${ACCOUNT}.dkr.ecr.${REGION}.amazonaws.com/${own}`
    if (what !== "Arn") return others[`${Type} ${what}`] ?? assert.fail(`${Type} ${what}`)
    if (Type === "AWS::S3::Bucket") return `arn:aws:s3:::${own}`
    if (Type === "AWS::IAM::Role") return `arn:aws:iam::${ACCOUNT}:role${Properties["Path"] as string}${own}`
    return `arn:aws:${arns[Type] ?? assert.fail(Type)}`.replace("NAME", own).replace("::", `:${REGION}:${ACCOUNT}:`)
  }
  const substitute = (text: string, more: Readonly<Record<string, unknown>>): string =>
    text.replace(/\$\{(!?)([^}]*)\}/g, (_, literal: string, each: string) => {
      if (literal !== "") return `\${${each}}`
      if (each in more) return String(value(more[each]))
      const [id = "", what] = each.split(".")
      return String(what === undefined ? ref(id) : attribute(id, what))
    })
  const meets = (name: string): boolean => value(Conditions[name]) === true
  const call = (name: string, args: unknown): unknown => {
    if (name === "Ref") return ref(args as string)
    if (name === "Fn::GetAtt") return attribute(...(args as [string, string]))
    if (name === "Fn::Sub" && typeof args === "string") return substitute(args, {})
    if (name === "Fn::Sub") return substitute(...(args as [string, Record<string, unknown>]))
    if (name === "Fn::Base64") return Buffer.from(String(value(args))).toString("base64")
    const list = args as unknown[]
    if (name === "Fn::If") return value(meets(list[0] as string) ? list[1] : list[2])
    if (name === "Fn::Join") return (value(list[1]) as unknown[]).join(list[0] as string)
    if (name === "Fn::Not") return value(list[0]) !== true
    if (name === "Fn::Equals") return value(list[0]) === value(list[1])
    throw new Error(`the test knows no ${name}`)
  }
  const value = (item: unknown): unknown => {
    if (Array.isArray(item)) return item.map(value).filter((each) => each !== NOTHING)
    if (typeof item !== "object" || item === null) return item
    const [[name, args] = ["", undefined], ...more] = Object.entries(item)
    if (more.length === 0 && (name === "Ref" || name.startsWith("Fn::"))) return call(name, args)
    const members = Object.entries(item).map(([key, each]) => [key, value(each)] as const)
    return Object.fromEntries(members.filter(([, each]) => each !== NOTHING))
  }

  const met = Object.entries(Resources).filter(([, { Condition }]) => Condition === undefined || meets(Condition))
  return Object.fromEntries(
    met.map(([name, { Type, Properties }]) => [
      name,
      { Type, Properties: value(Properties) as Resource["Properties"] },
    ]),
  )
}

/** ARNs of types of resources, without region and account. */
const arns: Readonly<Record<string, string>> = {
  "AWS::CloudTrail::Trail": "cloudtrail::trail/NAME",
  "AWS::CodeBuild::Project": "codebuild::project/NAME",
  "AWS::ECR::Repository": "ecr::repository/NAME",
  "AWS::ECS::Cluster": "ecs::cluster/NAME",
  "AWS::Lambda::Function": "lambda::function:NAME",
  "AWS::Logs::LogGroup": "logs::log-group:NAME:*",
  "AWS::StepFunctions::StateMachine": "states::stateMachine:NAME",
}

const others: Readonly<Record<string, string>> = {
  "AWS::EC2::SecurityGroup GroupId": "sg-0123456789abcdef0",
  "AWS::EC2::LaunchTemplate LatestVersionNumber": "1",
}

const pseudo: Readonly<Record<string, unknown>> = {
  "AWS::NoValue": NOTHING,
  "AWS::Partition": "aws",
  "AWS::Region": REGION,
  "AWS::AccountId": ACCOUNT,
  "AWS::StackName": STACK,
  "AWS::URLSuffix": "amazonaws.com",
}
