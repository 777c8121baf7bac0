// Negative controls: a drill is believed only if it fails where it must. The same restore is tried with one byte of one
// volume changed, with that volume missing and with a wrong passphrase for it; and the same comparison with one byte of one
// restored file changed, its size and time as they were. Each costs as much as one file.

import * as fs from "node:fs/promises"
import { join } from "node:path"
import {
  BackupError,
  type CatalogueEntry,
  type DrillTrial,
  type Fault,
  names,
  type Target,
  toByteString,
} from "@backup-cloud/format"
import { locate, planRestore, type RestorePlan, type RunReader, restore, type Wanted } from "@backup-cloud/restore"
import type { Comparer } from "./compare.ts"
import { flipping, hiding, wrongSecret } from "./overlay.ts"
import { removeTree } from "./scratch.ts"
import { lookAt, native, permitted, within } from "./tree.ts"

export interface Controls {
  readonly view: RunReader
  /** May be read again. */
  readonly entries: () => AsyncIterable<CatalogueEntry>
  /** A file with content, of which nothing else needs to be known: the smallest there is. */
  readonly sample: CatalogueEntry
  /** Where the run was restored to; byte string. */
  readonly root: string
  /** Folder for what the controls restore. */
  readonly scratch: string
  readonly target: (root: string) => Target
  readonly compare: Comparer
  readonly signal: AbortSignal
}

/** `passed` is a control that failed as it must. Throws `unavailable` if it could not be tried. */
export async function tryControls(controls: Controls): Promise<DrillTrial[]> {
  const { view, entries, sample, signal } = controls
  const plan = await planRestore(entries, only(sample.path))
  const [need] = plan.volumes
  if (need === undefined) throw new RangeError("a sample has content")
  const volume = locate(view, "volume", need.run, need.volume)
  const tried = async (name: string, faults: readonly Fault[], wrong: Partial<RunReader>): Promise<DrillTrial> => ({
    name,
    outcome: (await failsAs(faults, () => restoreSample(controls, plan, { ...view, ...wrong }))) ? "passed" : "failed",
  })
  const found = await findsChange(controls)
  signal.throwIfAborted()
  return [
    { name: "changed-file", outcome: found ? "passed" : "failed" },
    await tried("flipped-byte", ["tampered"], { reader: flipping(view.reader, volume.name) }),
    await tried("missing-volume", ["incomplete"], { reader: hiding(view.reader, volume.name) }),
    // One wrong passphrase in some eighty looks right until the end of the message.
    await tried("wrong-release", ["refused", "tampered"], {
      secrets: wrongSecret(view.secrets, need.run, names.volume(need.volume)),
    }),
  ]
}

/** Chooses one path. */
function only(path: string): Wanted {
  return {
    judge: (each, directory) => (each === path ? "take" : directory && path.startsWith(`${each}/`) ? "look" : "leave"),
  }
}

/** Restores and compares the sample alone, as the drill does with the whole. */
async function restoreSample(
  { target, compare, scratch, signal }: Controls,
  plan: RestorePlan,
  view: RunReader,
): Promise<void> {
  const folder = join(scratch, "control")
  try {
    const options = { view, plan, target: target(folder), what: "control", signal, onEvent: () => undefined }
    await restore(options)
    const found: string[] = []
    await compare({
      ...{ root: toByteString(folder), owner: false, whole: true, signal },
      entries: entriesOf(plan),
      onDifference: ({ what }) => void found.push(what),
    })
    if (found.length > 0) throw new BackupError("differs", "the sample is not as the catalogue has it")
  } finally {
    await removeTree(folder)
  }
}

async function* entriesOf(plan: RestorePlan): AsyncGenerator<CatalogueEntry> {
  yield* plan.entries
}

/** Whether `work` fails with one of just these faults. */
async function failsAs(faults: readonly Fault[], work: () => Promise<void>): Promise<boolean> {
  try {
    await work()
    return false
  } catch (error) {
    // A network that was just away says nothing about the control.
    if (!(error instanceof BackupError) || error.fault === "unavailable") throw error
    return faults.includes(error.fault)
  }
}

/** Changes one byte of the sample as it was restored, compares it, and changes it back; its time to the microsecond. */
async function findsChange({ root, sample, compare, signal }: Controls): Promise<boolean> {
  const file = within(root, sample.path)
  const before = await fs.lstat(native(file))
  await flipLastByte(file, sample)
  // Its time is taken to be right, so that nothing but its content can tell.
  const { mtime } = await lookAt(file)
  let found = false
  try {
    await compare({
      ...{ root, owner: false, whole: false, signal },
      entries: (async function* () {
        yield { ...sample, mtime }
      })(),
      onDifference: ({ path }) => {
        found ||= path === sample.path
      },
    })
  } finally {
    await flipLastByte(file, sample)
    await fs.lutimes(native(file), before.atimeMs / 1000, before.mtimeMs / 1000)
  }
  return found
}

async function flipLastByte(file: string, { size }: CatalogueEntry): Promise<void> {
  await permitted(file, 0o600, async () => {
    await using handle = await fs.open(native(file), fs.constants.O_RDWR | fs.constants.O_NOFOLLOW)
    const byte = Buffer.alloc(1)
    await handle.read(byte, 0, 1, size - 1)
    byte[0] = (byte[0] ?? 0) ^ 1
    await handle.write(byte, 0, 1, size - 1)
  })
}
