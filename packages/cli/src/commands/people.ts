// holder, operator, keys: who may release, who may restore.

import { BackupError, expectName } from "@backup-cloud/format"
import {
  type CertificateRole,
  enrolHolder,
  enrolOperator,
  leakHolder,
  removeOperator,
  retireHolder,
} from "@backup-cloud/trust"
import type { Command } from "commander"
import { enrolledName, readCertificate } from "../files.ts"
import type { Register } from "../program.ts"
import { changePolicy } from "../publish.ts"
import type { Session } from "../session.ts"

export function addPeopleCommands(root: Command, register: Register): void {
  const holder = root.command("holder").description("key holders: they release, and never see data")
  register(holder, "add <certificate>", "enrol a key holder", async (session, [file = ""], options) => {
    await enrol(session, "holder", file, options)
  })
    .option("--name <name>", "name of the holder; the file's unless given")
    .option("--out <file>", "where to put the policy for a holder to sign")
  register(holder, "retire <fingerprint>", "seal nothing more to a holder", async (session, [fpr = ""], options) => {
    await changePolicy(session, [retireHolder(fingerprint(fpr))], [], outOf(options))
  }).option("--out <file>", "where to put the policy for a holder to sign")
  register(
    holder,
    "leaked <fingerprint>",
    "a holder's key is known to others",
    async (session, [fpr = ""], options) => {
      await changePolicy(session, [leakHolder(fingerprint(fpr))], [], outOf(options))
      session.note(
        "Whoever has the leaked key and the archive can read what was sealed to it; the next backups build on nothing of that.",
      )
    },
  ).option("--out <file>", "where to put the policy for a holder to sign")
  const operator = root.command("operator").description("operators: they restore what holders release")
  register(operator, "add <certificate>", "enrol an operator", async (session, [file = ""], options) => {
    await enrol(session, "operator", file, options)
  }).option("--name <name>", "name of the operator; the file's unless given")
  register(operator, "remove <fingerprint>", "accept no more requests of an operator", async (session, [fpr = ""]) => {
    await changePolicy(session, [removeOperator(fingerprint(fpr))], [], undefined)
  })
  const keys = root.command("keys").description("everybody's certificates, as the policy has them")
  register(keys, "list", "who is enrolled", async (session) => {
    await list(session)
  })
  register(keys, "check", "is every certificate there, intact and usable?", async (session) => {
    await check(session)
  })
}

const outOf = (options: Readonly<Record<string, unknown>>): string | undefined => options["out"] as string | undefined
const fingerprint = (text: string): string => expectName("fingerprint", text.replaceAll(" ", "").toUpperCase())

async function enrol(
  session: Session,
  role: CertificateRole,
  file: string,
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const certificate = await readCertificate(session, file)
  const name = enrolledName(file, options["name"])
  const change = role === "holder" ? enrolHolder({ name, certificate }) : enrolOperator({ name, certificate })
  await changePolicy(session, [change], [{ role, name, certificate }], outOf(options))
}

async function list(session: Session): Promise<void> {
  const { policy, administrator } = await session.trust()
  const row = (role: string, name: string, status: string, fpr: string): void => {
    session.say(`${role.padEnd(14)} ${name.padEnd(20)} ${status.padEnd(8)} ${fpr}`)
    session.event({ event: "key", role, name, status, fingerprint: fpr })
  }
  row("administrator", "", "pinned", administrator.fingerprint)
  for (const each of policy.holders) row("holder", each.name, each.status, each.fingerprint)
  for (const each of policy.operators) row("operator", each.name, each.status, each.fingerprint)
  for (const each of policy.verifiers ?? []) {
    row("verifier", each.name, each.status, each.fingerprint)
    session.say(`  accepted risk: opens runs of ${each.sources.join(", ")} alone, without a holder`)
  }
  for (const source of policy.sources) {
    for (const key of source.keys)
      row("source", source.name, key.accept_until === "" ? "present" : "ended", key.fingerprint)
  }
}

async function check(session: Session): Promise<void> {
  const trust = await session.trust()
  const problems = trust.problems.map((problem) => `${problem.object}: ${problem.why}`)
  const { holders, operators, verifiers = [] } = trust.policy
  const present = [...holders, ...operators, ...verifiers].filter((each) => each.status === "present")
  for (const { name, sha256 } of present) {
    const info = trust.certificates.get(sha256)
    if (info === undefined) continue
    if (info.revoked) problems.push(`${name}: the certificate is revoked`)
    else if (!info.canEncrypt) problems.push(`${name}: nothing can be encrypted to it any more`)
    else if (info.expires !== null) session.say(`${name}: usable until ${info.expires.toISOString().slice(0, 10)}`)
  }
  if (problems.length > 0)
    throw new BackupError("refused", problems.join("\n"), { hint: "enrol new certificates for those" })
  session.say(`All ${trust.certificates.size} certificates are as the policy says.`)
  session.event({ event: "checked", certificates: trust.certificates.size })
}
