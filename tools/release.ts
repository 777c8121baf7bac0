// What a server without anything runs, as one archive: node tools/release.ts FILE. In it are the command with all that it
// needs of other packages, as it was built last, Node.js for the machine that this runs on, and `backup-cloud`, which starts
// it. From the same packages come the same bytes. Not in it: gpg, and the programs that dump databases.

import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { copyFileSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { closure, env, pack, root } from "./packed.ts"

/** Names of the packages of others, at the top of node_modules, that the command needs in the end. */
function foreign(own: readonly string[]): string[] {
  const args = ["ls", "--omit=dev", "--all", "--parseable", "--workspace", "packages/cli"]
  const listed = execFileSync("npm", args, { cwd: root, env, encoding: "utf8" }).split("\n")
  const top = join(root, "node_modules/")
  const names = listed.filter((path) => path.startsWith(top)).map((path) => path.slice(top.length))
  return names.filter((name) => !name.includes("/node_modules/") && !own.includes(name))
}

const start = `#!/bin/sh
here=\${0%/*}
exec "$here/node" "$here/node_modules/@backup-cloud/cli/bin/backup-cloud.js" "$@"
`

/** @returns the archive's SHA-256 in hex */
export function release(file: string): string {
  const packed = pack()
  try {
    const { own } = closure("@backup-cloud/cli")
    const folder = packed.unpack("release", own, foreign(own))
    copyFileSync(process.execPath, join(folder, "node"))
    writeFileSync(join(folder, "backup-cloud"), start, { mode: 0o755 })
    const alike = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--mode=u+w,go=rX"]
    execFileSync("tar", ["--dereference", ...alike, "-I", "gzip -n -1", "-cf", file, "-C", folder, "."], {
      stdio: "inherit",
    })
  } finally {
    packed.remove()
  }
  return createHash("sha256").update(readFileSync(file)).digest("hex")
}

if (import.meta.main) {
  const file = process.argv[2]
  if (file === undefined) throw new Error("node tools/release.ts FILE")
  console.log(`${release(file)}  ${file}`)
}
