/** Lines for a terminal of 120 columns. */

export const COLUMNS = 120

/** Breaks a line between words; what goes on is indented by `indent`. A word that is too long is cut. */
export function wrapText(line: string, indent: number, columns = COLUMNS): string[] {
  const lines: string[] = []
  let rest = line
  while (rest.length > columns) {
    const space = rest.lastIndexOf(' ', columns)
    const at = space > indent ? space : columns
    lines.push(rest.slice(0, at).trimEnd())
    rest = ' '.repeat(indent) + rest.slice(at).trimStart()
  }
  return [...lines, rest]
}
