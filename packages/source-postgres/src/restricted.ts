// Keeps psql from doing anything but passing SQL on. In a script a line that begins with a backslash is a command to psql,
// which could run programs here; a server can hide one in the name of an object (CVE-2025-8714). After \restrict psql
// takes none but \unrestrict with the same word, and the word is one that the server never knew.

/** How pg_dump has begun a script since that was found. What stands there no server can choose. */
const OWN = /^--\n-- PostgreSQL database dump\n--\n\n\\restrict [A-Za-z0-9]{16,}\n/
const MOST_HEAD = 256

/** The script as psql may read it: one that does not restrict psql itself begins with a line that does. */
export async function* restricted(
  script: AsyncIterable<Uint8Array>,
  random: (bytes: number) => Uint8Array,
): AsyncGenerator<Uint8Array, void, undefined> {
  let head: Uint8Array | null = new Uint8Array()
  for await (const piece of script) {
    if (head === null) {
      yield piece
      continue
    }
    head = Buffer.concat([head, piece])
    if (head.length < MOST_HEAD) continue
    yield begun(head, random)
    head = null
  }
  if (head !== null) yield begun(head, random)
}

function begun(head: Uint8Array, random: (bytes: number) => Uint8Array): Uint8Array {
  if (OWN.test(Buffer.from(head.subarray(0, MOST_HEAD)).toString("latin1"))) return head
  return Buffer.concat([Buffer.from(`\\restrict ${Buffer.from(random(24)).toString("hex")}\n`), head])
}
