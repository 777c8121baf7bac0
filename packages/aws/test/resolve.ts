// What CloudFormation makes of a template: parameters, conditions and functions replaced by values, resources by names
// that a deployment could have given them.

import assert from "node:assert/strict"

export const ACCOUNT = "111122223333"
export const REGION = "eu-central-1"

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
 * @param named names of resources where they matter; otherwise the logical id
 */
export function resolve(
  text: string,
  given: Readonly<Record<string, string>> = {},
  named: Readonly<Record<string, string>> = {},
): Readonly<Record<string, Resource>> {
  const { Parameters = {}, Conditions = {}, Resources } = JSON.parse(text) as Template

  const ref = (name: string): unknown => {
    if (name in pseudo) return pseudo[name]
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
    assert.equal(what, "Arn")
    if (Type === "AWS::S3::Bucket") return `arn:aws:s3:::${own}`
    if (Type === "AWS::IAM::Role") return `arn:aws:iam::${ACCOUNT}:role${Properties["Path"] as string}${own}`
    const arn = `${arns[Type] ?? assert.fail(Type)}${own}`
    return Type === "AWS::Logs::LogGroup" ? `${arn}:*` : arn
  }
  const meets = (name: string): boolean => value(Conditions[name]) === true
  const call = (name: string, args: unknown): unknown => {
    if (name === "Ref") return ref(args as string)
    if (name === "Fn::GetAtt") return attribute(...(args as [string, string]))
    if (name === "Fn::Sub")
      return (args as string).replace(/\$\{([^}]+)\}/g, (_, each: string) => {
        const [id = "", what] = each.split(".")
        return String(what === undefined ? ref(id) : attribute(id, what))
      })
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

const here = (service: string): string => `arn:aws:${service}:${REGION}:${ACCOUNT}:`
/** How ARNs begin, by the type of their resource. */
const arns: Readonly<Record<string, string>> = {
  "AWS::CloudTrail::Trail": `${here("cloudtrail")}trail/`,
  "AWS::CodeBuild::Project": `${here("codebuild")}project/`,
  "AWS::ECR::Repository": `${here("ecr")}repository/`,
  "AWS::Lambda::Function": `${here("lambda")}function:`,
  "AWS::Logs::LogGroup": `${here("logs")}log-group:`,
  "AWS::StepFunctions::StateMachine": `${here("states")}stateMachine:`,
}

const pseudo: Readonly<Record<string, unknown>> = {
  "AWS::NoValue": NOTHING,
  "AWS::Partition": "aws",
  "AWS::Region": REGION,
  "AWS::AccountId": ACCOUNT,
  "AWS::StackName": "the-stack",
  "AWS::URLSuffix": "amazonaws.com",
}
