/**
 * The producer and the tail of the demo, and what they saw. A record's value is its number; so the log tells by itself what
 * is missing, there twice, or out of order.
 */
import type { Client, Consumer, Producer } from '../src/index.ts'

/** Records a second: easy to follow by eye, and enough that something is always on its way when the leader dies. */
export const RATE = 500
const TICK_MS = 10

export interface Verdict {
  readonly acknowledged: number
  /** Records that the tail was given, live. */
  readonly tailed: number
  /** Records in the log, read from the beginning at the end. */
  readonly read: number
  /** Acknowledged, and not in the log or not given to the tail. */
  readonly lost: number
  /** In the log, or given to the tail, more than once. */
  readonly duplicated: number
  /** In the log after one that was sent later. */
  readonly reordered: number
  readonly longestGapMs: number
}

export class DemoLoad {
  readonly #client: Client
  readonly #topic: string
  readonly #producer: Producer
  readonly #tail: Consumer
  readonly #tailed: number[] = []
  readonly #acknowledged = new Set<number>()
  readonly #pending = new Set<Promise<void>>()
  #sentCount = 0
  #lastAckMs = 0
  #longestGapMs = 0
  #timer: NodeJS.Timeout | null = null
  #tailing: Promise<void> = Promise.resolve()

  constructor(client: Client, topic: string) {
    this.#client = client
    this.#topic = topic
    this.#producer = client.producer({ acks: 'all' })
    this.#tail = client.consumer({ topics: [topic], from: 'beginning' })
  }

  get acknowledgedCount(): number {
    return this.#acknowledged.size
  }

  get tailedCount(): number {
    return this.#tailed.length
  }

  /** Longest time between two acknowledgements, the present wait included, in ms. */
  get longestGapMs(): number {
    return this.#timer === null
      ? this.#longestGapMs
      : Math.max(this.#longestGapMs, performance.now() - this.#lastAckMs)
  }

  start(): void {
    const startMs = performance.now()
    this.#lastAckMs = startMs
    this.#timer = setInterval(() => {
      // By the clock, not by ticks: a tick that comes late brings all that are due.
      const dueCount = Math.floor(((performance.now() - startMs) * RATE) / 1000)
      while (this.#sentCount < dueCount) this.#send()
    }, TICK_MS)
    this.#tailing = this.#follow()
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** Waits for what is on its way and for the tail, reads the log from the beginning, and compares. */
  async finish(): Promise<Verdict> {
    this.stop()
    await Promise.all(this.#pending)
    const log: number[] = []
    const reader = this.#client.consumer({ topics: [this.#topic], from: 'beginning', untilEnd: true })
    for await (const { value } of reader) log.push(numberOf(value))
    await reader.close()
    while (this.#tailed.length < log.length) await new Promise((resolve) => setTimeout(resolve, TICK_MS))
    await this.#tail.close()
    await this.#tailing
    const inLog = new Set(log)
    const tailed = new Set(this.#tailed)
    const acknowledged = [...this.#acknowledged]
    return {
      acknowledged: acknowledged.length,
      tailed: this.#tailed.length,
      read: log.length,
      lost: acknowledged.filter((number) => !inLog.has(number) || !tailed.has(number)).length,
      duplicated: log.length - inLog.size + (this.#tailed.length - tailed.size),
      reordered: log.filter((number, index) => index > 0 && number < log[index - 1]!).length,
      longestGapMs: this.#longestGapMs,
    }
  }

  #send(): void {
    const number = this.#sentCount++
    const sent = this.#producer.send({ topic: this.#topic, value: String(number) }).then(
      () => this.#acked(number),
      () => undefined, // Not acknowledged, so not promised: it counts for nothing.
    )
    this.#pending.add(sent)
    void sent.then(() => this.#pending.delete(sent))
  }

  #acked(number: number): void {
    const nowMs = performance.now()
    this.#longestGapMs = Math.max(this.#longestGapMs, nowMs - this.#lastAckMs)
    this.#lastAckMs = nowMs
    this.#acknowledged.add(number)
  }

  async #follow(): Promise<void> {
    try {
      for await (const { value } of this.#tail) this.#tailed.push(numberOf(value))
    } catch {
      // Closed while it waited; whatever it missed is counted as lost.
    }
  }
}

function numberOf(value: Uint8Array | null): number {
  return Number(Buffer.from(value ?? []).toString())
}
