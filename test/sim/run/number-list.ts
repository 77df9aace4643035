/** Numbers of acts as people type them: `3,5,8-12`. */

/** @throws {RangeError} What is wrong with it. */
export function parseNumbers(text: string): Set<number> {
  const numbers = new Set<number>()
  for (const part of text.split(',')) {
    const found = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part.trim())
    if (found === null)
      throw new RangeError(`numbers and ranges such as 3,5,8-12 are wanted: got ${JSON.stringify(part)}`)
    const [first, last] = [Number(found[1]), Number(found[2] ?? found[1])]
    if (last < first) throw new RangeError(`a range goes up: got ${part}`)
    for (let number = first; number <= last; number++) numbers.add(number)
  }
  return numbers
}

export function formatNumbers(numbers: Iterable<number>): string {
  const sorted = [...numbers].sort((a, b) => a - b)
  const parts: string[] = []
  for (let index = 0; index < sorted.length;) {
    let last = index
    while (sorted[last + 1] === sorted[last]! + 1) last++
    parts.push(last === index ? `${sorted[index]!}` : `${sorted[index]!}-${sorted[last]!}`)
    index = last + 1
  }
  return parts.join(',')
}
