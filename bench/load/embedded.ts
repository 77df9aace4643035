/**
 * Brokers and a client in one process, started once: how long until the first record is on disk, and, of a cluster of three
 * in memory as tests start it, until three replicas have it.
 */
import { Client, startBroker } from '../../src/index.ts'
import { Cluster } from '../../src/testing.ts'

export interface EmbeddedStart {
  /** From the call of `startBroker` until it serves, in ms. */
  readonly readyMs: number
  /** From the call of `startBroker` until the first record was acknowledged, in ms. */
  readonly firstAckMs: number
  /** Offset of the record. */
  readonly offset: number
}

/** Names a listener of this process; see `src/node/in-process.ts`. */
const HOST = 'bench.in-process'

export async function embedded(): Promise<{
  start(directory: string): Promise<EmbeddedStart>
  startCluster(): Promise<EmbeddedStart>
}> {
  return {
    startCluster: async () => {
      const startMs = performance.now()
      const cluster = await Cluster.start()
      const readyMs = performance.now() - startMs
      const client = cluster.client()
      const { offset } = await client.producer().send({ topic: 'first', value: 'hello' })
      const firstAckMs = performance.now() - startMs
      await client.close()
      await cluster.close()
      return { readyMs, firstAckMs, offset }
    },
    start: async (directory) => {
      const settings = { listeners: `bench=kafka://${HOST}:1`, 'log.dir': directory }
      const flags = new Map(Object.entries(settings).map(([key, value]) => [key, { value, flag: key }]))
      const startMs = performance.now()
      const broker = await startBroker({ flags, logLevel: 'silent' })
      const readyMs = performance.now() - startMs
      const client = new Client({ bootstrap: `in-process://${HOST}` })
      const { offset } = await client.producer().send({ topic: 'first', value: 'hello' })
      const firstAckMs = performance.now() - startMs
      await client.close()
      await broker.close()
      return { readyMs, firstAckMs, offset }
    },
  }
}
