/** Finds what was meant by a name that does not exist, for "did you mean …". */

/** Longer names are compared by their beginning: a suggestion is not worth more work. */
const COMPARED_LENGTH_MAX = 100

/** The known name that fewest edits lead to, or null when none is near enough to have been meant. */
export function nearestName(name: string, known: Iterable<string>): string | null {
  const wanted = name.slice(0, COMPARED_LENGTH_MAX).toLowerCase()
  let best: string | null = null
  let bestDistance = Math.max(2, Math.floor(wanted.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(wanted, candidate.slice(0, COMPARED_LENGTH_MAX).toLowerCase())
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best
}

/** Edits are: insert, delete, replace, and swap of two neighbours (the usual slip of fingers). */
function editDistance(from: string, to: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i++) {
    const row = [i]
    for (let j = 1; j <= to.length; j++) {
      const isSame = from[i - 1] === to[j - 1]
      let distance = Math.min(last[j - 1]! + (isSame ? 0 : 1), last[j]! + 1, row[j - 1]! + 1)
      const isSwap = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]
      if (isSwap) distance = Math.min(distance, beforeLast[j - 2]! + 1)
      row.push(distance)
    }
    beforeLast = last
    last = row
  }
  return last[to.length]!
}
