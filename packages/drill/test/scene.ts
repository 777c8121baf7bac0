// A run in a real archive, a scratch place, and drills of the run. Runs are made step by step, without the backup pipeline.

import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { toByteString } from "@backup-cloud/format"
import { type MadeRun, makeWorld, signal, type TestEntry, top, type World } from "../../restore/test/make-run.ts"
import { dirTarget } from "../../source-dir/src/target.ts"
import { type Drill, type DrillEvent, type DrillReport, drill } from "../src/index.ts"

export const RUN = "20261123T100000Z-0000000a"
const ID = "20261124T120000Z-0000000d"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const file = (path: string, content: Uint8Array, more: Partial<TestEntry> = {}): TestEntry => ({
  ...{ type: "f", path: toByteString(path), content, ...more },
})

/** One of everything that a restore without root's rights brings back. */
const entries: readonly TestEntry[] = [
  top,
  { type: "d", path: "closed", mode: 0o000 },
  file("closed/note", bytes("x".repeat(5_000))),
  { type: "d", path: "folder", mode: 0o555 },
  file("folder/large", bytes("0123456789".repeat(1_700)), { mode: 0o400, mtime: "-1.500000000" }),
  file("folder/small", bytes("abc"), { mode: 0o640 }),
  { type: "h", path: "hard", link: "folder/large" },
  { type: "l", path: "link", link: "nowhere/\xff", mode: 0o777 },
  { type: "p", path: "pipe", mode: 0o600 },
  { type: "s", path: "socket", mode: 0o600 },
  file("zürich", bytes("Grüezi\n")),
  file("zürich-empty", new Uint8Array(0)),
]

export interface Scene {
  readonly world: World
  readonly run: MadeRun
  readonly folder: string
  /** Drills the run; `more` bends it. */
  drill(more?: Partial<Drill>): Promise<DrillReport & { readonly events: readonly DrillEvent[] }>
}

type Context = { after(fn: () => void | Promise<void>): void }

export async function makeScene(t: Context, given: readonly TestEntry[] = entries): Promise<Scene> {
  const folder = fs.mkdtempSync(join(tmpdir(), "drill-"))
  t.after(() => {
    fs.rmSync(folder, { recursive: true, force: true })
  })
  const world = await makeWorld(join(folder, "archive"))
  const run = await world.make({ run: RUN, entries: given })
  let scratches = 0
  return {
    ...{ world, run, folder },
    async drill(more = {}) {
      const scratch = join(folder, `scratch-${scratches++}`)
      fs.mkdirSync(scratch)
      const events: DrillEvent[] = []
      const report = await drill({
        archive: (await world.load()).archive.archive,
        id: ID,
        view: await world.view(RUN, world.secrets(run)),
        newest: new Date("2026-11-23T10:00:00Z"),
        from: "archive",
        rule: null,
        scratch,
        target: (root) => dirTarget({ root }),
        owner: false,
        operator: world.operator.certificate.fingerprint,
        now: () => new Date("2026-11-24T12:00:00Z"),
        onEvent: (event) => events.push(event),
        signal,
        ...more,
      })
      return { ...report, events }
    },
  }
}
