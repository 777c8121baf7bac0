// verifier: machines that drill chosen sources without a release. That they can read those is a risk the policy accepts, and a
// present holder signs as well.

import { expectName } from "@backup-cloud/format"
import { enrolVerifier, retireVerifier } from "@backup-cloud/trust"
import type { Command } from "commander"
import { enrolledName, readCertificate } from "../files.ts"
import { collect, listOf } from "../options.ts"
import type { Register } from "../program.ts"
import { changePolicy } from "../publish.ts"

export function addVerifierCommands(root: Command, register: Register): void {
  const verifier = root.command("verifier").description("isolated machines that drill chosen sources without a release")
  register(
    verifier,
    "add <certificate>",
    "seal runs of chosen sources to a verifier too; enrolled again, it has just these sources",
    async (session, [file = ""], options) => {
      const certificate = await readCertificate(session, file)
      const name = enrolledName(file, options["name"])
      const sources = listOf(options, "source").map((each) => expectName("name", each))
      session.note(
        `Whoever has the key of ${name} and the archive reads ${sources.join(", ")} without a holder, from the next run on: keep its machine off every network.`,
      )
      const out = options["out"] as string | undefined
      const change = enrolVerifier({ name, certificate, sources })
      await changePolicy(session, [change], [{ role: "verifier", name, certificate }], out)
    },
  )
    .requiredOption("--source <name>", "whose runs; repeat", collect)
    .option("--name <name>", "name of the verifier; the file's unless given")
    .option("--out <file>", "where to put the policy for a holder to sign")
  register(
    verifier,
    "retire <fingerprint>",
    "seal nothing more to a verifier; what is stored stays open to it",
    async (session, [fingerprint = ""], options) => {
      const key = expectName("fingerprint", fingerprint.replaceAll(" ", "").toUpperCase())
      await changePolicy(session, [retireVerifier(key)], [], options["out"] as string | undefined)
    },
  ).option("--out <file>", "where to put the policy for a holder to sign")
}
