/** What a run has done so far, and how that is told: a line while it goes on, a report at its end. */
import type { FaultKind } from '../support/log-checker.ts'

export const TALLIED = [
  'kills',
  'pauses',
  'restarts',
  'partitions',
  'one-way partitions',
  'network faults',
  'disk faults',
  'corruptions',
  'damaged files',
  'power cuts',
] as const
/** One-way partitions are partitions, too. */
export type Tallied = (typeof TALLIED)[number]

/** What must be empty. */
export interface Verdict {
  readonly faults: readonly { readonly kind: VerdictKind; readonly message: string }[]
}

export const VERDICT_KINDS = [
  'lost',
  'duplicated',
  'reordered',
  'diverged',
  'read above the high watermark',
  'other',
] as const
export type VerdictKind = (typeof VERDICT_KINDS)[number]

/** The checker's words, in those of the verdict. */
export const KIND_OF: Readonly<Record<FaultKind, VerdictKind>> = {
  lost: 'lost',
  unseen: 'lost',
  duplicated: 'duplicated',
  reordered: 'reordered',
  'went-back': 'reordered',
  skipped: 'lost',
  inconsistent: 'diverged',
  misplaced: 'diverged',
  corrupted: 'other',
  foreign: 'other',
  refused: 'other',
}

/** Faults that a report tells in full, of each kind. */
const TOLD_MAX = 10

export class Tally {
  readonly #counts = new Map<Tallied, number>()
  /** By kind of act: how often each form of it came. */
  readonly #forms = new Map<string, number>()

  add(what: Tallied, count = 1): void {
    this.#counts.set(what, this.of(what) + count)
  }

  /** @param form - Such as `disk: slow sync`. */
  addForm(form: string): void {
    this.#forms.set(form, (this.#forms.get(form) ?? 0) + 1)
  }

  of(what: Tallied): number {
    return this.#counts.get(what) ?? 0
  }

  /** Every kind with its count, those that never came included. */
  line(): string {
    return TALLIED.map((what) => `${what} ${this.of(what)}`).join(', ')
  }

  forms(): string {
    return [...this.#forms]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([form, count]) => `${form} ${count}`)
      .join(', ')
  }
}

export interface Outcome {
  readonly seed: number
  readonly brokers: number
  readonly tookMs: number
  readonly tally: Tally
  /** What this machine does not allow, with the reason. */
  readonly skipped: readonly string[]
  readonly acknowledged: number
  readonly handledByGroup: number
  readonly writers: readonly string[]
  readonly longestGapMs: number
  readonly verdict: Verdict
  /** Where everything was kept; null when all is well. */
  readonly keptIn: string | null
  readonly again: string
}

export function formatOutcome(outcome: Outcome): string {
  const { tally, verdict, skipped, keptIn } = outcome
  const count = (kind: VerdictKind): number => verdict.faults.filter((fault) => fault.kind === kind).length
  return [
    `chaos: seed ${outcome.seed}, ${outcome.brokers} brokers, ${(outcome.tookMs / 1000).toFixed(0)} s`,
    `  done: ${tally.line()}`,
    `  forms: ${tally.forms()}`,
    ...skipped.map((what) => `  skipped: ${what}`),
    `  checked: ${outcome.acknowledged} acknowledged records of ${outcome.writers.join(', ')}; ${outcome.handledByGroup} handled by a group`,
    `  longest time without an acknowledgement of some partition: ${(outcome.longestGapMs / 1000).toFixed(1)} s`,
    `  verdict: ${VERDICT_KINDS.map((kind) => `${kind} ${count(kind)}`).join(', ')}`,
    ...VERDICT_KINDS.flatMap((kind) => told(verdict, kind)),
    ...(keptIn === null ? [] : [`  kept: ${keptIn}`, `  again: ${outcome.again}`]),
    verdict.faults.length === 0 ? 'chaos: ok' : 'chaos: FAILED',
  ].join('\n')
}

function told({ faults }: Verdict, kind: VerdictKind): string[] {
  const messages = faults.filter((fault) => fault.kind === kind).map(({ message }) => message)
  const rest = messages.length - TOLD_MAX
  return [
    // Of a message of many lines the rest is in the file beside the data.
    ...messages.slice(0, TOLD_MAX).map((message) => `    ${kind}: ${message.split('\n', 3).join(' | ')}`),
    ...(rest > 0 ? [`    ${kind}: ${rest} more`] : []),
  ]
}
