/**
 * Logs that a broker finds at its start and that no topic of the cluster claims: they are set aside, while the cluster goes on.
 */
import { expect, it } from 'vitest'
import { USUAL_LATENCY } from '../../src/env/sim/sim-disk.ts'
import { DIRECTORY, SimCluster } from './support/sim-cluster.ts'

/** Of names on the disk that sets logs aside: longer than a change of metadata takes. */
const SLOW_MS = [40, 50] as const

it('R2: a replica that comes back while strays are set aside has a log of its own, which the next start finds', async () => {
  const cluster = await SimCluster.start({ seed: 'a stray that is wanted again', brokers: 4 })
  const client = cluster.client('operator')
  const admin = client.admin()
  const producer = client.producer()
  const host = cluster.host(4)
  const move = (topic: string, replicas: readonly number[]) =>
    admin.alterPartitionReassignments([{ topic, partition: 0, replicas }])
  const inSync = (topic: string) => cluster.partition(topic).isr
  for (const topic of ['first', 'second']) {
    await cluster.createTopic(topic, { assignments: [[1, 2, 4]] })
    await cluster.run(producer.send({ topic, value: 'x', partition: 0 }))
  }
  await cluster.run(cluster.end(host, 'close'))
  for (const topic of ['first', 'second']) {
    await cluster.run(move(topic, [1, 2, 3]))
    await cluster.run(() => inSync(topic).includes(3) && !cluster.partition(topic).replicas.includes(4))
  }

  // As soon as one is set aside, the other is given back.
  let again = ''
  let moving: Promise<unknown> | null = null
  host.node.disk.onOperation = (_number, kind, path) => {
    const isFirst = path === `${DIRECTORY}/first-0`
    if (moving !== null || kind !== 'rename' || (!isFirst && path !== `${DIRECTORY}/second-0`)) return
    again = isFirst ? 'second' : 'first'
    host.node.disk.latency = { ...USUAL_LATENCY, names: SLOW_MS }
    moving = move(again, [1, 2, 4])
  }
  await cluster.run(cluster.revive(host))
  host.node.disk.latency = USUAL_LATENCY
  await cluster.run(moving!)
  await cluster.run(() => inSync(again).includes(4))
  expect(host.node.disk.find(`${DIRECTORY}/${again}-0`)?.kind).toBe('directory')

  await cluster.restart(host, 'close')
  await cluster.untilWhole()
  const found = host.broker!.view.partitions.lookupReplica(again, 0)
  expect(typeof found === 'string' ? found : found.log.logEndOffset).toBe(1)
  await cluster.run(client.close())
})
