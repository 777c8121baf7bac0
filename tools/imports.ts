// Which package may import what: the table of the design as data, and the search for imports that break it. It reads
// syntax trees, not text, so a comment or a string is no import.

import { posix } from "node:path"
import ts from "typescript"

const doors = ["seal", "sign", "verify", "open-passphrase", "open-private"] as const
const door = (...names: readonly (typeof doors)[number][]): string[] => [
  "openpgp",
  ...names.map((name) => `openpgp/${name}`),
]

/** Package to the packages (or, of `openpgp`, the doors) it may import. `openpgp` itself opens no door. */
export const mayImport: Readonly<Record<string, readonly string[] | "all">> = {
  format: [],
  openpgp: ["format"],
  store: ["format"],
  trust: ["format", ...door("sign", "verify"), "store"],
  "source-command": ["format"],
  "source-dir": ["format"],
  "source-postgres": ["format", "source-command"],
  "source-mysql": ["format"],
  "source-git": ["format"],
  "source-github": ["format", "source-git"],
  "source-s3": ["format"],
  "source-ssm": ["format"],
  coverage: ["format"],
  retention: ["format", ...door("sign", "verify"), "store", "trust"],
  backup: ["format", ...door("seal", "sign", "verify", "open-passphrase"), "store", "trust"],
  drill: ["format", "openpgp", "restore", "store", "trust"],
  restore: ["format", ...door("sign", "verify", "open-passphrase", "open-private"), "store", "trust"],
  erasure: ["format", ...door("seal", "sign"), "store", "trust"],
  keyholder: ["format", ...door(...doors), "trust"],
  media: ["format", ...door("sign", "verify"), "store", "trust"],
  "backup-cloud": [
    ...["format", ...door(...doors), "openpgp/keygen", "store", "trust", "backup", "restore", "drill"],
    ...["recovery", "recovery/recover.sh", "recovery/RECOVER.txt"],
  ],
  aws: ["store"],
  handlers: ["format"],
  cli: "all",
}

/** The one file that may touch `process`; everything else gets what it needs as arguments. */
const MAIN = "packages/cli/src/main.ts"

export interface SourceFile {
  /** From the top of the workspace: `packages/<name>/src/…`. */
  readonly path: string
  readonly text: string
}

export interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly imports?: Readonly<Record<string, unknown>>
}

/** What a file names: specifiers of every kind of import, and whether it uses the global `process`. */
export function scan(file: SourceFile): { specifiers: string[]; computed: boolean; usesProcess: boolean } {
  const specifiers: string[] = []
  let computed = false
  let usesProcess = false
  const take = (node: ts.Node | undefined): void => {
    if (node !== undefined && ts.isStringLiteralLike(node)) specifiers.push(node.text)
    // Of a name that is computed in part, the part that is fixed must say the package.
    else if (node !== undefined && ts.isTemplateExpression(node) && /^@[^/]+\/[^/]+\//.test(node.head.text))
      specifiers.push(node.head.text)
    else computed = true
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) take(node.moduleSpecifier)
    else if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) take(node.moduleSpecifier)
    else if (ts.isImportTypeNode(node)) take(ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined)
    else if (ts.isExternalModuleReference(node)) take(node.expression)
    else if (ts.isCallExpression(node) && isImporting(node.expression)) take(node.arguments[0])
    else if (ts.isNewExpression(node) && isModuleUrl(node)) take(node.arguments?.[0])
    else if (ts.isIdentifier(node) && node.text === "process" && isValue(node)) usesProcess = true
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true))
  return { specifiers, computed, usesProcess }
}

/** `import(…)`, `import.meta.resolve(…)`, `require(…)`, `require.resolve(…)`. */
function isImporting(callee: ts.Expression): boolean {
  if (callee.kind === ts.SyntaxKind.ImportKeyword) return true
  if (ts.isIdentifier(callee)) return callee.text === "require"
  return ts.isPropertyAccessExpression(callee) && callee.name.text === "resolve" && isModuleOwn(callee.expression)
}

function isModuleOwn(node: ts.Expression): boolean {
  return ts.isMetaProperty(node) || (ts.isIdentifier(node) && node.text === "require")
}

/** `new URL(…, import.meta.url)`. */
function isModuleUrl(node: ts.NewExpression): boolean {
  const base = node.arguments?.[1]
  return (
    ts.isIdentifier(node.expression) &&
    node.expression.text === "URL" &&
    base !== undefined &&
    ts.isPropertyAccessExpression(base) &&
    ts.isMetaProperty(base.expression)
  )
}

/** Whether an identifier stands for a value rather than naming a member: `x.process` is one only of `globalThis`. */
function isValue(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent) && parent.name === node)
    return ts.isIdentifier(parent.expression) && parent.expression.text === "globalThis"
  if (ts.isQualifiedName(parent)) return false
  const named = parent as { readonly name?: ts.Node }
  return named.name !== node || ts.isShorthandPropertyAssignment(parent)
}

/** What breaks the table in one file, a line each. @param manifest of the package that the file is in */
export function violations(file: SourceFile, manifest: Manifest, table: typeof mayImport = mayImport): string[] {
  const [, own = ""] = file.path.split("/")
  const row = table[own]
  if (row === undefined) return [`${file.path}: the package "${own}" has no row in the table`]
  const { specifiers, computed, usesProcess } = scan(file)
  const problems = specifiers.flatMap((specifier) => {
    const why = judge(specifier, file.path, own, row, manifest)
    return why === null ? [] : [`${file.path}: "${specifier}" ${why}`]
  })
  if (computed) problems.push(`${file.path}: an import whose name is computed`)
  if (usesProcess && file.path !== MAIN) problems.push(`${file.path}: uses "process"; only ${MAIN} may`)
  return problems
}

function judge(
  specifier: string,
  path: string,
  own: string,
  row: readonly string[] | "all",
  manifest: Manifest,
): string | null {
  if (specifier === "node:process" || specifier === "process")
    return path === MAIN ? null : `may be used only by ${MAIN}`
  if (specifier.startsWith("node:")) return null
  if (specifier.startsWith("#")) return manifest.imports?.[specifier] === undefined ? "is not in the manifest" : null
  if (specifier.startsWith(".")) {
    const target = posix.join(posix.dirname(path), specifier)
    return target.startsWith(`packages/${own}/src/`) ? null : "leaves the package"
  }
  const [scope = "", part = ""] = specifier.split("/")
  const name = specifier.startsWith("@") ? `${scope}/${part}` : scope
  if (manifest.dependencies?.[name] === undefined && manifest.peerDependencies?.[name] === undefined)
    return "is not among the package's dependencies"
  if ((scope !== "@backup-cloud" && name !== "backup-cloud") || row === "all") return null
  return row.includes(specifier.replace(/^@backup-cloud\//, "")) ? null : `is not in the row of "${own}"`
}
