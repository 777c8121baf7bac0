// Bundles the functions of packages/handlers, each into one file that exports `handler`, and the worker thread of backups
// beside them: node tools/bundle.ts [DIR]. What is in DIR, packages/handlers/bundle unless given, is all that a function is
// deployed with. From the same sources and packages come the same bytes.

import { globSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { build, type Metafile } from "esbuild"

const root = dirname(import.meta.dirname)

/** Files of src that are functions: what exports `handler`. */
const HANDLERS = ["backup", "watchdog", "summary"]

/** What CommonJS modules among the dependencies need to load modules of Node.js, and nothing else. */
const BANNER =
  'import { createRequire as createRequireOfNode } from "node:module"; const require = createRequireOfNode(import.meta.url);'

/** Writes the bundle into `folder`, in the place of what was there. @returns what esbuild says of inputs and outputs */
export async function bundle(folder: string): Promise<Metafile> {
  rmSync(folder, { recursive: true, force: true })
  const handlers = globSync(`packages/handlers/src/{${HANDLERS.join(",")}}.ts`, { cwd: root }).sort()
  const entries = [...handlers, "packages/backup/src/worker.ts"].map((file) => ({
    in: join(root, file),
    out: basename(file, ".ts"),
  }))
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: entries,
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    mainFields: ["module", "main"],
    conditions: ["source"],
    banner: { js: BANNER },
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: "none",
    metafile: true,
    logLevel: "error",
  })
  // By which the worker is found.
  writeFileSync(
    join(folder, "package.json"),
    `${JSON.stringify({ type: "module", imports: { "#worker": "./worker.mjs" } }, null, 2)}\n`,
  )
  return metafile
}

if (import.meta.main) {
  const folder = process.argv[2] ?? join(root, "packages/handlers/bundle")
  const { outputs } = await bundle(folder)
  for (const [file, { bytes }] of Object.entries(outputs)) console.log(`${file}: ${bytes} bytes`)
}
