/** Snapshots of the metadata in a whole cluster, taken as often as the setting says. */
import { describe, expect, it } from 'vitest'
import { imageHash } from '../../src/metadata/snapshot.ts'
import { SimCluster } from './support/sim-cluster.ts'

const WRITTEN = 'Metadata snapshot is written'
const INSTALLED = 'Metadata snapshot of the leader is in place of the log'

async function live(settings: Readonly<Record<string, string>>) {
  const cluster = await SimCluster.start({ settings })
  const said: { readonly node: string; readonly message: string }[] = []
  cluster.listeners.push((line) => said.push(line))
  const away = cluster.hosts.find((host) => host !== cluster.controller)!
  cluster.kill(away, 'crash')
  for (let index = 0; index < 12; index++) await cluster.createTopic(`t${index}`, { replicationFactor: 2 })
  await cluster.run(cluster.revive(away))
  await cluster.untilWhole()
  return { cluster, away, has: (message: string) => said.filter((line) => line.message === message) }
}

describe('Snapshots of the metadata', () => {
  it('M6: are written after so many bytes, and take the place of the log at a broker that was away', async () => {
    const { cluster, away, has } = await live({ 'metadata.log.max.record.bytes.between.snapshots': '1000' })
    expect(has(WRITTEN).length).toBeGreaterThan(2)
    expect(has(INSTALLED).map(({ node }) => node)).toEqual([away.name])
    const hashes = cluster.hosts.map(({ broker }) => imageHash(broker!.image))
    expect(new Set(hashes).size).toBe(1)
  })

  it('are not needed by a broker that was away for less than they stand for', async () => {
    const { has } = await live({})
    expect([...has(WRITTEN), ...has(INSTALLED)]).toEqual([])
  })
})
