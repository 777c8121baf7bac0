// Collects which sealed objects of a run there are, name by name, in little room: names come in order, so numbers join.

import { encodeRanges, joinRanges, parseRunObject, type RunParts } from "@backup-cloud/format"

class Numbers {
  #spans: [number, number][] = []
  #later: number[] = []

  add(number: number): void {
    const last = this.#spans.at(-1)
    if (last === undefined) this.#spans.push([number, number])
    else if (number === last[1] + 1) last[1] = number
    else if (number > last[1]) this.#spans.push([number, number])
    else if (!this.#has(number)) this.#later.push(number)
  }

  #has(number: number): boolean {
    let [low, high] = [0, this.#spans.length - 1]
    while (low <= high) {
      const middle = (low + high) >> 1
      const [first, last] = this.#spans[middle] ?? [0, 0]
      if (number < first) high = middle - 1
      else if (number > last) low = middle + 1
      else return true
    }
    return false
  }

  ranges(): string {
    const text = this.#spans.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",")
    return joinRanges(text, encodeRanges(this.#later))
  }
}

export class PartsFound {
  #key = false
  #roots = false
  readonly #volumes = new Numbers()
  readonly #catalogues = new Numbers()

  /** Takes note of an object by its base name; other names than those of sealed objects are passed over. */
  add(base: string): void {
    const object = parseRunObject(base)
    if (object?.kind === "key" || object?.kind === "share") this.#key = true
    else if (object?.kind === "root") this.#roots = true
    else if (object?.kind === "volume") this.#volumes.add(object.number)
    else if (object?.kind === "catalogue") this.#catalogues.add(object.number)
  }

  value(): RunParts {
    return {
      ...{ key: this.#key, roots: this.#roots },
      ...{ volumes: this.#volumes.ranges(), catalogues: this.#catalogues.ranges() },
    }
  }
}
