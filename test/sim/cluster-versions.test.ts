/**
 * Nodes of other versions, hand-made: what a cluster says to one that it cannot talk to, what it agrees on with one that
 * knows more, and what a node does whose cluster has moved on. And clocks that have lost the time.
 */
import { describe, expect, it } from 'vitest'
import type { BrokerError } from '../../src/broker/broker-error.ts'
import type { Connection, Env } from '../../src/env/index.ts'
import { encodeRequest } from '../../src/protocol/frame.ts'
import { DiallerHandshake } from '../../src/rpc/peer-handshake.ts'
import { decodePeerMessage, encodePeerMessage, refusalMessage } from '../../src/rpc/peer-messages.ts'
import type { PeerHello, PeerMessage } from '../../src/rpc/peer-messages.ts'
import { proofKey } from '../../src/rpc/peer-proof.ts'
import { ClusterLoad } from './support/cluster-load.ts'
import { CLUSTER_ID, formatSaid, PORT, SimCluster, startBroker } from './support/sim-cluster.ts'

const id = (text: string): string => text.padEnd(21, 'x') + 'A'
const YEAR_MS = 365 * 86_400_000

/** A connection of a node that nobody has proven yet, and what comes over it. */
async function dial(
  cluster: SimCluster,
  env: Env,
): Promise<{ connection: Connection; frames: Uint8Array[]; ends: string[] }> {
  const connection = await cluster.run(
    env.network.connect(`ws://b1:${PORT}/`, {
      ...{ timeoutMs: 5000, messageBytesMax: 2 ** 20, sendHighWaterBytes: 2 ** 20 },
      subprotocol: 'millrace-peer',
    }),
  )
  const frames: Uint8Array[] = []
  const ends: string[] = []
  connection.onMessage = (frame) => void frames.push(frame.slice())
  connection.onClose = (reason) => void ends.push(reason)
  return { connection, frames, ends }
}

const hello = (changes: Partial<PeerHello>): Uint8Array =>
  encodePeerMessage({
    ...{ kind: 'PeerHello', versionMin: 1, versionMax: 1, clusterId: CLUSTER_ID, fromNodeId: 4 },
    ...{ fromDirectoryId: id('disk4'), fromIncarnationId: id('life4'), toNodeId: 1, purpose: 1 },
    nonce: id('nonce'),
    ...changes,
  })

/** What a broker answers to the first message of a node. */
async function answerTo(cluster: SimCluster, changes: Partial<PeerHello>): Promise<PeerMessage> {
  const { connection, frames } = await dial(cluster, cluster.simulation.env('b4'))
  connection.send([hello(changes)])
  await cluster.run(() => frames.length > 0)
  connection.close()
  return decodePeerMessage(frames[0]!)
}

describe('a node of another version', () => {
  it('is refused by name of the versions when none is in common, older or newer', async () => {
    const cluster = await SimCluster.start()
    for (const [versionMin, versionMax] of [
      [0, 0],
      [2, 9],
    ] as const)
      // prettier-ignore
      expect(await answerTo(cluster, { versionMin, versionMax })).toMatchObject({
        kind: 'PeerRefusal',
        reason: `peer versions ${versionMin} to ${versionMax} are offered, known here are 1 to 1`,
      })
    const told = cluster.saidSince(0).map(formatSaid).join('\n')
    expect(told).toMatch(/ b1 warn Refused a node of the cluster .*PEER_WRONG_VERSION/)
    await cluster.untilWhole()
  })

  it('that knows more agrees on what both know', async () => {
    const cluster = await SimCluster.start()
    expect(await answerTo(cluster, { versionMin: 1, versionMax: 9 })).toMatchObject({
      ...{ kind: 'PeerChallenge', version: 1 },
    })
  })

  it('that wants a connection for what is not known here is told so', async () => {
    const cluster = await SimCluster.start()
    expect(await answerTo(cluster, { purpose: 99 })).toMatchObject({
      ...{ kind: 'PeerRefusal', reason: 'nothing is known here of purpose 99' },
    })
  })

  it('that asks in a version of a request that is not known here loses its connection, and nothing else', async () => {
    const cluster = await SimCluster.start()
    const { connection, frames, ends } = await dial(cluster, cluster.simulation.env('b4'))
    const self = { clusterId: CLUSTER_ID, nodeId: 4, directoryId: id('disk4'), incarnationId: id('life4') }
    const key = proofKey(cluster.settings['cluster.secret']!)
    const context = { isLoopback: false, nonce: id('nonce'), admits: () => null }
    const handshake = new DiallerHandshake({ ...self, key }, context, 1, 'control')
    let step = handshake.start()
    while (step.kind === 'say') {
      const count = frames.length
      connection.send([step.frame])
      await cluster.run(() => frames.length > count)
      step = handshake.receive(frames.at(-1)!)
    }
    expect(step.kind).toBe('done')
    const request = encodeRequest('AllocateProducerIds', 0, 7, 'b4', { brokerId: 4, brokerEpoch: 1 })
    const frame = Uint8Array.from(request.flatMap((piece) => [...piece]))
    frame[3] = 99 // API version, the second of the two 16-bit numbers that a request begins with

    connection.send([frame])
    await cluster.run(() => ends.length > 0)

    const told = cluster.said.map(formatSaid).join('\n')
    expect(told).toMatch(/ b1 \w+ .*API key 67 in version 99/)
    await cluster.untilWhole()
  })

  it('whose cluster has moved on gives up, and says so', async () => {
    const cluster = new SimCluster()
    const limits = {
      ...{ acceptsPerTurnMax: 10, connectionsMax: 100, connectionsPerAddressMax: 100, handshakeMs: 1000 },
      ...{
        idleMs: 60_000,
        messageBytesMax: 100_000,
        messageMs: 10_000,
        sendHighWaterBytes: 100_000,
        sendStallMs: 10_000,
      },
    }
    for (const name of ['b1', 'b2']) {
      const { network } = cluster.simulation.env(name)
      const refusal = { code: 'PEER_WRONG_VERSION', reason: 'peer versions 1 to 1 are offered, known here are 8 to 9' } as const // prettier-ignore
      await network.listen(
        { host: name, port: PORT, protocols: ['websocket'], origins: [], limits, takesPeers: true },
        (connection) => {
          connection.onMessage = () => {
            connection.send([encodePeerMessage(refusalMessage(refusal))])
            connection.close()
          }
        },
      )
    }
    const starting = startBroker(cluster.host(3).node.env, 3, cluster.settings).then(
      () => 'it serves',
      (error: unknown) => `${(error as BrokerError).code}: ${(error as Error).message}`,
    )
    expect(await cluster.run(starting)).toMatch(
      /^BROKER_REFUSED: .*nodes 1, 2 refused: .*known here are 8 to 9.*\. Run versions of millrace that are closer to each other$/,
    )
  })
})

it('F-CLK: wall clocks that jump by decades, ahead and back, change no leader, fence nobody and let no record go', async () => {
  const cluster = await SimCluster.start({ settings: { 'log.retention.check.interval.ms': '1000' } })
  const topic = 'orders'
  await cluster.createTopic(topic, {
    assignments: [[1, 2, 3], [2, 3, 1], [3, 1, 2]], // prettier-ignore
    // A leader whose clock is behind refuses what is dated ahead of it unless it is told not to, as Kafka's does (KIP-937).
    configs: {
      ...{ 'segment.bytes': '1024', 'retention.ms': '3600000' },
      'message.timestamp.after.max.ms': String(Number.MAX_SAFE_INTEGER),
    },
  })
  const places = [0, 1, 2].map((partition) => ({ topic, partition }))
  const load = new ClusterLoad(cluster, { places, producers: [{}], consumers: [100_000] })
  await load.progress(60)
  const fromMs = cluster.simulation.nowMs
  const epochsOf = () => places.map(({ partition }) => cluster.partition(topic, partition).leaderEpoch)
  const epochs = epochsOf()

  for (const { node } of cluster.hosts)
    for (const jumpMs of [50 * YEAR_MS, -90 * YEAR_MS]) {
      node.time.jumpWall(jumpMs)
      await load.progress(10)
      await cluster.pass(1200)
    }
  for (const { node } of cluster.hosts) node.time.jumpWall(90 * YEAR_MS)
  await load.progress(20)
  await cluster.pass(3000)

  expect(epochsOf()).toEqual(epochs)
  const elections = cluster.said.filter(
    ({ atMs, message }) => atMs > fromMs && /Metadata quorum role|Controller is|fenced|silent/.test(message),
  )
  expect(elections.map(formatSaid)).toEqual([])
  expect(cluster.isWhole, cluster.describe()).toBe(true)
  await load.finish()
})
