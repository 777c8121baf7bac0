// What work with an archive needs on a machine, made once and only when asked for: store, OpenPGP doors, whom it trusts.
// It knows the home that the command line keeps, and nothing of how a person calls it.

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
import {
  directoryOf,
  type Environment,
  openParameters,
  openStore,
  type ParameterFolder,
  retrying,
  type Store,
  standardWaits,
  unionReader,
} from "@backup-cloud/store"
import {
  type Expiries,
  knownErasures,
  loadTrust,
  type Memory,
  newMemory,
  readExpiries,
  readRuns,
  type SealedErasure,
  type SourceRuns,
  type Trust,
  type TrustMemory,
} from "@backup-cloud/trust"
import { type Doors, gpgDoors, jsDoors } from "./doors.ts"
import { type Identity, identityIn } from "./identity.ts"
import { machineMemory, pinMemory, pinnedOnly } from "./medium-memory.ts"

export interface Surroundings {
  /** URL or path of the archive; `null` if nothing says it. */
  readonly archive: string | null
  /** What to do about an archive that nothing names. */
  readonly archiveHint: string
  /** Folder of this machine's secrets and memory, absolute. */
  readonly home: string
  /** Used: GNUPGHOME, and what the store uses. */
  readonly env: Environment
  /** Where paths begin, absolute. */
  readonly cwd: string
  readonly now: () => Date
  readonly random: (bytes: number) => Uint8Array
  /** Aborts at once. */
  readonly signal: AbortSignal
  /** More copies of the archive to read from, by URL or path, such as the disks of a set. */
  readonly copies?: readonly string[]
  /** `ssm:/path` of what is kept there instead of in the home: the keys of a source and what was seen of the archive. */
  readonly identity?: string | null
  /** `js`: no programs are started, and nothing can be done with the keys of a person. `gpg` unless given. */
  readonly openpgp?: "gpg" | "js"
  /** Called for an object that neither the archive nor a copy has; as for `unionReader`. */
  readonly missing?: (name: string, signal: AbortSignal) => Promise<boolean>
}

export class Machine implements AsyncDisposable {
  readonly surroundings: Surroundings
  #gpgHome: Promise<GpgHome> | null = null
  #store: Promise<Store> | null = null
  #doors: Promise<Doors> | null = null
  #verifier: Promise<Verifier & Partial<AsyncDisposable>> | null = null
  #identity: { readonly folder: ParameterFolder; readonly identity: Identity } | null = null
  readonly #expiries = new WeakMap<Trust, Promise<Expiries>>()

  constructor(surroundings: Surroundings) {
    this.surroundings = surroundings
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What could not be opened needs no closing, and whoever asked for it was told why.
    const verifier = await this.#verifier?.catch(() => null)
    await verifier?.[Symbol.asyncDispose]?.()
    this.#identity?.folder[Symbol.dispose]()
    const home = await this.#gpgHome?.catch(() => null)
    await home?.[Symbol.asyncDispose]()
  }

  get home(): string {
    return this.surroundings.home
  }

  get archiveUrl(): string {
    const { archive, archiveHint: hint } = this.surroundings
    if (archive !== null) return archive
    throw new BackupError("usage", "no archive is named", { hint })
  }

  /** A store by URL or path, its calls repeated while it is unavailable. */
  async openStore(url: string): Promise<Store> {
    const { env, cwd, signal } = this.surroundings
    const place = /^[a-z0-9]+:/.test(url) ? url : resolve(cwd, url)
    const sleep = async (milliseconds: number, cancel: AbortSignal): Promise<void> => {
      await setTimeout(milliseconds, undefined, { signal: cancel })
    }
    return retrying(await openStore(place, env, signal), standardWaits, sleep)
  }

  async store(): Promise<Store> {
    return await (this.#store ??= this.#openAll())
  }

  async #openAll(): Promise<Store> {
    const { copies = [], missing } = this.surroundings
    const archive = await this.openStore(this.archiveUrl)
    if (copies.length === 0 && missing === undefined) return archive
    const { env, cwd, signal } = this.surroundings
    // Another copy is tried before the same disk is asked again.
    const direct = async (place: string): Promise<Store> =>
      directoryOf(place) === null ? await this.openStore(place) : await openStore(place, env, signal)
    const places = [this.archiveUrl, ...copies].map((url) => (/^[a-z0-9]+:/.test(url) ? url : resolve(cwd, url)))
    const all = await Promise.all(places.map(direct))
    return { ...archive, ...unionReader(all, missing ?? (async () => false)) }
  }

  /** A temporary GnuPG home, for everything that needs no private key of a person. */
  async gpgHome(): Promise<GpgHome> {
    return await (this.#gpgHome ??= openGpgHome())
  }

  /** For everything that needs no private key of a person. */
  async doors(): Promise<Doors> {
    const open = async (): Promise<Doors> =>
      this.surroundings.openpgp === "js" ? jsDoors() : gpgDoors(await this.gpgHome())
    return await (this.#doors ??= open())
  }

  async verifier(): Promise<Verifier> {
    return await (this.#verifier ??= this.doors().then((doors) => doors.verifier()))
  }

  /** `null` where the home has it all. Throws `usage` for what names none. */
  get identity(): Identity | null {
    const { identity: url = null, env, signal } = this.surroundings
    if (url === null) return null
    if (this.#identity === null) {
      const folder = openParameters(url, env)
      this.#identity = { folder, identity: identityIn(folder, signal) }
    }
    return this.#identity.identity
  }

  /** The keyring of the person who runs this: their GNUPGHOME. */
  person(): GpgHome {
    return personalHome(this.surroundings.env["GNUPGHOME"] ?? null)
  }

  personSigner(fingerprint: string): Signer {
    return gpgSigner(this.person(), fingerprint)
  }

  get memory(): TrustMemory {
    const { archive, cwd, copies } = this.surroundings
    if (this.identity !== null) return this.identity.memory
    // Several copies together are further than each alone: what one of them lacks is no rollback of it.
    if ((copies?.length ?? 0) > 0) return pinnedOnly(this.home)
    return machineMemory(this.home, archive === null || /^[a-z0-9]+:/.test(archive) ? archive : resolve(cwd, archive))
  }

  /** What this machine remembers; throws `refused` if it trusts nobody yet. */
  async remembered(): Promise<Memory> {
    const memory = await this.memory.read()
    if (memory !== null) return memory
    throw new BackupError("refused", "this machine does not trust an administrator yet; nothing was read", {
      hint: `compare the fingerprint with what the administrator told you, then: backup-cloud trust ${this.surroundings.archive ?? "ARCHIVE"} FINGERPRINT; a key holder gives the administrator's certificate file for the archive`,
    })
  }

  /** Pins an administrator; the certificate is kept, so that a holder can check proposals offline. */
  async pin(administrator: Certificate): Promise<void> {
    await mkdir(this.home, { recursive: true, mode: 0o700 })
    await writeFile(join(this.home, "administrator.asc"), administrator.bytes, { mode: 0o600 })
    await pinMemory(this.home).write(newMemory(administrator.fingerprint))
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

  /** The key of a present operator that is in this person's keyring; throws as `ownKey`. */
  async operatorKey({ policy }: Trust, given: unknown): Promise<string> {
    const present = policy.operators.filter((each) => each.status === "present").map((each) => each.fingerprint)
    return await this.ownKey(present, given, "operator")
  }

  async trust(options: { readonly strict?: boolean } = {}): Promise<Trust> {
    const { admin } = await this.remembered()
    const { signal } = this.surroundings
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

  /** What was taken away on purpose; read once. A chain that was cut off is among its problems. */
  async expiries(trust: Trust): Promise<Expiries> {
    const read = async (): Promise<Expiries> =>
      await readExpiries({ trust, reader: await this.store(), home: this.memory, signal: this.surroundings.signal })
    const started = this.#expiries.get(trust) ?? read()
    this.#expiries.set(trust, started)
    return await started
  }

  /** The records of what must not come back, held against what this machine remembers; throws as `knownErasures`. */
  async erasures(trust: Trust): Promise<readonly SealedErasure[]> {
    return await knownErasures(trust, await this.store(), this.memory, this.surroundings.signal)
  }

  async runs(trust: Trust, source: string): Promise<SourceRuns> {
    const expiries = await this.expiries(trust)
    return await readRuns(trust, await this.store(), source, this.surroundings.signal, { expiries })
  }
}
