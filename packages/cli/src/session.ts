// What most commands need, made once and only when asked for: configuration, store, OpenPGP doors, trust, runs.

import { mkdir, writeFile } from "node:fs/promises"
import { join, resolve } from "node:path"
import { setTimeout } from "node:timers/promises"
import { BackupError, expectName, isFault } from "@backup-cloud/format"
import {
  type Certificate,
  type GpgHome,
  openGpgHome,
  personalHome,
  type Signer,
  type Verifier,
} from "@backup-cloud/openpgp"
import { exportCertificate } from "@backup-cloud/openpgp/keygen"
import { gpgSigner } from "@backup-cloud/openpgp/sign"
import { gpgVerifier } from "@backup-cloud/openpgp/verify"
import { openStore, retrying, type Store, standardWaits } from "@backup-cloud/store"
import {
  loadTrust,
  type Memory,
  memoryFile,
  newMemory,
  readRuns,
  type SourceRuns,
  type Trust,
  type TrustMemory,
} from "@backup-cloud/trust"
import { type Config, readConfig } from "./config.ts"
import type { CliEvent, Globals, Io } from "./io.ts"
import { plain } from "./io.ts"
import { Progress } from "./progress.ts"

export class Session implements AsyncDisposable {
  readonly io: Io
  readonly globals: Globals
  readonly config: Config
  #home: Promise<GpgHome> | null = null
  #store: Promise<Store> | null = null
  #verifier: Promise<Verifier & AsyncDisposable> | null = null

  private constructor(io: Io, globals: Globals, config: Config) {
    this.io = io
    this.globals = globals
    this.config = config
  }

  static async open(io: Io, globals: Globals): Promise<Session> {
    return new Session(io, globals, await readConfig(globals, io))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What could not be opened needs no closing, and whoever asked for it was told why.
    const verifier = await this.#verifier?.catch(() => null)
    await verifier?.[Symbol.asyncDispose]()
    const home = await this.#home?.catch(() => null)
    await home?.[Symbol.asyncDispose]()
  }

  /** A line of the result for people; nothing with `--json`. */
  say(text: string): void {
    if (this.globals.json !== true) this.io.out(text)
  }

  /** A remark for people; nothing with `--quiet` or `--json`. */
  note(text: string): void {
    if (this.globals.json !== true && this.globals.quiet !== true) this.io.note(text)
  }

  /** What a person must mend, also with `--quiet`; nothing with `--json`, where an event says it. */
  warn(text: string): void {
    if (this.globals.json !== true) this.io.note(`WARNING: ${text}`)
  }

  /** Tells how far a work is; `null` with `--quiet` or `--json`. As `new Progress`. */
  progress(what: string, unit: string): Progress | null {
    return this.globals.json === true || this.globals.quiet === true ? null : new Progress(this.io, what, unit)
  }

  /** What is being done, on a terminal, until something else is said there. */
  doing(text: string): void {
    if (this.globals.json !== true && this.globals.quiet !== true) this.io.progress(`${text} …`)
  }

  /** An event for programs; nothing without `--json`. */
  event(event: CliEvent): void {
    if (this.globals.json === true) this.io.out(JSON.stringify({ v: 1, ...event }, plain))
  }

  /** Asks unless `--yes` was given. Throws `refused` on a no. */
  async confirm(question: string): Promise<void> {
    if (this.globals.yes === true || (await this.io.confirm(question))) return
    throw new BackupError("refused", "nothing was done")
  }

  /** Whether this runs as root, who alone can give files away. */
  get isRoot(): boolean {
    return this.io.uid === 0
  }

  get archiveUrl(): string {
    if (this.config.archive !== null) return this.config.archive
    throw new BackupError("usage", "no archive is named", {
      hint: `give --archive URL, set BACKUP_CLOUD_ARCHIVE, or write "archive: URL" into ${this.config.file}`,
    })
  }

  /** A store by URL or path, its calls repeated while it is unavailable. */
  async openStore(url: string): Promise<Store> {
    const { env, cwd, signal } = this.io
    const place = /^[a-z0-9]+:/.test(url) ? url : resolve(cwd, url)
    const sleep = async (milliseconds: number, cancel: AbortSignal): Promise<void> => {
      await setTimeout(milliseconds, undefined, { signal: cancel })
    }
    return retrying(await openStore(place, env, signal), standardWaits, sleep)
  }

  async store(): Promise<Store> {
    return await (this.#store ??= this.openStore(this.archiveUrl))
  }

  /** A temporary GnuPG home, for everything that needs no private key of a person. */
  async gpgHome(): Promise<GpgHome> {
    return await (this.#home ??= openGpgHome())
  }

  async verifier(): Promise<Verifier> {
    return await (this.#verifier ??= this.gpgHome().then((home) => gpgVerifier(home)))
  }

  /** The keyring of the person who runs this: their GNUPGHOME. */
  person(): GpgHome {
    return personalHome(this.io.env["GNUPGHOME"] ?? null)
  }

  personSigner(fingerprint: string): Signer {
    return gpgSigner(this.person(), fingerprint)
  }

  get memory(): TrustMemory {
    return memoryFile(join(this.config.home, "trust.json"))
  }

  /** What this machine remembers; throws `refused` if it trusts nobody yet. */
  async remembered(): Promise<Memory> {
    const memory = await this.memory.read()
    if (memory !== null) return memory
    throw new BackupError("refused", "this machine does not trust an administrator yet; nothing was read", {
      hint: `compare the fingerprint with what the administrator told you, then: backup-cloud trust ${this.config.archive ?? "ARCHIVE"} FINGERPRINT; a key holder gives the administrator's certificate file for the archive`,
    })
  }

  /** Pins an administrator; the certificate is kept, so that a holder can check proposals offline. */
  async pin(administrator: Certificate): Promise<void> {
    await mkdir(this.config.home, { recursive: true, mode: 0o700 })
    await writeFile(join(this.config.home, "administrator.asc"), administrator.bytes, { mode: 0o600 })
    await this.memory.write(newMemory(administrator.fingerprint))
  }

  /** The key of `candidates` that is in this person's keyring. Throws `usage` if none or several are. */
  async ownKey(candidates: readonly string[], given: unknown, role: string): Promise<string> {
    if (typeof given === "string") return expectName("fingerprint", given.replaceAll(" ", "").toUpperCase())
    const own: string[] = []
    for (const fingerprint of candidates) {
      try {
        await exportCertificate(this.person(), fingerprint)
        own.push(fingerprint)
      } catch (error) {
        if (!isFault(error, "not-found")) throw error
      }
    }
    const [one] = own
    if (own.length === 1 && one !== undefined) return one
    const why =
      own.length === 0 ? `no ${role}'s key is in your keyring` : `the keys of several ${role}s are in your keyring`
    throw new BackupError("usage", `${why}; nothing was done`, {
      hint: "name yours with --key FINGERPRINT; GNUPGHOME chooses the keyring",
    })
  }

  async trust(options: { readonly strict?: boolean } = {}): Promise<Trust> {
    const { admin } = await this.remembered()
    const { signal } = this.io
    const home = this.memory
    return await loadTrust({
      reader: await this.store(),
      verifier: await this.verifier(),
      admin,
      home,
      signal,
      ...options,
    })
  }

  async runs(trust: Trust, source: string): Promise<SourceRuns> {
    return await readRuns(trust, await this.store(), source, this.io.signal)
  }
}
