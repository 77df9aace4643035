/** The verdict on real processes can fail: what is planted here is reported, and without it nothing is. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { silentLogger } from '../../src/env/logger.ts'
import { Prng } from '../../src/env/sim/prng.ts'
import { Client } from '../../src/index.ts'
import { ClusterLoad } from '../support/cluster-load.ts'
import { ClusterProcesses } from '../support/cluster-processes.ts'
import { seedFromEnv } from '../support/seed.ts'
import { temporaryDirectory } from '../support/temp-directory.ts'
import { damage, flipBit } from './damage.ts'
import { judgeReads, judgeReplicas } from './verdict.ts'

const TOPIC = 'judged'
const PARTITIONS = 2
/** Enough for segments that are closed. */
const RECORDS = 800

const seed = seedFromEnv('verdict of chaos')

it('a record that was never written, one that nobody sent, a flipped bit and a damaged segment of a stopped broker are reported', async () => {
  const random = new Prng(String(seed), 'verdict')
  const cluster = await ClusterProcesses.forTest({
    directory: temporaryDirectory('verdict'),
    settings: { 'log.segment.bytes': '16384' },
  })
  await using client = new Client({ bootstrap: cluster.bootstrap, logger: silentLogger })
  await client.admin().createTopics([{ name: TOPIC, partitions: PARTITIONS, replicationFactor: 3 }])
  const load = new ClusterLoad({ seed, topic: TOPIC, partitions: PARTITIONS })
  const producer = client.producer()
  load.writeWith('ours', producer)
  await load.more(RECORDS)
  await load.stop()
  const readAll = () => load.judge(client.consumer({ topics: [TOPIC], from: 'beginning', untilEnd: true }))

  const { faults, aboveHighWatermark, ends } = await readAll()
  expect(judgeReads(faults)).toEqual([])
  expect(aboveHighWatermark).toEqual([])

  // A record that was never written, and an acknowledgement for it; one that nobody says to have sent.
  load.history.acknowledged(load.history.sent('ours', `${TOPIC}-0`, 'ours:never', 'content'), ends[0]! - 1)
  await producer.send({ topic: TOPIC, partition: 1, value: 'foreign:0 unknown' })
  const planted = await readAll()
  expect(judgeReads(planted.faults)).toEqual([
    expect.objectContaining({ kind: 'other', message: expect.stringMatching(/^foreign: judged-1: foreign:0 was sent by nobody/) as string }), // prettier-ignore
    expect.objectContaining({ kind: 'lost', message: expect.stringMatching(/^lost: judged-0: ours:never was acknowledged/) as string }), // prettier-ignore
  ])

  await client.close()
  await cluster.stop()
  expect(await judgeReplicas(cluster.directories, TOPIC, planted.ends)).toEqual([])

  // One bit on one disk; then segments of another.
  const log = join(cluster.directories[1]!, `${TOPIC}-0`)
  const segment = readdirSync(log).filter((name) => name.endsWith('.log')).sort()[0]! // prettier-ignore
  flipBit(join(log, segment), random)
  const flipped = await judgeReplicas(cluster.directories, TOPIC, planted.ends)
  expect(flipped.map(({ kind }) => kind)).toContain('diverged')
  expect(flipped.every(({ message }) => message.includes(log))).toBe(true)

  const directory = cluster.directories[2]!
  const damaged = await damage('bits', { directory, topic: TOPIC, seed, saved: '' })
  expect(damaged).not.toEqual([])
  const cut = await judgeReplicas([cluster.directories[0]!, directory], TOPIC, planted.ends)
  expect(cut.map(({ kind }) => kind)).toContain('diverged')
}, 60_000)
