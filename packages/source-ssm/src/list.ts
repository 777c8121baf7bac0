// Lists parameters with all that can be told of them without their values, in pages of 50, and their tags.

import type { ParameterMetadata } from "@aws-sdk/client-ssm"
import { BackupError } from "@backup-cloud/format"
import type { Ssm } from "./access.ts"
import { isType, type MoreSettings } from "./parameter.ts"

/** A parameter as it is listed: all but its tags and its value. */
export interface Listed extends Omit<MoreSettings, "tags"> {
  readonly name: string
  readonly version: number
  readonly modified: Date
}

const PAGE = 50

/** @param path `/` lists everything, also names without a slash; any other what is below it */
export async function* listBelow(ssm: Ssm, path: string, signal: AbortSignal): AsyncGenerator<Listed[]> {
  const filters = path === "/" ? {} : { ParameterFilters: [{ Key: "Path", Option: "Recursive", Values: [path] }] }
  let token: string | undefined
  do {
    const input = { ...filters, MaxResults: PAGE, ...(token === undefined ? {} : { NextToken: token }) }
    const page = await ssm.ask(`the parameters below ${path}`, signal, (client, sdk) =>
      client.send(new sdk.DescribeParametersCommand(input), { abortSignal: signal }),
    )
    yield (page.Parameters ?? []).map(listed)
    token = page.NextToken
  } while (token !== undefined && token !== "")
}

/** One parameter as it is described; `null` if it is not there. */
export async function describe(ssm: Ssm, name: string, signal: AbortSignal): Promise<Listed | null> {
  const input = { ParameterFilters: [{ Key: "Name", Option: "Equals", Values: [name] }] }
  const page = await ssm.ask(`parameter ${name}`, signal, (client, sdk) =>
    client.send(new sdk.DescribeParametersCommand(input), { abortSignal: signal }),
  )
  return (page.Parameters ?? []).map(listed).find((each) => each.name === name) ?? null
}

/** Tags without those that AWS sets; `null` if the parameter is not there any more. */
export async function tagsOf(ssm: Ssm, name: string, signal: AbortSignal): Promise<Map<string, string> | null> {
  try {
    const answer = await ssm.ask(`the tags of parameter ${name}`, signal, (client, sdk) =>
      client.send(new sdk.ListTagsForResourceCommand({ ResourceType: "Parameter", ResourceId: name }), {
        abortSignal: signal,
      }),
    )
    const own = (answer.TagList ?? []).filter(({ Key = "" }) => !Key.startsWith("aws:"))
    return new Map(own.map(({ Key = "", Value = "" }) => [Key, Value]))
  } catch (error) {
    if (error instanceof BackupError && "code" in error && error.code === "InvalidResourceId") return null
    throw error
  }
}

function listed(found: ParameterMetadata): Listed {
  const { Name: name = "", Type: type, Version: version = 0, LastModifiedDate: modified = new Date(0) } = found
  if (!isType(type)) throw new BackupError("refused", `parameter ${name}: is of a type that this version does not know`)
  const texts = (found.Policies ?? []).map(({ PolicyText: text }) => policyText(text))
  return {
    ...{ name, type, version, modified },
    description: found.Description ?? "",
    tier: found.Tier ?? "",
    policies: texts.length === 0 ? "" : `[${texts.join(",")}]`,
    dataType: found.DataType ?? "",
    keyId: type === "SecureString" ? (found.KeyId ?? "") : "",
    allowedPattern: found.AllowedPattern ?? "",
  }
}

/** AWS answers the JSON text of one policy; there are servers that answer the policy. */
const policyText = (text: unknown): string => (typeof text === "string" ? text : JSON.stringify(text))
