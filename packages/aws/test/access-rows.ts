// The table of access: what the journey asked for, which is allowed, and what the security analysis rules out, which is not.

import { readFileSync } from "node:fs"
import { join } from "node:path"
import { type Denied, deniedRows as peopleDenied } from "./access-denied.ts"
import { mapAllowed } from "./access-map.ts"
import { servicesAllowed, servicesDenied } from "./access-services.ts"
import { EVERYTHING, identityOf, judge, type Policies, policyOn, type Question } from "./judge.ts"

/** Written by the test of the journey. */
const asked = readFileSync(join(import.meta.dirname, "access-allowed.jsonl"), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line) as Question)

export const allowedRows: readonly Question[] = [...asked, ...servicesAllowed, ...mapAllowed]
export const deniedRows: readonly Denied[] = [...peopleDenied, ...servicesDenied]

export const isAllowed = async (row: Question, all: Policies): Promise<boolean> =>
  (await judge(row, identityOf(row.principal, all), policyOn(row, all))) === "Allowed"

/** Null if the row is refused as it says, else what is wrong. */
async function wrong(row: Denied, all: Policies): Promise<string | null> {
  if (await isAllowed(row, all)) return "goes through"
  const own = identityOf(row.principal, all)
  for (const stop of row.by) {
    if (stop === "role" && (await judge(row, [...own, EVERYTHING], null)) !== "ExplicitlyDenied")
      return "the role's own policy does not stop it"
    if (stop === "bucket" && (await judge(row, [EVERYTHING], policyOn(row, all))) !== "ExplicitlyDenied")
      return "the bucket's policy does not stop it"
    // A stranger's own account may grant everything; it is no grant here.
    if (stop === "grant" && row.principal !== "stranger" && (await judge(row, own, null)) === "Allowed")
      return "it is granted"
  }
  return null
}

/** The rows that fail with these policies, a line each; of those that `wanted` takes. */
export async function* failures(all: Policies, wanted: (row: Question) => boolean): AsyncGenerator<string> {
  for (const row of allowedRows.filter(wanted)) if (!(await isAllowed(row, all))) yield `${show(row)}: is not allowed`
  for (const row of deniedRows.filter(wanted)) {
    const what = await wrong(row, all)
    if (what !== null) yield `${show(row)}: ${what}`
  }
}

export const show = ({ principal, action, resource, context = {} }: Question): string =>
  [principal, action, resource, JSON.stringify(context)].join(" ")
