// Fetches values, ten in one request, when the first of them is wanted. Each is asked for by the version that was listed, so
// that value and settings belong together. Values are in memory from then until they are taken, and nowhere else.

import { EntryError, inOrder } from "@backup-cloud/format"
import { DENIED, Refusal, type Ssm } from "./access.ts"

export class Values {
  readonly #ssm: Ssm
  #waiting: Asked[] = []

  constructor(ssm: Ssm) {
    this.#ssm = ssm
  }

  /** Notes that the value of `version` of a parameter will be wanted; what comes back fetches it, once. */
  ask(name: string, version: number): (signal: AbortSignal) => Promise<Uint8Array> {
    const asked: Asked = { selector: `${name}:${version}`, answer: null }
    this.#waiting.push(asked)
    return async (signal) => {
      const values = await (asked.answer ?? this.#fetch(asked, signal))
      const value = values.get(asked.selector)
      values.delete(asked.selector)
      if (value === undefined || value instanceof EntryError) throw value ?? new EntryError("ParameterNotFound")
      return Buffer.from(value, "utf8")
    }
  }

  #fetch(first: Asked, signal: AbortSignal): Promise<Map<string, string | EntryError>> {
    const others = this.#waiting.filter((each) => each !== first)
    const batch = [first, ...others.slice(0, BATCH - 1)]
    this.#waiting = others.slice(BATCH - 1)
    const answer = this.#get(
      batch.map((each) => each.selector),
      signal,
    )
    answer.catch(() => undefined) // seen by each that waits for it
    for (const each of batch) each.answer = answer
    return answer
  }

  async #get(selectors: readonly string[], signal: AbortSignal): Promise<Map<string, string | EntryError>> {
    const what = selectors.length === 1 ? `parameter ${selectors[0] ?? ""}` : `${selectors.length} parameters`
    try {
      const answer = await this.#ssm.ask(what, signal, (client, sdk) =>
        client.send(new sdk.GetParametersCommand({ Names: [...selectors], WithDecryption: true }), {
          abortSignal: signal,
        }),
      )
      const values = new Map<string, string>()
      for (const { Name = "", Version = 0, Value } of answer.Parameters ?? [])
        if (Value !== undefined) values.set(`${Name}:${Version}`, Value)
      return values
    } catch (error) {
      if (!(error instanceof Refusal) || !OWN.includes(error.code)) throw error
      const [only] = selectors
      if (selectors.length === 1 && only !== undefined) return new Map([[only, new EntryError(error.code)]])
    }
    // One that may not be decrypted fails all: who it is, each by itself tells.
    const values = new Map<string, string | EntryError>()
    for await (const one of inOrder(selectors, 1, signal, (selector, s) => this.#get([selector], s)))
      for (const [selector, value] of one) values.set(selector, value)
    return values
  }
}

interface Asked {
  readonly selector: string
  answer: Promise<Map<string, string | EntryError>> | null
}

/** Names in a request, at most (API reference, GetParameters). */
export const BATCH = 10
/** Codes that are about a parameter, or its key, and not about the others. */
const OWN = [DENIED, "InvalidKeyId", "ParameterNotFound", "ParameterVersionNotFound"]
