/** Does the message of a check say what was broken? */
import type { PlantedBug } from './planted-bug.ts'

/** What checks say in words instead of an invariant's name: the kinds of test/support/log-checker.ts, and limits of time. */
const WORDS: readonly (readonly [words: RegExp, invariants: readonly string[]])[] = [
  [/^(lost|unseen): /m, ['R1', 'R2', 'R13', 'R11', 'D1', 'G4']],
  [/^duplicated: /m, ['P1', 'P2', 'P4']],
  [/^reordered: /m, ['P1', 'P2']],
  [/^refused: /m, ['R13']],
  [/^misplaced: /m, ['R13', 'R1', 'P1', 'P4']],
  [/^inconsistent: /m, ['R4', 'R9', 'R16', 'R1', 'R8']],
  [/^(skipped|went-back): /m, ['R9', 'R8']],
  [/^(corrupted|foreign): /m, ['R9', 'R16', 'M9', 'P4']],
  [/the goal is not met/, ['S3', 'G8']],
]

/** Invariants and scenarios that a message is about, by name or in words. */
export function namedIn(message: string): ReadonlySet<string> {
  const named = new Set(message.match(/\b(?:[RDMPGST]|[A-Z]{2}-)\d{1,2}\b/g) ?? [])
  for (const [words, invariants] of WORDS)
    if (words.test(message)) for (const invariant of invariants) named.add(invariant)
  return named
}

/** Whether a message names something that a bug was expected to break. */
export function isAsExpected(
  message: string,
  { breaks, scenarios }: Pick<PlantedBug, 'breaks' | 'scenarios'>,
): boolean {
  const named = namedIn(message)
  return [...breaks, ...scenarios].some((each) => named.has(each))
}
