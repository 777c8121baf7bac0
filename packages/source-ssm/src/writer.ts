// Puts a parameter back. What is there is never changed unless that is asked for: an equal one is left and told, a different
// one is left and reported. What AWS refuses because of one parameter is reported, and the others go on.

import { hash } from "node:crypto"
import type { PutParameterCommandInput } from "@aws-sdk/client-ssm"
import type { TargetProblem } from "@backup-cloud/format"
import { toByteString } from "@backup-cloud/format"
import { DENIED, Refusal, type Ssm } from "./access.ts"
import { describe, type Listed, tagsOf } from "./list.ts"
import { differences, type MoreSettings, type Settings } from "./parameter.ts"

/** Never holds a value. */
export type SsmEvent =
  /** It was there, as it should be, and was left alone. */
  | { readonly event: "equal"; readonly name: string }
  /** It was there with other settings or another value, and was left alone. `what` names what differs. */
  | { readonly event: "different"; readonly name: string; readonly what: readonly string[] }
  | { readonly event: "written"; readonly name: string; readonly version: number }

export interface WriteOptions {
  /** Change parameters that are there and differ. */
  readonly overwrite?: boolean
  readonly onEvent: (event: SsmEvent) => void
}

interface There extends Listed, MoreSettings {}

/** `absent` and `differs` may be written. */
export type Look =
  | { readonly state: "absent" }
  | { readonly state: "differs"; readonly there: There }
  | { readonly state: "equal" | "left" }

export class Writer {
  readonly problems: TargetProblem[] = []
  readonly #ssm: Ssm
  readonly #options: WriteOptions
  /** Version of what was written, which may not be seen at once. */
  readonly #written = new Map<string, number>()

  constructor(ssm: Ssm, options: WriteOptions) {
    this.#ssm = ssm
    this.#options = options
  }

  /** Compares with what is there, and tells. @param sha256 of the value, hex */
  async look(name: string, wanted: Settings | MoreSettings, sha256: string, signal: AbortSignal): Promise<Look> {
    const { onEvent, overwrite } = this.#options
    const listed = await describe(this.#ssm, name, signal)
    if (listed === null) return { state: "absent" }
    const tags = (await tagsOf(this.#ssm, name, signal)) ?? new Map<string, string>()
    const there = { ...listed, tags }
    const what = differences(wanted, there)
    if (hash("sha256", (await this.read(name, signal)) ?? "") !== sha256) what.unshift("value")
    if (what.length === 0) {
      onEvent({ event: "equal", name })
      return { state: "equal" }
    }
    if (overwrite === true) return { state: "differs", there }
    onEvent({ event: "different", name, what })
    this.problem(name, `is there with another ${what.join(", ")}, and was left as it is`)
    return { state: "left" }
  }

  /** Writes what is absent or differs; false, with a problem, if AWS refuses this one. */
  async put(
    name: string,
    wanted: Settings | MoreSettings,
    value: string,
    look: Look,
    signal: AbortSignal,
  ): Promise<boolean> {
    const there = look.state === "differs" ? look.there : null
    try {
      const answer = await this.#ssm.ask(`parameter ${name}`, signal, (client, sdk) =>
        client.send(new sdk.PutParameterCommand(inputOf(name, wanted, value, there)), { abortSignal: signal }),
      )
      const version = answer.Version ?? 0
      this.#written.set(name, version)
      if (there !== null && "tags" in wanted) await this.#changeTags(name, wanted.tags, there.tags, signal)
      this.#options.onEvent({ event: "written", name, version })
      return true
    } catch (error) {
      if (!(error instanceof Refusal) || error.fault !== "refused" || NOT_ITS_OWN.has(error.code)) throw error
      this.problem(name, `was not written: AWS refused it (${error.code})`)
      return false
    }
  }

  problem(name: string, why: string): void {
    this.problems.push({ path: toByteString(name.replace(/^\//, "")), why, expected: false })
  }

  async #changeTags(
    name: string,
    wanted: ReadonlyMap<string, string>,
    there: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ): Promise<void> {
    const target = { ResourceType: "Parameter", ResourceId: name } as const
    const added = [...wanted].filter(([key, value]) => there.get(key) !== value)
    const removed = [...there.keys()].filter((key) => !wanted.has(key))
    const what = `the tags of parameter ${name}`
    if (added.length > 0) {
      const Tags = added.map(([Key, Value]) => ({ Key, Value }))
      await this.#ssm.ask(what, signal, (client, sdk) =>
        client.send(new sdk.AddTagsToResourceCommand({ ...target, Tags }), { abortSignal: signal }),
      )
    }
    if (removed.length === 0) return
    await this.#ssm.ask(what, signal, (client, sdk) =>
      client.send(new sdk.RemoveTagsFromResourceCommand({ ...target, TagKeys: removed }), { abortSignal: signal }),
    )
  }

  /** The value; waits until what was written can be seen. `null` if there is none. */
  async read(name: string, signal: AbortSignal): Promise<string | null> {
    const least = this.#written.get(name) ?? 0
    for (let tries = 0; ; tries++) {
      const found = await this.#get(name, signal)
      if (found.version >= least) return found.value
      if (!(await this.#ssm.waitAgain(tries, signal))) return found.value
    }
  }

  async #get(name: string, signal: AbortSignal): Promise<{ value: string | null; version: number }> {
    try {
      const { Parameter } = await this.#ssm.ask(`parameter ${name}`, signal, (client, sdk) =>
        client.send(new sdk.GetParameterCommand({ Name: name, WithDecryption: true }), { abortSignal: signal }),
      )
      return { value: Parameter?.Value ?? null, version: Parameter?.Version ?? 0 }
    } catch (error) {
      if (error instanceof Refusal && error.fault === "not-found") return { value: null, version: 0 }
      throw error
    }
  }
}

/** Refusals that every other parameter would meet as well. */
const NOT_ITS_OWN = new Set([DENIED, "CredentialsProviderError", "ExpiredTokenException", "ExpiredToken", ""])

function inputOf(
  name: string,
  wanted: Settings | MoreSettings,
  value: string,
  there: There | null,
): PutParameterCommandInput {
  const input: PutParameterCommandInput = { Name: name, Type: wanted.type, Value: value, Overwrite: there !== null }
  if (wanted.description !== (there?.description ?? "")) input.Description = wanted.description
  if (!("tags" in wanted)) return input
  if (wanted.tier !== "") input.Tier = wanted.tier as NonNullable<PutParameterCommandInput["Tier"]>
  if (wanted.dataType !== "") input.DataType = wanted.dataType
  if (wanted.type === "SecureString" && wanted.keyId !== "") input.KeyId = wanted.keyId
  if (wanted.policies !== "") input.Policies = wanted.policies
  if (wanted.allowedPattern !== "") input.AllowedPattern = wanted.allowedPattern
  // AWS takes tags only with a new parameter.
  if (there === null && wanted.tags.size > 0) input.Tags = [...wanted.tags].map(([Key, Value]) => ({ Key, Value }))
  return input
}
