// GitHub's published description of its API: which operation a request is, whether it and its answer are as described, and
// answers filled with all that the description requires.

import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Ajv, type ValidateFunction } from "ajv"
import addFormats from "ajv-formats"

interface Schema {
  $ref?: string
  type?: string | string[]
  format?: string
  enum?: unknown[]
  nullable?: boolean
  required?: string[]
  properties?: Record<string, Schema>
  items?: Schema
  allOf?: Schema[]
  anyOf?: Schema[]
  oneOf?: Schema[]
}
interface Parameter {
  name: string
  in: string
  required?: boolean
  schema: Schema
}
interface Operation {
  parameters?: (Parameter | { $ref: string })[]
  requestBody?: { required?: boolean; content: Record<string, { schema: Schema }> }
  responses: Record<string, { $ref?: string; content?: Record<string, { schema: Schema }> }>
}
interface Description {
  paths: Record<string, Record<string, Operation>>
  components: Record<string, Record<string, unknown>>
}

const file = fileURLToPath(import.meta.resolve("@octokit/openapi/generated/api.github.com.json"))
const description = JSON.parse(readFileSync(file, "utf8")) as Description
nullableAsTypes(description)
const ajv = new Ajv({ strict: false })
addFormats.default(ajv)
ajv.addSchema({ ...description, $id: "github" })

/** JSON Schema has no `nullable`: what may be null says so by its type. */
function nullableAsTypes(node: unknown): void {
  if (typeof node !== "object" || node === null) return
  for (const each of Object.values(node)) nullableAsTypes(each)
  const schema = node as Schema
  if (schema.nullable !== true) return
  delete schema.nullable
  if (typeof schema.type === "string") {
    schema.type = [schema.type, "null"]
    if (schema.enum?.includes(null) === false) schema.enum.push(null)
    return
  }
  const whole = { ...schema }
  for (const name of Object.keys(schema)) Reflect.deleteProperty(schema, name)
  schema.anyOf = [whole, { type: "null" }]
}

function resolve<T extends object>(value: T | { $ref: string }): T {
  if (!("$ref" in value) || typeof value.$ref !== "string") return value as T
  const segments = value.$ref.slice(2).split("/")
  return resolve(segments.reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], description) as T)
}

const routes = Object.entries(description.paths).map(([template, operations]) => ({
  template,
  operations,
  pattern: new RegExp(`^${template.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{[^}]+\}/g, "([^/]+)")}$`),
  literal: template.replace(/\{[^}]+\}/g, "").length,
}))

/** The operation of a request; `null` if GitHub has none. */
export function operationOf(method: string, path: string) {
  const found = routes
    .filter(({ pattern, operations }) => pattern.test(path) && operations[method.toLowerCase()] !== undefined)
    .sort((a, b) => b.literal - a.literal)[0]
  if (found === undefined) return null
  const names = [...found.template.matchAll(/\{([^}]+)\}/g)].map((match) => match[1] ?? "")
  const values = found.pattern.exec(path)?.slice(1).map(decodeURIComponent) ?? []
  const params = Object.fromEntries(names.map((name, i) => [name, values[i] ?? ""]))
  return { route: `${method} ${found.template}`, template: found.template, method: method.toLowerCase(), params }
}

export type Route = NonNullable<ReturnType<typeof operationOf>>

const compiled = new Map<string, ValidateFunction>()
/** @param pointer segments below the description */
function validator(...pointer: string[]): ValidateFunction {
  const escaped = pointer.map((each) => encodeURIComponent(each.replaceAll("~", "~0").replaceAll("/", "~1")))
  const $ref = `github#/${escaped.join("/")}`
  const known = compiled.get($ref) ?? ajv.compile({ $ref })
  compiled.set($ref, known)
  return known
}

const JSON_TYPE = "application/json"

/** What of a request is not as described, a line each. */
export function requestProblems({ template, method }: Route, query: URLSearchParams, body: unknown): string[] {
  const operation = description.paths[template]?.[method]
  if (operation === undefined) return ["no such operation"]
  const parameters = (operation.parameters ?? []).map((each) => resolve<Parameter>(each))
  const problems: string[] = []
  for (const [name, value] of query) {
    const parameter = parameters.find((each) => each.in === "query" && each.name === name)
    if (parameter === undefined) problems.push(`query ${name} is not known`)
    else if (!fits(parameter.schema, value)) problems.push(`query ${name} cannot be ${value}`)
  }
  const content = operation.requestBody?.content[JSON_TYPE]
  if (body === undefined) return operation.requestBody?.required === true ? [...problems, "has no body"] : problems
  if (content === undefined) return [...problems, "takes no body"]
  const validate = validator("paths", template, method, "requestBody", "content", JSON_TYPE, "schema")
  if (!validate(body)) problems.push(ajv.errorsText(validate.errors))
  const known = resolve(content.schema).properties
  if (known !== undefined)
    for (const name of Object.keys(body as object))
      if (known[name] === undefined) problems.push(`body: ${name} is not known`)
  return problems
}

function fits(raw: Schema, text: string): boolean {
  const schema = resolve(raw)
  const values: unknown[] = [text, ...(/^-?[0-9]+$/.test(text) ? [Number(text)] : [])]
  if (text === "true" || text === "false") values.push(text === "true")
  return values.some((value) => ajv.validate(schema as object, value))
}

function answerSchema({ template, method }: Route, status: number): { schema: Schema; pointer: string[] } | null {
  const responses = description.paths[template]?.[method]?.responses ?? {}
  const response = responses[String(status)]
  if (response === undefined) return null
  const pointer =
    response.$ref === undefined
      ? ["paths", template, method, "responses", String(status)]
      : response.$ref.slice(2).split("/")
  const content = resolve(response).content?.[JSON_TYPE]
  return content === undefined
    ? null
    : { schema: content.schema, pointer: [...pointer, "content", JSON_TYPE, "schema"] }
}

/** What of an answer is not as described, a line each. */
export function answerProblems(route: Route, status: number, data: unknown): string[] {
  const found = answerSchema(route, status)
  const known = description.paths[route.template]?.[route.method]?.responses[String(status)] !== undefined
  if (!known) return [`${status} is no answer of it`]
  if (found === null) return data === undefined ? [] : ["answers without a body"]
  const validate = validator(...found.pointer)
  return validate(data) ? [] : [ajv.errorsText(validate.errors)]
}

/** `partial` with all that the description of this answer requires besides. */
export function filled(route: Route, status: number, partial: unknown): unknown {
  const found = answerSchema(route, status)
  return found === null ? partial : fill(found.schema, partial)
}

function fill(raw: Schema, given: unknown): unknown {
  const schema = resolve(raw)
  const types = [schema.type ?? []].flat()
  if (given === null) return null
  if (given === undefined && (types.includes("null") || schema.anyOf?.some(({ type }) => type === "null") === true))
    return null
  if (schema.allOf !== undefined) return schema.allOf.reduce<unknown>((value, each) => fill(each, value), given)
  const choices = schema.anyOf ?? schema.oneOf
  if (choices !== undefined && schema.properties === undefined) return fill(choices[0] ?? {}, given)
  if (Array.isArray(given)) return given.map((each) => fill(schema.items ?? {}, each))
  if (types.includes("object") || schema.properties !== undefined) {
    const value: Record<string, unknown> = { ...(given as object | undefined) }
    for (const [name, of] of Object.entries(schema.properties ?? {}))
      if (schema.required?.includes(name) === true || name in value) value[name] = fill(of, value[name])
    return value
  }
  if (given !== undefined) return given
  if (schema.enum !== undefined) return schema.enum[0]
  if (types.includes("array")) return []
  if (types.includes("boolean")) return false
  if (types.includes("integer") || types.includes("number")) return 1
  if (schema.format === "date-time") return "2026-01-01T00:00:00Z"
  if (schema.format === "uri") return "https://github.test.example/x"
  return "x"
}
