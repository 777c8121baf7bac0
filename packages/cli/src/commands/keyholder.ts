// keyholder: review, approve, deny. Works offline: everything comes from the file, this machine's pin and its ledger.

import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { BackupError } from "@backup-cloud/format"
import {
  approve,
  cosign,
  deny,
  describeProposal,
  describeReview,
  type Ledger,
  memoryOfHome,
  openLedger,
  type ProposalReview,
  type Review,
  reviewProposal,
  reviewRequest,
} from "@backup-cloud/keyholder"
import { gpgPrivateOpener } from "@backup-cloud/openpgp/open-private"
import { expectAbsent, readNamed } from "backup-cloud/parts/named"
import type { Command } from "commander"
import { writeNamed } from "../files.ts"
import type { Register } from "../program.ts"
import type { Session } from "../session.ts"

export function addKeyholderCommands(root: Command, register: Register): void {
  const keyholder = root.command("keyholder").description("answer requests and proposed policies, offline")
  register(
    keyholder,
    "review <file>",
    "show a request or a proposed policy, and what is wrong with it",
    async (session, [file = ""]) => {
      show(session, (await look(session, file)).lines)
    },
  )
  register(
    keyholder,
    "approve <file>",
    "release what a request asks for, or sign a proposed policy",
    async (session, [file = ""], options) => {
      await answer(session, file, options)
    },
  )
    .requiredOption("--out <file>", "where to put the answer")
    .option("--without-erasures", "release what was erased too; only for a request that asks for it")
    .option("--volumes-only", "release the data alone: no run key, no list of names")
    .option("--key <fingerprint>", "your holder's key")
  register(keyholder, "deny <file>", "refuse a request, in the ledger", async (session, [file = ""], options) => {
    const found = await look(session, file)
    if (found.kind !== "request") throw new BackupError("usage", "a proposed policy is denied by not signing it")
    show(session, found.lines)
    await session.confirm("Deny this request?")
    await deny({
      review: found.review,
      reason: options["reason"] as string,
      ledger: found.ledger,
      now: session.io.now(),
    })
    session.say("Denied; the ledger has it.")
    session.event({ event: "denied", request: found.review.request.id })
  }).requiredOption("--reason <text>", "why")
}

type Found =
  | { readonly kind: "request"; readonly review: Review; readonly ledger: Ledger; readonly lines: readonly string[] }
  | {
      readonly kind: "policy"
      readonly review: ProposalReview
      readonly ledger: Ledger
      readonly lines: readonly string[]
    }

async function look(session: Session, file: string): Promise<Found> {
  const bytes = await readNamed(file)
  const remembered = await session.remembered()
  const ledger = await openLedger(join(session.config.home, "ledger.jsonl"))
  const memory = memoryOfHome(remembered)
  const verifier = await session.verifier()
  const { signal } = session.io
  // A proposal is JSON text, a request an OpenPGP message, whose first byte has the high bit set.
  if (bytes[0] === 0x7b) {
    const administratorFile = await readFile(join(session.config.home, "administrator.asc"))
    const review = await reviewProposal({
      proposal: bytes,
      administratorFile,
      administrator: remembered.admin,
      ledger,
      memory,
      verifier,
      signal,
    })
    return { kind: "policy", review, ledger, lines: describeProposal(review) }
  }
  const review = await reviewRequest({
    request: bytes,
    administrator: remembered.admin,
    ledger,
    memory,
    verifier,
    now: session.io.now(),
    signal,
  })
  return { kind: "request", review, ledger, lines: describeReview(review) }
}

function show(session: Session, lines: readonly string[]): void {
  for (const line of lines) session.say(line)
  session.event({ event: "review", lines })
}

async function answer(session: Session, file: string, options: Readonly<Record<string, unknown>>): Promise<void> {
  const { now, signal } = session.io
  const found = await look(session, file)
  const out = options["out"] as string
  // Before the ledger tells of an answer that nobody would get.
  await expectAbsent(out)
  show(session, found.lines)
  if (found.kind === "policy") {
    const { before } = found.review.proposal
    const signer = session.personSigner(await session.ownKey(present(before?.holders ?? []), options["key"], "holder"))
    await session.confirm("Sign this policy?")
    const { file: signed } = await cosign({ review: found.review, signer, ledger: found.ledger, now: now(), signal })
    await writeNamed(out, signed, 0o600)
    session.say(`Signed, in ${out}; the ledger has it. Send it back to the administrator.`)
    session.event({ event: "cosigned", file: out })
    return
  }
  const key = await session.ownKey(present(found.review.policies.newest.holders), options["key"], "holder")
  await session.confirm("Release this?")
  const { release } = await approve({
    review: found.review,
    narrow: { volumesOnly: options["volumesOnly"] === true },
    withoutErasures: options["withoutErasures"] === true,
    opener: gpgPrivateOpener(session.person()),
    signer: session.personSigner(key),
    ledger: found.ledger,
    now: now(),
    signal,
  })
  await writeNamed(out, release, 0o600)
  session.say(`Released, in ${out}, for the operator alone; the ledger has it.`)
  session.event({ event: "released", file: out, request: found.review.request.id })
}

function present(holders: readonly { readonly status: string; readonly fingerprint: string }[]): string[] {
  return holders.filter((each) => each.status === "present").map((each) => each.fingerprint)
}
