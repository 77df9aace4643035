/** What the documents claim holds: links resolve, samples compile, commands exist, tables equal the code. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { LAYERS } from './support/layers.ts'
import {
  findAnchors,
  findCommands,
  findLinks,
  findPaths,
  findSamples,
  findTable,
} from './support/markdown.ts'

const root = join(import.meta.dirname, '..')
const documents = new Map(
  [
    ...['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md'],
    ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).map((name) => `docs/${name}`),
  ]
    .filter((path) => path.endsWith('.md') && existsSync(join(root, path)))
    .sort()
    .map((path) => [path, readFileSync(join(root, path), 'utf8')]),
)
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, string | { types: string }>
  scripts: Record<string, string>
}
const samples = [...documents].flatMap(([path, text]) =>
  findSamples(text).map((sample) => ({ ...sample, path, name: `${path}:${sample.line}` })),
)

describe('the documents', () => {
  it.each([...documents.keys()])('%s has links that lead somewhere', (path) => {
    const broken = findLinks(documents.get(path)!).filter(({ target }) => {
      if (/^[a-z]+:/.test(target)) return false
      const [file, anchor] = target.split('#', 2) as [string, string?]
      const linked = file === '' ? path : posix.join(posix.dirname(path), file)
      if (!existsSync(join(root, linked))) return true
      return anchor !== undefined && !findAnchors(readFileSync(join(root, linked), 'utf8')).has(anchor)
    })
    expect(broken).toEqual([])
  })

  it.each([...documents.keys()])('%s names only paths that exist', (path) => {
    const missing = findPaths(documents.get(path)!).filter(({ target }) => !existsSync(join(root, target)))
    expect(missing).toEqual([])
  })

  it('print the layer table that the architecture test enforces', () => {
    const inCode = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(', ')
    const rows = LAYERS.map(({ level, folders, purpose, mayImport }) => [
      level === null ? '' : String(level),
      inCode(folders.map((folder) => (folder.endsWith('.ts') ? folder : `${folder}/`))),
      purpose,
      inCode(mayImport),
    ])
    const table = findTable(documents.get('docs/architecture.md')!, [
      'layer',
      'folder',
      'what lives there',
      'may import',
    ])
    expect(table).toEqual(rows)
  })
})

describe('TypeScript samples', () => {
  const sources = new Map(
    Object.entries(manifest.exports).flatMap(([name, entry]) => {
      if (typeof entry === 'string') return []
      const source = entry.types.replace('./dist/', '').replace(/\.d\.ts$/, '.ts')
      return [[posix.join('millrace', name), source] as const]
    }),
  )
  const typed = samples.filter(({ language }) => language === 'ts' || language === 'typescript')
  const virtualPath = (name: string) => join(root, `sample-of-${name.replace(/[/:]/g, '-')}.ts`)
  const texts = new Map(typed.map(({ name, text }) => [virtualPath(name), `${text}\nexport {}\n`]))
  const missing = [...sources].filter(([, source]) => !existsSync(join(root, source))).map(([name]) => name)
  let program: ts.Program | undefined

  /** All samples in one program, as files at the project's root whose `millrace` imports lead to the source. */
  function compile(): ts.Program {
    const configPath = join(root, 'tsconfig.json')
    const { config } = ts.readConfigFile(configPath, (path) => ts.sys.readFile(path)) as { config: object }
    const options: ts.CompilerOptions = {
      ...ts.parseJsonConfigFileContent(config, ts.sys, root, {}, configPath).options,
      lib: ['lib.es2023.d.ts', 'lib.dom.d.ts'],
      paths: Object.fromEntries([...sources].map(([name, source]) => [name, [`./${source}`]])),
    }
    const host = ts.createCompilerHost(options)
    const overlaid: ts.CompilerHost = {
      ...host,
      fileExists: (path) => texts.has(path) || host.fileExists(path),
      readFile: (path) => texts.get(path) ?? host.readFile(path),
      getSourceFile: (path, target, ...rest) => {
        const text = texts.get(path)
        return text === undefined
          ? host.getSourceFile(path, target, ...rest)
          : ts.createSourceFile(path, text, target)
      },
    }
    return ts.createProgram({ rootNames: [...texts.keys()], options, host: overlaid })
  }

  it('resolve every export of the package to a file of src', () => {
    expect(sources.size).toBe(Object.keys(manifest.exports).length - 1)
    expect([...sources.values()].filter((source) => !/^src\/[\w-]+\.ts$/.test(source))).toEqual([])
  })

  it.for(typed)('$name compiles against the source', (sample, context) => {
    const needed = missing.filter((name) => sample.text.includes(`'${name}'`))
    context.skip(needed.length > 0, `${needed.join(', ')} is not written yet`)
    program ??= compile()
    const file = program.getSourceFile(virtualPath(sample.name))
    const diagnostics = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]
    const messages = diagnostics.map(({ start, messageText }) => {
      const line = sample.line + (file?.getLineAndCharacterOfPosition(start ?? 0).line ?? 0)
      return `${sample.path}:${line} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
    })
    expect(messages).toEqual([])
  })
})

describe('shell samples', () => {
  const command = join(root, 'dist/cli/main.js')
  const isBuilt = existsSync(command)
  const shell = samples.filter(({ language }) => /^(sh|bash|shell|console)$/.test(language))
  const commands = shell.flatMap((sample) =>
    findCommands(sample).map(({ words, line }) => ({
      words,
      name: `${sample.path}:${line} ${words.join(' ')}`,
    })),
  )
  const helps = new Map<string, string>()
  const helpOf = (subcommand: readonly string[]): string => {
    const key = subcommand.join(' ')
    const help =
      helps.get(key) ??
      execFileSync(process.execPath, [command, ...subcommand, '--help'], { encoding: 'utf8' })
    helps.set(key, help)
    return help
  }
  /** Names in the `Commands:` part of a help text, aliases included. */
  const subcommandsOf = (help: string): Set<string> => {
    const part = /^Commands:\n((?: .*\n|\n)*)/m.exec(`${help}\n`)?.[1] ?? ''
    return new Set([...part.matchAll(/^ {2}([\w|-]+)/gm)].flatMap((match) => match[1]!.split('|')))
  }

  it('are checked against what a help text lists', () => {
    const help =
      'Usage: x\n\nCommands:\n  start [options]   runs\n  topic|topics      names\n\nSee: y\n  no such\n'
    expect([...subcommandsOf(help)]).toEqual(['start', 'topic', 'topics'])
  })

  const ours = commands.flatMap(({ words, name }) => {
    const start = words.indexOf('millrace')
    const isOurs = start === 0 || (start > 0 && words[0] === 'npx')
    return isOurs ? [{ name, words: words.slice(start + 1) }] : []
  })

  it.skipIf(!isBuilt).each(ours)('$name is in the help of the command', ({ words }) => {
    const subcommand: string[] = []
    let help = helpOf([])
    const flags = new Set<string>()
    let isPath = true
    for (const word of words) {
      if (word.startsWith('-')) flags.add(word.split('=', 1)[0]!)
      isPath &&= subcommandsOf(help).has(word)
      if (!isPath) continue
      subcommand.push(word)
      help = helpOf(subcommand)
    }
    const isNamed = subcommand.length > 0 || words.length === 0 || words[0]!.startsWith('-')
    expect(isNamed, `millrace ${words.join(' ')} names no subcommand`).toBe(true)
    const known = `${help}\n${helpOf([])}`
    const unknown = [...flags].filter((flag) => !new RegExp(`(^|[\\s,])${flag}([\\s,=]|$)`, 'm').test(known))
    expect(unknown).toEqual([])
  })

  const scripts = commands.flatMap(({ words, name }) => {
    if (words[0] !== 'npm') return []
    const script = words[1] === 'run' ? words[2] : words[1]
    return words[1] === 'run' || script === 'test' || script === 'start' ? [{ name, script: script! }] : []
  })

  it.each(scripts)('$name is a script of the package', ({ script }) => {
    expect(Object.keys(manifest.scripts)).toContain(script)
  })
})

describe('the reader of documents', () => {
  const markdown = [
    '# A `b` c, d!',
    '# A b c d',
    'See [x](y.md#z) and `[not](a-link)` and `src/log/`.',
    '```sh',
    '$ npx millrace start \\',
    '    --port 0 && npm test # why',
    'kcat -b a | wc',
    '```',
    '| a | b |',
    '| --- | --- |',
    '| 1  | `2` |',
    '',
  ].join('\n')

  it('finds samples and the commands in them with their lines', () => {
    const [sample] = findSamples(markdown)
    expect(sample).toMatchObject({ language: 'sh', line: 5 })
    expect(findCommands(sample!)).toEqual([
      { words: ['npx', 'millrace', 'start', '--port', '0'], line: 5 },
      { words: ['npm', 'test'], line: 5 },
      { words: ['kcat', '-b', 'a'], line: 7 },
      { words: ['wc'], line: 7 },
    ])
  })

  it('finds links, anchors, paths and tables', () => {
    expect(findLinks(markdown)).toEqual([{ target: 'y.md#z', line: 3 }])
    expect([...findAnchors(markdown)]).toEqual(['a-b-c-d', 'a-b-c-d-1'])
    expect(findPaths(markdown)).toEqual([{ target: 'src/log/', line: 3 }])
    expect(findTable(markdown, ['a', 'b'])).toEqual([['1', '`2`']])
    expect(findTable(markdown, ['a', 'c'])).toBeNull()
  })
})
