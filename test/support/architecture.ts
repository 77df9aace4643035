/**
 * The checks behind `test/architecture.test.ts`, as a function of file texts so that they can be tested on snippets.
 *
 * Each file is parsed once. Imports are read from the syntax tree; banned calls are searched in the text with
 * comments and strings blanked out, so that prose may name what code may not call. Positions are kept: blanking
 * replaces characters by spaces.
 */
import { posix } from 'node:path'
import ts from 'typescript'
import {
  BROWSER_FOLDERS,
  ENTRY_POINTS,
  findFolder,
  NODE_FOLDERS,
  PACKAGE_DOORS,
  RE_EXPORTING_FILES,
} from './layers.ts'

export interface Finding {
  readonly path: string
  readonly line: number
  readonly message: string
}

/** Longest source file in lines; past it, split by role or by command (docs/style.md rule 6). */
const FILE_LINES_MAX = 500

interface Import {
  readonly specifier: string
  readonly line: number
  /** Path within the project, or null for a package or a `node:` module. */
  readonly target: string | null
  readonly isReExport: boolean
  /** Erased by the compiler: it loads nothing. */
  readonly isTypeOnly: boolean
}

interface SourceText {
  readonly path: string
  readonly text: string
  /** The text with comments and the contents of strings and regular expressions blanked. */
  readonly code: string
  readonly imports: readonly Import[]
  readonly defaultExportLine: number | null
}

interface BannedText {
  readonly pattern: RegExp
  readonly instead: string
  /** Whether the ban holds in this file. */
  readonly where: (file: SourceText) => boolean
  /** Search the whole text, comments and strings included. */
  readonly inProse?: true
  /** A line that matches this is let through. */
  readonly unlessLine?: RegExp
}

const under = (path: string, folders: readonly string[]): boolean =>
  folders.some((folder) => path === folder || (folder.endsWith('/') && path.startsWith(folder)))

const isSource = (file: SourceText): boolean => !file.path.startsWith('test/')
/** Describes a package that has no types of its own: it says what is there, not how we would have it. */
const isDeclaration = ({ path }: SourceText): boolean => path.endsWith('.d.ts')
/** Must be deterministic: everything in `src/` but the adapters to the real world. */
const isPure = ({ path }: SourceText): boolean =>
  path.startsWith('src/') && !under(path, ['src/env/node/', 'src/env/browser/'])
const isPureButSim = (file: SourceText): boolean => isPure(file) && !under(file.path, ['src/env/sim/'])
/** The commands that run simulations, and real clusters, measure real time and have processes; their tests do not. */
const isRunner = (path: string): boolean =>
  under(path, ['test/sim/run/', 'test/sim/planted/', 'test/chaos/']) && !path.endsWith('.test.ts')
/** Unit and simulation tests; the others run real processes, sockets and timers on purpose. */
const isQuietTest = ({ path }: SourceText): boolean =>
  path.startsWith('test/') &&
  !isRunner(path) &&
  !under(path, [
    'test/e2e/',
    'test/compat/',
    'test/support/',
    'test/conformance/',
    'test/env/node/',
    'test/env/browser/',
  ])
const isTest = (file: SourceText): boolean =>
  file.path.startsWith('test/') && file.path !== 'test/architecture.test.ts'
const opensRealPorts = (file: SourceText): boolean =>
  isTest(file) &&
  (under(file.path, ['test/e2e/']) ||
    file.imports.some(
      ({ specifier, target }) =>
        /^(node:(net|http|https|tls)|ws)$/.test(specifier) || target?.startsWith('src/env/node/'),
    ))

/** The global `process` by what is asked of it: a local variable may bear the name. */
const PROCESS =
  /(?<![.\w#])process\.(argv|arch|chdir|cpuUsage|cwd|emit|emitWarning|env|exit|exitCode|getuid|hrtime|memoryUsage|nextTick|off|on|once|pid|platform|stderr|stdin|stdout|umask|uptime|versions?)\b/g

const BANNED: readonly BannedText[] = [
  {
    pattern: /\bDate\.now\b|\bnew Date\(\s*\)|(?<!new )\bDate\(/g,
    instead: 'clock.wallTimeMs()',
    where: isPure,
  },
  { pattern: /\bperformance\s*\./g, instead: 'clock.monotonicMs()', where: isPure },
  { pattern: /\bset(Timeout|Interval)\b/g, instead: 'clock.after()', where: isPure },
  { pattern: /\bsetImmediate\b/g, instead: 'clock.endOfTurn()', where: isPureButSim },
  {
    pattern: /\bMath\.random\b|\brandom(UUID|Bytes)\b|\bgetRandomValues\b/g,
    instead: 'env.random',
    where: isPure,
  },
  { pattern: /\bAbortSignal\.timeout\b/g, instead: 'an AbortController and clock.after()', where: isPure },
  { pattern: /\bWeakRef\b|\bFinalizationRegistry\b/g, instead: 'an owner that closes it', where: isSource },
  {
    pattern: /\blocaleCompare\b|\bIntl\s*\.|\.toLocale\w+/g,
    instead: 'a comparison of code units; locale data differs between builds of Node',
    where: isSource,
  },
  { pattern: PROCESS, instead: 'an option handed in by the caller', where: isPure },
  {
    pattern: /\bnew (WebSocket|Worker)\b|(?<![.\w#])fetch\(/g,
    instead: 'env.network',
    where: isPure,
  },
  {
    pattern: /\bBuffer\b/g,
    instead: 'Uint8Array: this code also runs in browsers',
    where: ({ path }) => under(path, BROWSER_FOLDERS),
  },
  {
    pattern: PROCESS,
    instead: 'an option: there is no process in a browser',
    where: ({ path }) => under(path, ['src/env/browser/']),
  },
  {
    pattern: new RegExp(`\\b(${['FIX' + 'ME', 'TO' + 'DO', 'X' + 'XX', 'HA' + 'CK'].join('|')})\\b`, 'g'),
    instead: 'finish it, or say in README.md, under Limits, what is left out and why',
    where: () => true,
    inProse: true,
  },
  {
    pattern: /new Promise\b[^;]{0,60}?\bsetTimeout\b|\bawait (sleep|delay|setTimeout)\(|\bscheduler\.wait\b/g,
    instead: 'the event that is waited for, or virtual time',
    where: isQuietTest,
  },
  { pattern: /\bvi\.useFakeTimers\b/g, instead: "the simulation's clock", where: isQuietTest },
  {
    pattern: /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\.now\b/g,
    instead: 'virtual time, or a fixed one',
    where: isQuietTest,
    unlessLine: /seed/i,
  },
  {
    pattern: /\bMath\.random\b/g,
    instead: 'a generator seeded from the environment variable SEED',
    where: isQuietTest,
    unlessLine: /seed/i,
  },
  {
    pattern: /\bport:\s*[1-9]\d*|\.listen\(\s*[1-9]\d*/g,
    instead: 'port 0, then ask which port it became',
    where: opensRealPorts,
  },
  { pattern: /\b(it|test|describe|suite|bench)(\.\w+)*\.only\b/g, instead: 'every test', where: isTest },
  { pattern: /\b(it|test|describe)(\.\w+)*\.(todo|fails)\b/g, instead: 'a test that holds', where: isTest },
  {
    pattern: /\b(it|test|describe)(\.\w+)*\.skip\b/g,
    instead: 'skipIf() with a condition, or context.skip() with a reason',
    where: isTest,
    unlessLine: /\/\/ \S+/,
  },
  { pattern: /\bretry:\s*[1-9]/g, instead: 'a test that passes the first time', where: isTest },
]

/** Runs every check over a set of files, given by their path within the project. */
export function checkArchitecture(texts: ReadonlyMap<string, string>): Finding[] {
  const files = [...texts].map(([path, text]) => parse(path, text))
  const findings = files.flatMap((file) => [
    ...checkBanned(file),
    ...checkImports(file, texts),
    ...(isSource(file) ? checkForm(file) : []),
  ])
  return [...findings, ...checkDeadFiles(files), ...checkCycles(files), ...checkSimulationLoop(files)]
}

/** One finding per line, as editors and terminals can follow it. */
export function formatFindings(findings: readonly Finding[]): string {
  return findings.map(({ path, line, message }) => `${path}:${line} ${message}`).join('\n')
}

function parse(path: string, text: string): SourceText {
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const lineAt = (position: number): number => tree.getLineAndCharacterOfPosition(position).line + 1
  const imports: Import[] = []
  let defaultExportLine: number | null = null
  const code = Array.from(text, (character) =>
    character === '\n' ? '\n' : ' '.repeat(character.length),
  ).join('')
  const pieces: string[] = []
  let copiedTo = 0

  const addImport = (node: ts.Node, specifier: ts.Node, isReExport: boolean, isTypeOnly: boolean): void => {
    if (!ts.isStringLiteralLike(specifier)) return
    const isRelative = specifier.text.startsWith('.')
    const target = isRelative ? posix.join(posix.dirname(path), specifier.text) : null
    imports.push({
      specifier: specifier.text,
      line: lineAt(node.getStart(tree)),
      target,
      isReExport,
      isTypeOnly,
    })
  }
  const visit = (node: ts.Node): void => {
    if (node.kind >= ts.SyntaxKind.FirstJSDocNode && node.kind <= ts.SyntaxKind.LastJSDocNode) return
    if (ts.isImportDeclaration(node)) {
      addImport(
        node,
        node.moduleSpecifier,
        false,
        node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword,
      )
    }
    if (ts.isExportDeclaration(node) && node.moduleSpecifier) {
      addImport(node, node.moduleSpecifier, true, node.isTypeOnly)
    }
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      addImport(node, node.argument.literal, false, true)
    }
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      if (node.arguments[0]) addImport(node, node.arguments[0], false, false)
    }
    const isDefault =
      ts.isExportAssignment(node) ||
      (node.kind === ts.SyntaxKind.DefaultKeyword && ts.canHaveModifiers(node.parent)) ||
      (ts.isExportSpecifier(node) && node.name.text === 'default')
    if (isDefault) defaultExportLine ??= lineAt(node.getStart(tree))

    const children = node.getChildren(tree)
    children.forEach(visit)
    if (children.length > 0) return
    if (ts.isStringLiteralLike(node) || ts.isRegularExpressionLiteral(node)) return
    if (ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)) return
    pieces.push(code.slice(copiedTo, node.getStart(tree)), text.slice(node.getStart(tree), node.end))
    copiedTo = node.end
  }
  visit(tree)
  pieces.push(code.slice(copiedTo))
  return { path, text, code: pieces.join(''), imports, defaultExportLine }
}

function checkBanned(file: SourceText): Finding[] {
  const lines = file.text.split('\n')
  return BANNED.filter(({ where }) => where(file)).flatMap((banned) => {
    const searched = banned.inProse ? file.text : file.code
    return [...searched.matchAll(banned.pattern)].flatMap((match) => {
      const line = searched.slice(0, match.index).split('\n').length
      if (banned.unlessLine?.test(lines[line - 1] ?? '')) return []
      const found = match[0].replace(/\s+/g, ' ')
      return [{ path: file.path, line, message: `${found} is banned here; use ${banned.instead}` }]
    })
  })
}

function checkImports(file: SourceText, texts: ReadonlyMap<string, string>): Finding[] {
  const owner = findFolder(file.path)
  return file.imports.flatMap(({ specifier, line, target, isReExport }) => {
    const finding = (message: string): Finding[] => [{ path: file.path, line, message }]
    if (target !== null && target.endsWith('.ts') && !texts.has(target)) {
      return finding(`${specifier} does not exist`)
    }
    if (!isSource(file)) return []
    if (owner === null) return finding('the file lies in no layer; add its folder to test/support/layers.ts')
    if (target === null) return checkPackage(file.path, specifier).flatMap(finding)
    const imported = findFolder(target)
    if (imported === null) return finding(`${specifier} lies in no layer; import from one`)
    if (imported.layer !== owner.layer && !owner.layer.mayImport.includes(imported.folder)) {
      const allowed = owner.layer.mayImport.join(', ') || 'nothing'
      return finding(`${owner.folder} may not import ${imported.folder}; it may import ${allowed}`)
    }
    if (isReExport && !RE_EXPORTING_FILES.includes(file.path)) {
      return finding(`re-export of ${specifier}; import it from where it is declared`)
    }
    return []
  })
}

function checkPackage(path: string, specifier: string): string[] {
  if (specifier.startsWith('node:')) {
    if (under(path, NODE_FOLDERS)) return []
    return [`${specifier} is banned here; use a port of src/env, whose adapter lies in src/env/node`]
  }
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
  const doors = PACKAGE_DOORS[name]
  if (doors === undefined)
    return [`${name} is no dependency of ours; see docs/decisions/0001-dependencies.md`]
  return under(path, doors) ? [] : [`${name} enters only by ${doors.join(', ')}; use what is exported there`]
}

function checkForm(file: SourceText): Finding[] {
  const findings: Finding[] = []
  const add = (line: number, message: string): void => void findings.push({ path: file.path, line, message })
  const start = file.text.replace(/^#!.*\n/, '')
  if (!/^(\/\*\*|\/\/ )/.test(start)) add(1, 'no header comment; say what the file is for and its invariants')
  if (file.defaultExportLine !== null && !isDeclaration(file))
    add(file.defaultExportLine, 'default export; export by name')
  const lineCount = countLines(file.text)
  if (lineCount > FILE_LINES_MAX) {
    add(lineCount, `${lineCount} lines; split by role or by command before ${FILE_LINES_MAX}`)
  }
  return findings
}

function checkDeadFiles(files: readonly SourceText[]): Finding[] {
  const imported = new Set(
    files.filter(isSource).flatMap(({ imports }) => imports.map(({ target }) => target)),
  )
  return files
    .filter((file) => isSource(file) && !isDeclaration(file))
    .filter(({ path }) => !imported.has(path) && !ENTRY_POINTS.includes(path))
    .map(({ path }) => ({
      path,
      line: 1,
      message: 'imported by no source file; delete it or list it as an entry point',
    }))
}

/**
 * Finds files that load one another in a circle; each circle is reported once. Imports of types load nothing: a part
 * may name the type of the whole that it belongs to. Between folders the layers rule circles out anyway.
 */
function checkCycles(files: readonly SourceText[]): Finding[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const findings: Finding[] = []
  const done = new Set<string>()
  const trail: string[] = []
  const visit = (path: string, importer: Finding | null): void => {
    const index = trail.indexOf(path)
    if (index >= 0 && importer) {
      const circle = [...trail.slice(index), path].join(' -> ')
      findings.push({ ...importer, message: `import cycle ${circle}; move what both need below them` })
    }
    if (index >= 0 || done.has(path)) return
    trail.push(path)
    for (const { target, line, isTypeOnly } of byPath.get(path)?.imports ?? []) {
      if (target !== null && !isTypeOnly) visit(target, { path, line, message: '' })
    }
    trail.pop()
    done.add(path)
  }
  for (const { path } of files) visit(path, null)
  return findings
}

/** The simulation may yield to the real event loop in one place: its scheduler. */
function checkSimulationLoop(files: readonly SourceText[]): Finding[] {
  const users = files.filter(
    ({ path, code }) => path.startsWith('src/env/sim/') && /\bsetImmediate\b/.test(code),
  )
  return users.slice(1).map(({ path, code }) => ({
    path,
    line: code.slice(0, code.search(/\bsetImmediate\b/)).split('\n').length,
    message: `setImmediate is used in ${users[0]!.path} already; use the scheduler there`,
  }))
}

export function countLines(text: string): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
}
