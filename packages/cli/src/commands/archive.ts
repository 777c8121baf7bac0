// init and trust: where an archive begins, and where a machine begins to believe it.

import { createHash } from "node:crypto"
import { mkdir } from "node:fs/promises"
import { resolve } from "node:path"
import { BackupError, expectName, timeText } from "@backup-cloud/format"
import type { CertificateInfo } from "@backup-cloud/openpgp"
import { exportCertificate } from "@backup-cloud/openpgp/keygen"
import { directoryOf, type Promises } from "@backup-cloud/store"
import {
  certificateFile,
  certificatePath,
  createArchive,
  createPolicy,
  loadTrust,
  memoryInMemory,
  proposePolicy,
} from "@backup-cloud/trust"
import { readNamed } from "backup-cloud/parts/named"
import { recoveryFile } from "backup-cloud/parts/recovery"
import type { Command } from "commander"
import { changeConfig } from "../config.ts"
import { enrolledName, readCertificate } from "../files.ts"
import { collect, listOf } from "../options.ts"
import type { Register } from "../program.ts"
import { warnOfExpiry } from "../publish.ts"
import type { Session } from "../session.ts"

export function addArchiveCommands(root: Command, register: Register): void {
  register(
    root,
    "init <archive>",
    "make an archive, signed by you as its administrator",
    async (session, [url = ""], options) => {
      await init(session, absolute(session, url), options)
    },
  )
    .requiredOption("--admin <key>", "your OpenPGP key in your keyring, by fingerprint or address")
    .requiredOption("--holder <file>", "certificate of a key holder; repeat for each", collect)
    .option("--operator <file>", "certificate of an operator; repeat for each", collect)
    .option("--horizon <days>", "how long later runs may build on a run", "90")
    .option("--retention <days>", "how long runs are kept at least", "180")
    .option("--degraded", "accept a store that lacks conditional writes or Object Lock")
  register(
    root,
    "trust <archive> <fingerprint>",
    "pin the administrator on this machine, from the archive or from a certificate file, .asc",
    async (session, [where = "", fingerprint = ""]) => {
      await pin(
        session,
        where.endsWith(".asc") ? where : absolute(session, where),
        fingerprint.replaceAll(" ", "").toUpperCase(),
      )
    },
  )
}

async function init(session: Session, url: string, options: Readonly<Record<string, unknown>>): Promise<void> {
  const { io } = session
  const remembered = await session.memory.read()
  if (remembered !== null) {
    throw new BackupError(
      "conflict",
      `this machine already trusts ${remembered.admin} for an archive; nothing was made`,
      {
        hint: "use another --home for another archive",
      },
    )
  }
  const verifier = await session.verifier()
  const exported = await exportCertificate(session.person(), String(options["admin"]))
  const administrator = await verifier.certificate(exported.bytes, "the administrator's certificate", io.signal)
  warnOfExpiry(session, "the administrator", administrator)
  const certificates = new Map<string, Uint8Array>()
  const enrol = async (role: "holder" | "operator") => {
    const entries = []
    for (const file of listOf(options, role)) {
      const certificate = await readCertificate(session, file)
      const name = enrolledName(file, undefined)
      warnOfExpiry(session, name, certificate)
      certificates.set(certificatePath(role, certificateFile(name, certificate)), certificate.bytes)
      entries.push({ name, certificate })
    }
    return entries
  }
  const recover = await recoveryFile("recover.sh")
  const horizon = days(options["horizon"], "--horizon")
  const policy = createPolicy({
    archive: Buffer.from(io.random(16)).toString("hex"),
    created: timeText(io.now()),
    administrator,
    release: "any",
    threshold: 1,
    recover: createHash("sha256").update(recover).digest("hex"),
    rules: { horizon_days: horizon, grace_days: 7, retention_days: days(options["retention"], "--retention") },
    holders: await enrol("holder"),
    operators: await enrol("operator"),
  })
  // All that was given is as it should be; only now something is made.
  const directory = directoryOf(url)
  if (directory !== null) await mkdir(directory, { recursive: true, mode: 0o700 })
  const store = await session.openStore(url)
  const promises = await store.probe(io.signal)
  acceptStore(session, url, promises, options["degraded"] === true)
  const signer = session.personSigner(administrator.fingerprint)
  const proposal = await proposePolicy(null, policy, certificates, signer, io.signal)
  const files = new Map([
    ["recover.sh", recover],
    ["RECOVER.txt", await recoveryFile("RECOVER.txt")],
  ])
  await createArchive({ store, proposal, administrator, verifier, signal: io.signal }, { files })
  await session.pin(administrator)
  await changeConfig(session.config, (content) => ({ ...content, archive: content.archive ?? url }))
  await loadTrust({
    reader: store,
    verifier,
    admin: administrator.fingerprint,
    home: session.memory,
    signal: io.signal,
  })
  session.say(`The archive ${policy.archive} is made in ${url}.`)
  session.say(
    `Its administrator is ${administrator.fingerprint}: give this fingerprint to every machine and holder, by another way than the archive.`,
  )
  session.event({
    event: "created",
    archive: policy.archive,
    administrator: administrator.fingerprint,
    notices: promises.notices,
  })
}

function acceptStore(session: Session, url: string, promises: Promises, degraded: boolean): void {
  for (const notice of promises.notices) session.note(`Note: ${notice}`)
  if (!url.startsWith("s3:") && !url.startsWith("ssm:")) return
  const lacks = [
    promises.conditionalCreate ? "" : "conditional writes (an object can be overwritten)",
    promises.lock?.mode === "COMPLIANCE" ? "" : "Object Lock in COMPLIANCE mode by default (an object can be deleted)",
  ].filter((each) => each !== "")
  if (lacks.length === 0) return
  const what = `${url} lacks ${lacks.join(" and ")}`
  if (!degraded) {
    throw new BackupError("refused", `${what}; no archive was made`, {
      hint: "use a bucket that has it, or give --degraded to accept that whoever has the account can destroy the backups",
    })
  }
  session.note(`WARNING: ${what}. Whoever has the account can destroy these backups; keep offline copies.`)
}

async function pin(session: Session, where: string, fingerprint: string): Promise<void> {
  expectName("fingerprint", fingerprint)
  const { io } = session
  const before = await session.memory.read()
  if (before !== null && before.admin !== fingerprint) {
    throw new BackupError("refused", `this machine already trusts ${before.admin}; nothing was changed`, {
      hint: "an archive's administrator never changes: use another --home for another archive",
    })
  }
  const verifier = await session.verifier()
  const isFile = where.endsWith(".asc")
  const administrator = isFile
    ? await verifier.certificate(await readNamed(where), where, io.signal)
    : await archiveAdministrator(session, where, fingerprint)
  if (administrator.fingerprint !== fingerprint) {
    throw new BackupError(
      "refused",
      `${where} is of ${administrator.fingerprint}, not of ${fingerprint}; nothing was pinned`,
    )
  }
  const spaced = fingerprint.match(/.{4}/g)?.join(" ") ?? ""
  await session.confirm(`Trust ${spaced} as the administrator? Compare it with what you were told by another way.`)
  if (before === null) await session.pin(administrator)
  if (!isFile) await changeConfig(session.config, (content) => ({ ...content, archive: content.archive ?? where }))
  session.say(`This machine trusts ${fingerprint}.`)
  session.event({ event: "pinned", administrator: fingerprint })
}

/** The administrator's certificate of an archive whose whole configuration follows from it. */
async function archiveAdministrator(session: Session, url: string, admin: string): Promise<CertificateInfo> {
  const { io } = session
  const store = await session.openStore(url)
  const verifier = await session.verifier()
  const trust = await loadTrust({ reader: store, verifier, admin, home: memoryInMemory(), signal: io.signal })
  session.say(
    `The archive ${trust.archive.archive} is this administrator's; policy ${trust.policy.number} is in force.`,
  )
  return trust.administrator
}

function days(value: unknown, option: string): number {
  const number = Number(value)
  if (Number.isSafeInteger(number) && number > 0) return number
  throw new BackupError("usage", `${option} takes a number of days, not ${String(value)}`)
}

/** The URL, or the path made absolute: the configuration keeps it for commands that run elsewhere. */
function absolute(session: Session, url: string): string {
  return /^[a-z0-9]+:/.test(url) ? url : resolve(session.io.cwd, url)
}
