// source: what is backed up. On a machine with both the administrator's key and the data, `add` does both halves.

import { BackupError, escapeControl, expectName, type Policy, patterns, timeText } from "@backup-cloud/format"
import { generateKey } from "@backup-cloud/openpgp/keygen"
import { addSource, rekeySource, removeSource, setSource } from "@backup-cloud/trust"
import { expectAbsent } from "backup-cloud/parts/named"
import { readSecrets, type SourceSecrets, takeNextKey, writeNextKey, writeSecrets } from "backup-cloud/parts/secrets"
import type { Command } from "commander"
import { changeConfig, type SourceConfig } from "../config.ts"
import { readCertificate, writeNamed } from "../files.ts"
import { makeIdentity } from "../identity.ts"
import { checkedPlace } from "../kinds.ts"
import { addPlaceOptions, configOf } from "../place-options.ts"
import type { Register } from "../program.ts"
import { changePolicy, type NewCertificate } from "../publish.ts"
import { divided } from "../s3-options.ts"
import type { Session } from "../session.ts"

export function addSourceCommands(root: Command, register: Register): void {
  const source = root.command("source").description("what is backed up")
  addPlaceOptions(
    register(
      source,
      "add <name> <url>",
      "enrol a source: dir:///path, s3://bucket/prefix, ssm:/path, git:URL, github:OWNER, postgres://role@host:port/database, mysql://user@host/, command: for what commands put out, upload: for what scripts upload, or program:KIND",
      async (session, [name = "", url = ""], options) => {
        await add(session, expectName("name", name), url, options)
      },
    )
      .option("--certificate <file>", "its certificate, if its keys were made where the data is (source keygen)")
      .option("--shards <count>", "of s3: divide it among so many sources, NAME-00 and on")
      .option("--schedule <text>", "how often it is meant to run, such as: each night", ""),
  )
  addPlaceOptions(
    register(
      source,
      "keygen <name> [url]",
      "make a source's keys where its data is, and note where that is",
      async (session, [name = "", url], options) => {
        await keygen(session, expectName("name", name), url, options)
      },
    )
      .option("--out <file>", "where to put the certificate for the administrator")
      .option("--identity <url>", "keep the keys as parameters below ssm:/path, for what has no home of its own")
      .option(
        "--again",
        "only a new signing key; the one there is goes on until the administrator has enrolled the new one",
      ),
  )
  register(source, "list", "all sources", async (session) => {
    await list(session)
  })
  register(source, "set <name>", "change what the policy says of a source", async (session, [name = ""], options) => {
    const schedule = options["schedule"] as string | undefined
    if (schedule === undefined && options["fresh"] !== true)
      throw new BackupError("usage", "nothing to change; give --schedule TEXT or --fresh")
    const fresh = options["fresh"] === true ? timeText(session.io.now()) : undefined
    const change = {
      ...(schedule === undefined ? {} : { schedule }),
      ...(fresh === undefined ? {} : { fresh_after: fresh }),
    }
    await changePolicy(session, [setSource(name, change)], [], undefined)
  })
    .option("--schedule <text>", "how often it is meant to run")
    .option("--fresh", "build on no earlier run: the next one stores everything anew")
  register(
    source,
    "remove <name>",
    "accept no more runs of a source; what is stored stays",
    async (session, [name = ""]) => {
      await changePolicy(session, [removeSource(name, justNow(session))], [], undefined)
    },
  )
  register(source, "rekey <name>", "give a source a new signing key", async (session, [name = ""], options) => {
    await rekey(session, name, options)
  })
    .option("--certificate <file>", "the new certificate, if made elsewhere")
    .option("--accept-until <time>", "until when the old key counts; now unless given")
}

/** The end of this second: what arrived in it before the policy was changed still counts. */
function justNow({ io }: Session): string {
  return timeText(new Date(io.now().getTime() + 999))
}

/** A time that a person gave, or now. */
function endOf(session: Session, given: unknown): string {
  if (typeof given !== "string") return justNow(session)
  if (patterns.time.test(given) && !Number.isNaN(Date.parse(given))) return given
  throw new BackupError("usage", `--accept-until takes a time, not ${escapeControl(given)}; nothing was changed`, {
    hint: `write it in UTC, as in ${justNow(session)}`,
  })
}

interface NewKeys extends SourceSecrets {
  readonly certificate: Uint8Array
}

/** A signing key and a secret for a source; nothing is written. */
async function makeKeys(session: Session, name: string): Promise<NewKeys> {
  const made = await generateKey({ userId: `backup-cloud source ${name}`, kind: "sign", now: session.io.now() })
  return { secret: session.io.random(32), signingKey: made.secretKey, certificate: made.certificate.bytes }
}

async function keygen(
  session: Session,
  name: string,
  url: string | undefined,
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const again = options["again"] === true
  const config =
    url === undefined ? null : configOf(await checkedPlace(url, session.io.env), url, options, session.io.cwd)
  if (typeof options["out"] === "string") await expectAbsent(options["out"])
  const keys = await makeKeys(session, name)
  const identity = options["identity"]
  if (typeof identity === "string") {
    await makeIdentity(session, identity, { again, name, config, keys })
    const next = again ? `rekey ${name}` : `add ${name} ${url ?? "URL"}`
    await giveOut(session, name, keys.certificate, options["out"], next)
    return
  }
  if (again) await keepNextKey(session, name, keys)
  else await writeSecrets(session, name, keys)
  if (config !== null) await configure(session, name, config)
  await giveOut(
    session,
    name,
    keys.certificate,
    options["out"],
    again ? `rekey ${name}` : `add ${name} ${url ?? "URL"}`,
  )
}

/** A next signing key, for a source that has its keys here. */
async function keepNextKey(session: Session, name: string, keys: NewKeys): Promise<void> {
  if ((await readSecrets(session, name)) === null) {
    throw new BackupError("not-found", `the keys of ${name} are not on this machine; no key was made`, {
      hint: `where its data is: backup-cloud source keygen ${name} --again --out FILE; then here: backup-cloud source rekey ${name} --certificate FILE`,
    })
  }
  await writeNextKey(session, name, keys.signingKey)
}

/** @param enrol how the administrator enrols the certificate */
async function giveOut(
  session: Session,
  name: string,
  certificate: Uint8Array,
  out: unknown,
  enrol: string,
): Promise<void> {
  const text = Buffer.from(certificate).toString("latin1")
  session.event({ event: "keys", source: name, certificate: text })
  if (typeof out !== "string") {
    session.say(text.trimEnd())
    return
  }
  await writeNamed(out, certificate, 0o644)
  session.say(
    `The certificate is in ${out}. The administrator enrols it: backup-cloud source ${enrol} --certificate ${out}`,
  )
}

async function add(
  session: Session,
  name: string,
  url: string,
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const place = await checkedPlace(url, session.io.env)
  const kind = place.kind === "program" ? place.of : place.kind
  const file = options["certificate"]
  const config = file === undefined ? configOf(place, url, options, session.io.cwd) : null
  const added = divided(name, config, options)
  const { policy, administrator } = await session.trust()
  for (const each of added.keys()) await expectNew(session, policy, each, file === undefined)
  // Keys of a source that cannot be enrolled would stand in the way of the next attempt.
  await session.ownKey([administrator.fingerprint], undefined, "administrator")
  const verifier = await session.verifier()
  const certificates: NewCertificate[] = []
  for (const each of added.keys()) {
    const keys = typeof file === "string" ? null : await makeKeys(session, each)
    if (keys !== null) await writeSecrets(session, each, keys)
    const certificate =
      keys === null
        ? await readCertificate(session, String(file))
        : await verifier.certificate(keys.certificate, `the certificate of ${each}`, session.io.signal)
    certificates.push({ role: "source", name: each, certificate })
  }
  const schedule = options["schedule"] as string
  const changes = certificates.map((each) => addSource({ ...each, kind, schedule }))
  await changePolicy(session, changes, certificates, undefined)
  for (const [each, its] of added) if (its !== null) await configure(session, each, its)
  const names = [...added.keys()]
  const next =
    place.kind === "program"
      ? "the program that backs it up"
      : `backup-cloud ${kind === "upload" ? `upload DIR ${name}` : `backup ${names.join(" ")}`}`
  if (config === null) session.say(`Next, where the data is: ${next}`)
  else session.say(`The keys of ${names.join(", ")} are in ${session.config.home}. Next: ${next}`)
}

/** @param withKeys whether its keys are to be made here */
async function expectNew(session: Session, policy: Policy, name: string, withKeys: boolean): Promise<void> {
  if (policy.sources.some((source) => source.name === name)) {
    throw new BackupError("conflict", `the policy has a source ${name} already; nothing was enrolled`, {
      hint: `give it a new key with backup-cloud source rekey ${name}, or take another name`,
    })
  }
  if (withKeys && (await readSecrets(session, name)) !== null) {
    throw new BackupError("conflict", `the source ${name} has keys on this machine already; nothing was enrolled`, {
      hint: "give its certificate: --certificate FILE",
    })
  }
}

async function configure(session: Session, name: string, entry: SourceConfig): Promise<void> {
  await changeConfig(session.config, (content) => ({ ...content, sources: { ...content.sources, [name]: entry } }))
}

async function rekey(session: Session, name: string, options: Readonly<Record<string, unknown>>): Promise<void> {
  const file = options["certificate"]
  const until = endOf(session, options["acceptUntil"])
  const keys = typeof file === "string" ? null : await makeKeys(session, expectName("name", name))
  if (keys !== null) await keepNextKey(session, name, keys)
  const verifier = await session.verifier()
  const certificate =
    keys === null
      ? await readCertificate(session, String(file))
      : await verifier.certificate(keys.certificate, `the certificate of ${name}`, session.io.signal)
  await changePolicy(
    session,
    [rekeySource(name, certificate, until)],
    [{ role: "source", name, certificate }],
    undefined,
  )
  // Only now: where the policy could not be changed, the source goes on with the key that it has.
  if (keys !== null) await takeNextKey(session, name)
}

async function list(session: Session): Promise<void> {
  const { policy } = await session.trust()
  for (const { name, kind, schedule, keys } of policy.sources) {
    const here = (await readSecrets(session, name)) !== null
    const url = session.config.sources[name]?.url ?? ""
    const ended = keys.at(-1)?.accept_until !== ""
    session.say(
      `${name.padEnd(20)} ${kind.padEnd(9)} ${(ended ? "removed" : here ? "here" : "elsewhere").padEnd(10)} ${schedule.padEnd(12)} ${url}`,
    )
    session.event({ event: "source", name, kind, schedule, here, url })
  }
}
