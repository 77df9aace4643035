/**
 * What outlasts a single fault of a storm: an operator who does one thing after another and waits for each, what must end
 * with the storm, and a count of what happened (marks.ts).
 *
 * An operator's work may take long, and meet other faults: it asks again until it is done, or until the cluster refuses for
 * good. The storm's end waits for it.
 */
import { ClientError } from '../../../src/client/client-error.ts'
import type { Admin } from '../../../src/client/admin.ts'
import type { Client } from '../../../src/client/client.ts'
import type { Place } from '../support/cluster-clients.ts'
import type { Death, Host, SimCluster } from '../support/sim-cluster.ts'
import { Atlas } from './atlas.ts'

/** After the storm every work that was begun is done within this, in virtual ms. */
const WORK_MS_MAX = 120_000
/** How often somebody who waits looks, in ms. */
const LOOK_MS = 50

export class Scene {
  readonly cluster: SimCluster
  readonly places: readonly Place[]
  readonly atlas: Atlas
  /** How often each path was taken. */
  readonly marks = new Map<string, number>()
  /** The storm is over: faults that go on by themselves must not. */
  isOver = false
  readonly #endings: (() => void)[] = []
  readonly #afterwards: { readonly name: string; readonly task: () => Promise<void> }[] = []
  readonly #works = new Set<string>()
  readonly #failures: string[] = []
  #count = 0
  #client: Client | null = null

  constructor(cluster: SimCluster, places: readonly Place[]) {
    this.cluster = cluster
    this.places = places
    this.atlas = new Atlas(cluster)
  }

  mark(name: string, count = 1): void {
    this.marks.set(name, (this.marks.get(name) ?? 0) + count)
  }

  /** A number that no other fault of this life has. */
  nextNumber(): number {
    return this.#count++
  }

  /** Switched off when the storm ends, at the latest. */
  atEnd(ending: () => void): void {
    this.#endings.push(ending)
  }

  /** Done after the storm, when the cluster is whole again. */
  afterwards(name: string, task: () => Promise<void>): void {
    this.#afterwards.push({ name, task })
  }

  /** Something that takes its time, once at a time. What a client is refused ends it; any other error fails the life. */
  work(name: string, task: () => Promise<void>, counts = true): void {
    if (this.#works.has(name)) return
    this.#works.add(name)
    task()
      .then(
        () => {
          if (counts) this.mark(`${name}: done`)
        },
        (error: unknown) => {
          if (error instanceof ClientError) this.mark(`${name}: ${error.code}`)
          else this.#failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`)
        },
      )
      .finally(() => this.#works.delete(name))
  }

  /** What must not happen, happened. */
  fail(problem: string): void {
    this.#failures.push(problem)
  }

  get admin(): Admin {
    this.#client ??= this.cluster.client('administrator')
    return this.#client.admin()
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.cluster.simulation.schedule(ms, 'wakes', resolve))
  }

  /** @returns Whether it became so within the time. */
  async until(isSo: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.cluster.simulation.nowMs + limitMs
    while (!isSo()) {
      if (this.cluster.simulation.nowMs >= endMs) return false
      await this.sleep(LOOK_MS)
    }
    return true
  }

  /** Ends a life of a broker. A clean stop that something else cuts short never says so: its machine shows it. */
  async endLife(host: Host, how: Death): Promise<void> {
    const { generation } = host.node
    let isOver = false
    void this.cluster.end(host, how).then(() => (isOver = true))
    await this.until(() => isOver || !host.node.isUp || host.node.generation !== generation, WORK_MS_MAX)
  }

  /** Asks again until it is done. @throws {ClientError} The last refusal, after the time or one that is `isFinal`. */
  async insist<T>(
    ask: () => Promise<T>,
    limitMs: number,
    isFinal: (code: string) => boolean = () => false,
  ): Promise<T> {
    const endMs = this.cluster.simulation.nowMs + limitMs
    for (;;) {
      try {
        return await ask()
      } catch (error) {
        const isOver = this.cluster.simulation.nowMs >= endMs
        if (!(error instanceof ClientError) || isOver || isFinal(error.code)) throw error
        await this.sleep(10 * LOOK_MS)
      }
    }
  }

  /** The storm ends: nothing of it goes on. Synchronous, so that what is healed stays so. */
  end(): void {
    this.isOver = true
    for (const ending of this.#endings.splice(0)) ending()
  }

  /** Lets every work come to its end. */
  async settle(): Promise<void> {
    await this.cluster.run(() => this.#works.size === 0, WORK_MS_MAX)
    this.check()
  }

  /** What was put off until the cluster is whole. */
  async finish(): Promise<void> {
    for (const { name, task } of this.#afterwards.splice(0)) this.work(name, task, false)
    await this.settle()
    if (this.#client !== null) await this.cluster.run(this.#client.close())
  }

  check(): void {
    if (this.#failures.length > 0) throw new Error(this.#failures.join('\n'))
  }

  /** What has not come to its end, for the message of a failure. */
  describe(): string {
    return [...this.#works].join(', ')
  }
}
