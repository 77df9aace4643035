/**
 * Reads the project's documents for `test/docs.test.ts`: fenced samples, links, anchors and tables, each with its line.
 * Knows the Markdown that the project writes, not all of CommonMark: fences of three backticks, inline links, ATX
 * headings.
 */

export interface Sample {
  /** First word after the fence, such as `ts` or `sh`. */
  readonly language: string
  readonly text: string
  /** Line of the sample's first line within its document, from 1. */
  readonly line: number
}

export interface Link {
  readonly target: string
  readonly line: number
}

interface Line {
  readonly text: string
  readonly number: number
  /** The fence's language while inside one, else null. */
  readonly fence: string | null
}

function* eachLine(markdown: string): Generator<Line> {
  let fence: string | null = null
  for (const [index, text] of markdown.split('\n').entries()) {
    const mark = /^\s*```(\S*)/.exec(text)
    if (mark) fence = fence === null ? mark[1]! : null
    else yield { text, number: index + 1, fence }
  }
}

/** The fenced blocks of a document, in order. */
export function findSamples(markdown: string): Sample[] {
  const samples: { language: string; lines: string[]; line: number }[] = []
  for (const { text, number, fence } of eachLine(markdown)) {
    if (fence === null) continue
    const last = samples.at(-1)
    if (last && last.line + last.lines.length === number) last.lines.push(text)
    else samples.push({ language: fence, lines: [text], line: number })
  }
  return samples.map(({ language, lines, line }) => ({ language, line, text: lines.join('\n') }))
}

/** Links of the form `[text](target)` outside of samples and of inline code. */
export function findLinks(markdown: string): Link[] {
  const links: Link[] = []
  for (const { text, number, fence } of eachLine(markdown)) {
    if (fence !== null) continue
    const prose = text.replace(/`[^`]*`/g, '')
    for (const match of prose.matchAll(/\]\(([^()\s]+)\)/g)) links.push({ target: match[1]!, line: number })
  }
  return links
}

/** Anchors that the headings of a document get on GitHub. */
export function findAnchors(markdown: string): Set<string> {
  const anchors = new Set<string>()
  for (const { text, fence } of eachLine(markdown)) {
    const heading = /^#{1,6} (.+?)\s*$/.exec(text)
    if (!heading || fence !== null) continue
    const slug = heading[1]!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-')
    let anchor = slug
    for (let copy = 1; anchors.has(anchor); copy++) anchor = `${slug}-${copy}`
    anchors.add(anchor)
  }
  return anchors
}

/** Paths of the project that a document names in inline code, such as `src/log/segment.ts` or `docs/`. */
export function findPaths(markdown: string): Link[] {
  const paths: Link[] = []
  for (const { text, number, fence } of eachLine(markdown)) {
    if (fence !== null) continue
    for (const match of text.matchAll(/`((?:src|cli|bench|test|docs|\.ci)\/[\w./-]*)`/g)) {
      paths.push({ target: match[1]!, line: number })
    }
  }
  return paths
}

/** Rows of the first table under a header row that has these cells, cells trimmed, the header left out. */
export function findTable(markdown: string, header: readonly string[]): string[][] | null {
  const cellsOf = (line: string): string[] =>
    line
      .replace(/^\s*\|/, '')
      .replace(/\|\s*$/, '')
      .split('|')
      .map((cell) => cell.trim())
  const lines = markdown.split('\n')
  const start = lines.findIndex(
    (line) => line.startsWith('|') && cellsOf(line).join('|') === header.join('|'),
  )
  if (start < 0) return null
  const rows: string[][] = []
  for (const line of lines.slice(start + 2)) {
    if (!line.startsWith('|')) break
    rows.push(cellsOf(line))
  }
  return rows
}

/** Command lines of a shell sample: prompts, comments and line continuations resolved, `&&` and pipes split. */
export function findCommands(sample: Sample): { readonly words: string[]; readonly line: number }[] {
  const commands: { words: string[]; line: number }[] = []
  const joined = sample.text.replace(/\\\n\s*/g, (gap) => ' '.repeat(gap.length - 1) + '\u0000')
  let line = sample.line
  for (const text of joined.split('\n')) {
    const bare = text
      .replaceAll('\u0000', ' ')
      .replace(/^\s*\$ /, '')
      .replace(/(^|\s)#.*$/, '')
    for (const command of bare.split(/&&|\|\|?|;/)) {
      const words = command.trim().split(/\s+/).filter(Boolean)
      if (words.length > 0) commands.push({ words, line })
    }
    line += 1 + text.split('\u0000').length - 1
  }
  return commands
}
