// A Dockerfile's steps, as Docker would take them, in plain folders: each stage is a root of its own, a RUN is run in it by
// chroot, with mounts that vanish with it. For tests, on machines without Docker, as root. An instruction, or an option of
// one, that is not here throws.

import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { DockerfileParser, type Instruction, ModifiableInstruction } from "dockerfile-ast"

export interface Stage {
  readonly name: string
  readonly root: string
  readonly env: ReadonlyMap<string, string>
  readonly user: string
  readonly folder: string
  readonly entrypoint: readonly string[]
  readonly volumes: readonly string[]
}

export interface Building {
  readonly dockerfile: string
  /** Folder with what a COPY without `--from` takes, what is ignored left out already. */
  readonly context: string
  /** Makes a root of the base image in a folder. @param image as FROM names it */
  readonly base: (image: string, folder: string) => void
  /** Where the roots of the stages are made. */
  readonly place: string
  readonly args?: Readonly<Record<string, string>>
  /** What the machine's network asks of programs of a RUN; no part of the image. */
  readonly surroundings?: Readonly<Record<string, string>>
}

export interface Step {
  readonly keyword: string
  /** `--from=build`, with or without a value. */
  readonly flags: ReadonlyMap<string, string>
  readonly words: readonly string[]
  /** What follows the keyword, continued lines joined. */
  readonly text: string
}

export function steps(dockerfile: string): Step[] {
  return DockerfileParser.parse(readFileSync(dockerfile, "utf8"))
    .getInstructions()
    .map((instruction: Instruction) => ({
      keyword: instruction.getKeyword(),
      flags: new Map(
        instruction instanceof ModifiableInstruction
          ? instruction.getFlags().map((flag) => [flag.getName(), flag.getValue() ?? ""])
          : [],
      ),
      words: instruction.getArguments().map((argument) => argument.getValue()),
      text: (instruction.getArgumentsContent() ?? "").replace(/\\\n\s*/g, " "),
    }))
}

interface Making {
  readonly name: string
  readonly root: string
  readonly args: Map<string, string>
  readonly env: Map<string, string>
  user: string
  folder: string
  entrypoint: string[]
  readonly volumes: string[]
}

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/** @returns the last stage */
export function build(building: Building): Stage {
  const { dockerfile, context, base, place, args = {}, surroundings = {} } = building
  const global = new Map<string, string>()
  const stages: Making[] = []
  let stage: Making | undefined
  for (const { keyword, flags, words, text } of steps(dockerfile)) {
    if (keyword === "FROM") {
      const [image = "", as, name = String(stages.length)] = words
      if (words.length > 1 && as?.toUpperCase() !== "AS") throw new Error(text)
      const root = join(place, `stage-${stages.length}`)
      mkdirSync(root)
      base(expand(image, global), root)
      stage = {
        ...{ name, root, args: new Map(), env: new Map([["PATH", DEFAULT_PATH]]) },
        ...{ user: "0:0", folder: "/", entrypoint: [], volumes: [] },
      }
      stages.push(stage)
      continue
    }
    if (keyword === "ARG") {
      const [name = "", value] = split(text)
      const given = args[name] ?? (value === undefined ? (global.get(name) ?? "") : unquoted(value))
      ;(stage?.args ?? global).set(name, given)
      continue
    }
    if (stage === undefined) throw new Error(`${keyword} before FROM`)
    take(stage, stages, { keyword, flags, words, text }, context, surroundings)
  }
  if (stage === undefined) throw new Error("no stage")
  return stage
}

function take(stage: Making, stages: readonly Making[], step: Step, context: string, surroundings: object): void {
  const { keyword, flags, words, text } = step
  const known = new Map([...stage.args, ...stage.env])
  switch (keyword) {
    case "RUN": {
      if (text.startsWith("[") || flags.size > 0) throw new Error(`RUN ${text}`)
      const env = { HOME: "/root", ...surroundings, ...Object.fromEntries(known), DEBIAN_FRONTEND: "noninteractive" }
      const mounts = 'mount --bind /dev "$0/dev" && mount -t proc proc "$0/proc"'
      const enter = `${mounts} && exec chroot --userspec="$1" "$0" /bin/sh -c "cd '$2' && $3"`
      const command = [
        "--mount",
        "--fork",
        "--pid",
        "--kill-child",
        "sh",
        "-c",
        enter,
        stage.root,
        stage.user,
        stage.folder,
        text,
      ]
      const { status, stdout, stderr } = spawnSync("unshare", command, { env, encoding: "utf8", maxBuffer: 2 ** 28 })
      if (status !== 0)
        throw new Error(`RUN ${text}\nended with ${status}\n${stdout.slice(-4000)}${stderr.slice(-4000)}`)
      return
    }
    case "COPY": {
      const from = flags.get("from")
      const [source = "", target = "", ...more] = words
      if (more.length > 0 || target === "" || flags.size > (from === undefined ? 0 : 1)) throw new Error(`COPY ${text}`)
      const origin = from === undefined ? context : stages.find(({ name }) => name === from)?.root
      if (origin === undefined) throw new Error(`COPY ${text}`)
      const destination = join(stage.root, target.startsWith("/") ? target : join(stage.folder, target))
      mkdirSync(destination, { recursive: true })
      // A folder's content is copied, and not the folder; what is copied belongs to root.
      execFileSync("cp", ["-R", "--preserve=mode,links,timestamps", `${join(origin, source)}/.`, destination])
      execFileSync("chown", ["-R", "--no-dereference", "0:0", destination])
      return
    }
    case "ENV":
      for (const word of words) {
        const [name = "", value = ""] = split(word)
        stage.env.set(name, expand(unquoted(value), known))
      }
      return
    case "USER":
      stage.user = expand(words[0] ?? "", known)
      return
    case "WORKDIR":
      stage.folder = expand(words[0] ?? "", known)
      mkdirSync(join(stage.root, stage.folder), { recursive: true })
      return
    case "VOLUME":
      stage.volumes.push(...(JSON.parse(text) as string[]))
      return
    case "ENTRYPOINT":
      stage.entrypoint = JSON.parse(text) as string[]
      return
    case "HEALTHCHECK":
      if (text !== "NONE") throw new Error(`HEALTHCHECK ${text}`)
      return
    default:
      throw new Error(`the test knows no ${keyword}`)
  }
}

function split(word: string): string[] {
  const at = word.indexOf("=")
  return at < 0 ? [word] : [word.slice(0, at), word.slice(at + 1)]
}

const unquoted = (text: string): string => text.replace(/^"(.*)"$/s, "$1")

const expand = (text: string, known: ReadonlyMap<string, string>): string =>
  text.replace(/\$\{(\w+)\}|\$(\w+)/g, (_, braced?: string, bare?: string) => known.get(braced ?? bare ?? "") ?? "")
