// Answers of GitHub as the text that is kept: members in one order, whatever order they came in, so that what did not change
// is the same bytes.

/** Members that are secrets, or different in each answer. */
const LEFT_OUT = new Set(["temp_clone_token"])

/** Byte string. */
export function stable(value: unknown): string {
  return Buffer.from(`${JSON.stringify(sorted(value), null, 1)}\n`, "utf8").toString("latin1")
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== "object" || value === null) return value
  const members = Object.entries(value).filter(([name]) => !LEFT_OUT.has(name))
  return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, each]) => [name, sorted(each)]))
}
