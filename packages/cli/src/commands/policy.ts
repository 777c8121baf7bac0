// policy: what the administrator signs, and the rights that each role needs in the cloud account.

import { BackupError } from "@backup-cloud/format"
import { iamPolicy } from "@backup-cloud/store"
import { decodeProposal, publishPolicy, setDrillRule } from "@backup-cloud/trust"
import { readNamed } from "backup-cloud/parts/named"
import { type Command, Option } from "commander"
import { duration } from "../durations.ts"
import { writeNamed } from "../files.ts"
import type { Register } from "../program.ts"
import { changePolicy } from "../publish.ts"

const DAY = 86_400_000
const MINUTE = 60_000

export function addPolicyCommands(root: Command, register: Register): void {
  const policy = root.command("policy").description("the signed policy, and rights in a cloud account")
  register(policy, "show", "the policy in force", async (session) => {
    const trust = await session.trust()
    session.say(JSON.stringify(trust.policy, null, 2))
    session.event({ event: "policy", policy: trust.policy })
  })
  register(policy, "publish <file>", "put a policy in force that holders have signed", async (session, [file = ""]) => {
    const proposal = decodeProposal(Buffer.from(await readNamed(file)).toString("utf8"), file)
    const { administrator } = await session.trust()
    const { signal } = session.io
    await publishPolicy({
      store: await session.store(),
      proposal,
      administrator,
      verifier: await session.verifier(),
      signal,
    })
    session.say(`Policy ${proposal.after.number} is in force.`)
    session.event({ event: "published", policy: proposal.after.number })
  })
  register(policy, "drill <source>", "how often a source is drilled", async (session, [source = ""], options) => {
    const { every, rto, rpo, never } = options as Readonly<Record<string, string | boolean | undefined>>
    if ((every === undefined) === (never === undefined))
      throw new BackupError("usage", "give --every TIME, or --never; nothing was changed")
    const minutes = (text: unknown, option: string): number =>
      typeof text === "string" ? duration(text, option) / MINUTE : 0
    const days = typeof every === "string" ? Math.floor(duration(every, "--every") / DAY) : 1
    if (days < 1) throw new BackupError("usage", "--every takes whole days, such as 30d; nothing was changed")
    const rule = { every_days: days, rto_minutes: minutes(rto, "--rto"), rpo_minutes: minutes(rpo, "--rpo") }
    await changePolicy(session, [setDrillRule(source, never === true ? null : rule)], [], undefined)
  })
    .option("--every <time>", "how often, in days: 30d")
    .option("--rto <time>", "a drill fails if the restore takes longer: 4h")
    .option("--rpo <time>", "a drill fails if the newest run is older: 26h")
    .option("--never", "not at all")
  register(policy, "print", "the IAM policy of a role", async (session, _args, options) => {
    if (!session.archiveUrl.startsWith("s3://")) {
      throw new BackupError("usage", `${session.archiveUrl} names no bucket in S3, so it has no IAM policy`, {
        hint: "give --archive s3://bucket/prefix",
      })
    }
    const url = new URL(session.archiveUrl)
    const role = options["role"] as "source" | "operator" | "administrator"
    const source = options["source"] as string | undefined
    if (role === "source" && source === undefined)
      throw new BackupError("usage", "a source's rights are its own", { hint: "give --source NAME" })
    const prefix = url.pathname
      .split("/")
      .filter((segment) => segment !== "")
      .join("/")
    const text = JSON.stringify(
      iamPolicy(role, { bucket: url.hostname, prefix, ...(source === undefined ? {} : { source }) }),
      null,
      2,
    )
    if (typeof options["out"] === "string") await writeNamed(options["out"], `${text}\n`, 0o644)
    else session.io.out(text)
  })
    .addOption(
      new Option("--role <role>", "whose").choices(["source", "operator", "administrator"]).makeOptionMandatory(),
    )
    .option("--source <name>", "of which source")
    .option("--out <file>", "where to put it")
}
