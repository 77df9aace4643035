/** The names of what is promised, and of the scenarios that break it in others (docs/faults.md; the letters are explained there). */

/** Invariants that some check sees to. A planted bug must violate each of them, or nobody knows whether the check works. */
export const INVARIANTS: readonly string[] = [
  ...numbered('R', 1, 16),
  ...numbered('D', 1, 8),
  ...numbered('M', 1, 6),
  ...numbered('M', 8, 11),
  ...['P1', 'P2', 'P4'],
  ...numbered('G', 1, 8),
  ...['S1', 'S2', 'S3', 'S4', 'S6', 'S7', 'S8'],
]

/**
 * Not planted: transactions (T1 to T6, P3) do not exist yet, stalls (S5) are measured elsewhere, as is what S1 says of memory, and a
 * leader of the quorum has no step by which it could take a snapshot (M7).
 */
export const UNPLANTED: readonly string[] = [...numbered('T', 1, 6), 'P3', 'S5', 'M7']

/** Those that a naive implementation gets wrong first: each has a planted bug at least. TX-8 waits for transactions. */
export const TOP_SCENARIOS: readonly string[] = [
  ...['RP-1', 'RP-2', 'RP-3', 'RP-5', 'RP-6', 'RP-11', 'RP-12'],
  ...['ST-1', 'ST-2', 'ST-3', 'ST-6', 'ST-7'],
  ...['MQ-1', 'TX-1', 'TX-3', 'CG-1'],
]

export const SCENARIOS: readonly string[] = [
  ...numbered('RP-', 1, 23),
  ...numbered('ST-', 1, 17),
  ...numbered('MQ-', 1, 13),
  ...numbered('TX-', 1, 6),
  ...numbered('CG-', 1, 10),
]

function numbered(letters: string, first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, index) => `${letters}${first + index}`)
}
