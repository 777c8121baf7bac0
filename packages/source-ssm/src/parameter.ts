// A parameter without its value: as AWS describes it, as attributes of an entry, and what two of them differ in.

import { type CatalogueEntry, fromByteString, toByteString } from "@backup-cloud/format"

const types = ["String", "StringList", "SecureString"] as const
export type ParameterType = (typeof types)[number]

export interface Settings {
  readonly type: ParameterType
  /** `""` if none. */
  readonly description: string
}

/** What the JSON of an export does not say. `""` where a parameter has none. */
export interface MoreSettings extends Settings {
  readonly tier: string
  /** A JSON list, as `PutParameter` takes it. */
  readonly policies: string
  readonly dataType: string
  /** Of a SecureString. */
  readonly keyId: string
  readonly allowedPattern: string
  /** Without those that AWS sets (`aws:`). */
  readonly tags: ReadonlyMap<string, string>
}

const attributeOf = {
  description: "ssm.description",
  tier: "ssm.tier",
  policies: "ssm.policies",
  dataType: "ssm.data-type",
  keyId: "ssm.key-id",
  allowedPattern: "ssm.allowed-pattern",
} as const
const TAG = "ssm.tag."

export function isType(text: unknown): text is ParameterType {
  return types.some((type) => type === text)
}

/** Attributes, names and values as byte strings. What a parameter does not have is left out. */
export function toAttributes(settings: MoreSettings): Map<string, string> {
  const attributes = new Map<string, string>([["ssm.type", settings.type]])
  for (const [field, name] of Object.entries(attributeOf)) {
    const value = settings[field as keyof typeof attributeOf]
    if (value !== "") attributes.set(name, toByteString(value))
  }
  for (const [key, value] of settings.tags) attributes.set(TAG + toByteString(key), toByteString(value))
  return attributes
}

/** `null` if the entry is no parameter. */
export function fromAttributes({ attributes }: CatalogueEntry): MoreSettings | null {
  const type = attributes.get("ssm.type")
  if (!isType(type)) return null
  const get = (field: keyof typeof attributeOf): string => fromByteString(attributes.get(attributeOf[field]) ?? "")
  const tags = [...attributes].filter(([name]) => name.startsWith(TAG))
  return {
    type,
    description: get("description"),
    tier: get("tier"),
    policies: get("policies"),
    dataType: get("dataType"),
    keyId: get("keyId"),
    allowedPattern: get("allowedPattern"),
    tags: new Map(tags.map(([name, value]) => [fromByteString(name.slice(TAG.length)), fromByteString(value)])),
  }
}

/** Names of what differs; what `wanted` does not say, and a tier or key where it says none, does not count. */
export function differences(wanted: Settings | MoreSettings, there: MoreSettings): string[] {
  const differing: string[] = []
  const compare = (name: string, a: string, b: string): void => {
    if (a !== b) differing.push(name)
  }
  compare("type", wanted.type, there.type)
  compare("description", wanted.description, there.description)
  if (!("tags" in wanted)) return differing
  if (wanted.tier !== "") compare("tier", wanted.tier, there.tier)
  if (wanted.dataType !== "") compare("data type", wanted.dataType, there.dataType)
  if (wanted.keyId !== "") compare("key", wanted.keyId, there.keyId)
  compare("allowed pattern", wanted.allowedPattern, there.allowedPattern)
  compare("policies", canonical(wanted.policies), canonical(there.policies))
  compare("tags", tagText(wanted.tags), tagText(there.tags))
  return differing
}

function canonical(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json))
  } catch {
    return json
  }
}

const tagText = (tags: ReadonlyMap<string, string>): string =>
  JSON.stringify([...tags].sort(([a], [b]) => (a < b ? -1 : 1)))
