/** The sums of a run, and how they are told at its end. */
import { counted, humanCount, humanDuration } from '../../../cli/human.ts'
import { MarkCounts } from '../life/marks.ts'
import type { LifeSummary } from './lives.ts'
import { wrapText } from './wrap.ts'

const HOUR_MS = 3_600_000
/** Where the text of a row begins. */
const INDENT = 14

interface Costly {
  readonly seed: number
  readonly cpuMs: number
}

export class Tally {
  readonly marks = new MarkCounts()
  readonly faults = new Map<string, number>()
  lives = 0
  failed = 0
  events = 0
  acked = 0
  virtualMs = 0
  cpuMs = 0
  readonly #costs: Costly[] = []

  add(summary: LifeSummary): void {
    const { seed, cpuMs } = summary
    this.lives++
    if (summary.failure !== null) this.failed++
    this.events += summary.events
    this.acked += summary.ackedCount
    this.virtualMs += summary.virtualMs
    this.cpuMs += cpuMs
    this.#costs.push({ seed, cpuMs })
    this.marks.add(summary.marks)
    for (const [kind, count] of summary.faults) this.faults.set(kind, (this.faults.get(kind) ?? 0) + count)
  }

  get faultCount(): number {
    return [...this.faults.values()].reduce((sum, count) => sum + count, 0)
  }

  /** @param realMs - How long the run took. @param jobs - How many processes it had. */
  format(realMs: number, jobs: number): string {
    const { lives } = this
    const rows: [string, string][] = [
      [
        'lives',
        `${humanCount(lives)} in ${humanDuration(realMs)} by ${counted(jobs, 'process', 'processes')}`,
      ],
    ]
    if (lives > 0)
      rows.push(
        [
          'simulated',
          `${hours(this.virtualMs)}; ${times(this.virtualMs, this.cpuMs)} real time a core, ${times(this.virtualMs, realMs)} in all`,
        ],
        ['a life', this.#describeLife()],
        ['cost of one', this.#describeCosts()],
        ['events', humanCount(this.events)],
        ['records', `${humanCount(this.acked)} acknowledged and checked`],
        ['faults', `${humanCount(this.faultCount)}: ${descending(this.faults).join(', ')}`],
      )
    return rows.flatMap(([name, text]) => wrapText(`  ${name.padEnd(INDENT - 2)}${text}`, INDENT)).join('\n')
  }

  #describeLife(): string {
    const each = (sum: number): number => sum / this.lives
    const seconds = (each(this.virtualMs) / 1000).toFixed(1)
    return [
      `${seconds} s simulated`,
      `${each(this.faultCount).toFixed(1)} faults`,
      `${humanCount(Math.round(each(this.events)))} events`,
      `${humanCount(Math.round(each(this.acked)))} records`,
    ].join(', ')
  }

  /** Of the processor: what else the machine did does not count. */
  #describeCosts(): string {
    const costs = this.#costs.toSorted((a, b) => a.cpuMs - b.cpuMs)
    const at = (share: number): Costly => costs[Math.min(costs.length - 1, Math.floor(share * costs.length))]!
    const ms = (value: number): string => `${humanCount(Math.round(value))} ms`
    const slowest = costs.at(-1)!
    return [
      `${ms(this.cpuMs / this.lives)} of a core`,
      `half below ${ms(at(0.5).cpuMs)}`,
      `nine in ten below ${ms(at(0.9).cpuMs)}`,
      `at most ${ms(slowest.cpuMs)} (seed ${slowest.seed})`,
      `${((1000 * this.cpuMs) / Math.max(1, this.events)).toFixed(1)} µs an event`,
    ].join(', ')
  }
}

function hours(ms: number): string {
  return `${(ms / HOUR_MS).toFixed(ms < HOUR_MS ? 2 : 1)} h`
}

function times(virtualMs: number, realMs: number): string {
  return `${Math.round(virtualMs / Math.max(1, realMs))}×`
}

function descending(counts: ReadonlyMap<string, number>): string[] {
  return [...counts].sort((a, b) => b[1] - a[1]).map(([name, count]) => `${name} ${humanCount(count)}`)
}
