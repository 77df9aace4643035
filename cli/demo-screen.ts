/**
 * What the demo draws. On a terminal one picture that changes in place, under it what happened; elsewhere only lines: what
 * happened, and the counts once in a while.
 *
 *   broker 1  leader     in sync      localhost:40001  process 4711
 *   broker 2  follower   in sync      …
 *   broker 3  killed     out of sync  …
 *
 *   acks      ▇▇▇▇▇▇▇▇▁▁▁▁▁▁█▇▇▇▇▇▇▇  1,234
 *   tail      ▇▇▇▇▇▇▇▇▁▁▁▁▁▁█▇▇▇▇▇▇▇  1,230
 */
import { RATE } from './demo-load.ts'
import type { DemoLoad } from './demo-load.ts'
import type { DemoBroker } from './demo-cluster.ts'
import { humanCount, humanDuration } from './human.ts'
import { displayWidth, fit } from './terminal.ts'
import type { Terminal } from './terminal.ts'

/** Between two pictures, in ms; one bar of the charts is as long. */
const FRAME_MS = 250
/** Between two lines of counts where there is no picture, in ms. */
const LINE_MS = 2000
/** Bars that are kept: the whole demo, as far as the screen is wide enough. */
const BARS_MAX = 80
const BARS = '▁▂▃▄▅▆▇█'

export interface ClusterSeen {
  readonly brokers: readonly DemoBroker[]
  readonly leader: number | null
  readonly isr: readonly number[]
}

export class DemoScreen {
  readonly #out: Terminal
  readonly #startMs = performance.now()
  readonly #notes: string[] = []
  #seen: ClusterSeen = { brokers: [], leader: null, isr: [] }
  #load: DemoLoad | null = null
  #ackBars: number[] = []
  #tailBars: number[] = []
  #ackedBefore = 0
  #tailedBefore = 0
  #drawnLines = 0
  readonly #timer: NodeJS.Timeout

  constructor(out: Terminal) {
    this.#out = out
    this.#timer = setInterval(() => this.#tick(), out.isTty ? FRAME_MS : LINE_MS)
  }

  update(seen: ClusterSeen): void {
    this.#seen = seen
  }

  /** From now on there are counts to show. */
  watch(load: DemoLoad): void {
    this.#load = load
  }

  /** Something happened. */
  note(text: string): void {
    const line = `${((performance.now() - this.#startMs) / 1000).toFixed(1).padStart(6)} s  ${text}`
    this.#notes.push(line)
    if (this.#out.isTty) this.#draw()
    else void this.#out.line(line)
  }

  /** The last picture stays. */
  stop(): void {
    clearInterval(this.#timer)
    if (this.#out.isTty) this.#draw()
  }

  #tick(): void {
    if (this.#load !== null) this.#count(this.#load)
    if (this.#out.isTty) this.#draw()
    else if (this.#load !== null) {
      const { acknowledgedCount, tailedCount } = this.#load
      const seconds = ((performance.now() - this.#startMs) / 1000).toFixed(1).padStart(6)
      void this.#out.line(`${seconds} s  ${acknowledgedCount} acknowledged, ${tailedCount} read`)
    }
  }

  #count({ acknowledgedCount, tailedCount }: DemoLoad): void {
    this.#ackBars = [...this.#ackBars, acknowledgedCount - this.#ackedBefore].slice(-BARS_MAX)
    this.#tailBars = [...this.#tailBars, tailedCount - this.#tailedBefore].slice(-BARS_MAX)
    this.#ackedBefore = acknowledgedCount
    this.#tailedBefore = tailedCount
  }

  #draw(): void {
    const out = this.#out
    const lines = [
      out.style('bold', 'Millrace: three brokers, acks=all, and a kill -9'),
      '',
      ...this.#seen.brokers.map((broker) => this.#brokerLine(broker)),
      '',
      ...(this.#load === null ? [] : this.#loadLines(this.#load)),
      ...this.#notes.map((note) => out.style('dim', fit(note, out.width - 1))),
    ]
    const up = this.#drawnLines === 0 ? '' : `\u001b[${this.#drawnLines}A`
    void out.write(`${up}\r\u001b[J${lines.join('\n')}\n`)
    this.#drawnLines = lines.length
  }

  #brokerLine({ id, port, pid }: DemoBroker): string {
    const out = this.#out
    const { leader, isr } = this.#seen
    const role = pid === null ? 'killed' : id === leader ? 'leader' : 'follower'
    const roleText = out.style(pid === null ? 'red' : id === leader ? 'green' : 'dim', role.padEnd(9))
    // The metadata says "in sync" until somebody notices that the broker is dead.
    const sync = !isr.includes(id) ? 'out of sync' : pid === null ? 'unnoticed' : 'in sync'
    const syncText = out.style(sync === 'in sync' ? 'green' : 'yellow', sync.padEnd(12))
    const where = out.style('dim', `localhost:${port}${pid === null ? '' : `  process ${pid}`}`)
    return `  broker ${id}  ${roleText}  ${syncText}  ${where}`
  }

  #loadLines(load: DemoLoad): readonly string[] {
    const rows: readonly (readonly [string, readonly number[], number])[] = [
      ['acks', this.#ackBars, load.acknowledgedCount],
      ['tail', this.#tailBars, load.tailedCount],
    ]
    const gap = `  longest time without an acknowledgement: ${humanDuration(load.longestGapMs)}`
    return [
      ...rows.map(([title, bars, count]) => this.#chart(title, bars, count)),
      this.#out.style('dim', gap),
      '',
    ]
  }

  #chart(title: string, bars: readonly number[], count: number): string {
    const head = `  ${title}  `
    const tail = `  ${humanCount(count)}`
    const width = Math.max(0, this.#out.width - 1 - displayWidth(head) - displayWidth(tail))
    // Full height is twice the rate: what waited comes at once when somebody leads again, and is cut.
    const full = (RATE * FRAME_MS * 2) / 1000
    const chart = bars
      .slice(width === 0 ? bars.length : -width)
      .map((value) => BARS[Math.min(BARS.length - 1, Math.round((value / full) * (BARS.length - 1)))]!)
      .join('')
    return `${head}${this.#out.style('cyan', chart)}${tail}`
  }
}
