// Sets of object numbers as text: `1-153,160`. One form each: ascending, joined where they touch.

/** The ranges of a set of positive integers; `""` for none. */
export function encodeRanges(numbers: Iterable<number>): string {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b)
  const parts: string[] = []
  for (let i = 0; i < sorted.length; ) {
    let j = i
    while (j + 1 < sorted.length && sorted[j + 1] === (sorted[j] ?? 0) + 1) j++
    parts.push(i === j ? `${sorted[i]}` : `${sorted[i]}-${sorted[j]}`)
    i = j + 1
  }
  return parts.join(",")
}

/** The spans `[first, last]` of a ranges text; `null` unless it is in the one accepted form. */
export function parseRanges(textForm: string): [number, number][] | null {
  if (textForm === "") return []
  const spans: [number, number][] = []
  let before = -1
  for (const part of textForm.split(",")) {
    const match = /^([1-9][0-9]{0,8})(?:-([1-9][0-9]{0,8}))?$/.exec(part)
    if (match === null) return null
    const first = Number(match[1])
    const last = match[2] === undefined ? first : Number(match[2])
    if (first <= before + 1 || last < first || (match[2] !== undefined && last === first)) return null
    spans.push([first, last])
    before = last
  }
  return spans
}

export function isRanges(textForm: string): boolean {
  return parseRanges(textForm) !== null
}

/** Every number in a valid ranges text, ascending. */
export function* rangeNumbers(textForm: string): Generator<number> {
  for (const [first, last] of parseRanges(textForm) ?? []) for (let n = first; n <= last; n++) yield n
}

/** The numbers that are in any of these ranges. */
export function joinRanges(...all: readonly string[]): string {
  const given = all.filter((ranges) => ranges !== "")
  if (given.length < 2) return given[0] ?? ""
  const spans = given.flatMap((ranges) => parseRanges(ranges) ?? []).sort(([a], [b]) => a - b)
  const joined: [number, number][] = []
  for (const [first, last] of spans) {
    const before = joined.at(-1)
    if (before === undefined || first > before[1] + 1) joined.push([first, last])
    else before[1] = Math.max(before[1], last)
  }
  return spansText(joined)
}

/** The numbers of `ranges` that are not in `less`. */
export function withoutRanges(ranges: string, less: string): string {
  if (ranges === "" || less === "") return ranges
  const holes = parseRanges(less) ?? []
  const left: [number, number][] = []
  let at = 0
  for (const [first, last] of parseRanges(ranges) ?? []) {
    while ((holes[at]?.[1] ?? Infinity) < first) at++
    let next = first
    for (let i = at; next <= last; i++) {
      const [from, to] = holes[i] ?? [Infinity, Infinity]
      if (from > next) left.push([next, Math.min(last, from - 1)])
      next = Math.max(next, to + 1)
    }
  }
  return spansText(left)
}

/** The numbers that both have. */
export function commonRanges(a: string, b: string): string {
  return withoutRanges(a, withoutRanges(a, b))
}

function spansText(spans: readonly (readonly [number, number])[]): string {
  return spans.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",")
}
