/** What processes of a run say to each other: lives that are asked for, and what came of them. */
import type { Cuts } from '../life/life.ts'

export interface LifeTask extends Cuts {
  readonly seed: number
  readonly groupChance?: number
  /** Give the events that matter, as lines (timeline.ts). */
  readonly wantsTimeline?: boolean
}

/** A life as it is counted. */
export interface LifeSummary {
  readonly seed: number
  /** Why it failed, the name of what was violated first; null: it did not. */
  readonly failure: string | null
  readonly phase: string
  /** Of all its events (S7). */
  readonly hash: string
  readonly events: number
  readonly virtualMs: number
  /** Of the processor, for this life. */
  readonly cpuMs: number
  readonly ackedCount: number
  /** Acts that happened, by kind. */
  readonly faults: ReadonlyMap<string, number>
  readonly marks: ReadonlyMap<string, number>
  /** Acts that the weather had, cuts or not. */
  readonly actCount: number
  /** Weather and state at the end, of a life that failed. */
  readonly story: Story | null
  readonly timeline: readonly string[] | null
}

export interface Story {
  readonly weather: string
  /** The numbers of the acts that happened. */
  readonly acts: readonly number[]
  readonly producers: number
  readonly consumers: number
  readonly hasGroup: boolean
  /** When the storm began and was to end, and when the life ended, in virtual ms. */
  readonly stormAtMs: number
  readonly stormEndMs: number
  readonly endMs: number
  readonly state: string
}

/** Runs lives somewhere. Never rejects: what goes wrong is the failure of a life. */
export type LiveLife = (task: LifeTask) => Promise<LifeSummary>

/** Of a life of which nothing came back. */
export function lostLife({ seed }: LifeTask, failure: string): LifeSummary {
  return {
    seed,
    failure,
    phase: 'start',
    hash: '',
    events: 0,
    virtualMs: 0,
    cpuMs: 0,
    ackedCount: 0,
    faults: new Map(),
    marks: new Map(),
    actCount: 0,
    story: null,
    timeline: null,
  }
}

/**
 * What failed, without its particulars: two lives with the same symptom are taken to fail for the same reason. The identifier of
 * what was violated (R2, S7, lost-write) if the message begins with one; else what was attempted, without numbers and addresses.
 */
export function symptomOf({ failure, phase }: Pick<LifeSummary, 'failure' | 'phase'>): string | null {
  if (failure === null) return null
  const named = /^([A-Z]+-?\d+[a-z]?|[a-z]+(?:-[a-z]+)+|duplicate|unseen): /.exec(failure)
  if (named !== null) return named[1]!
  const [first = ''] = failure.split('\n')
  const text = first.replace(/^Ran seed [^:]*: /, '').replace(/\b\w+:\d+(, )?/g, '')
  const [attempted = ''] = text.split(': ')
  return `${phase}: ${attempted.replace(/\d+(\.\d+)?/g, '#').trim()}`
}
