/** Metrics of groups: what is told of lag, and that no name and no number of groups does harm. */
import { describe, expect, it } from 'vitest'
import { GROUP_NAME_LENGTH_MAX, GROUP_OFFSETS_MAX, groupFamilies } from '../../src/broker/group-metrics.ts'
import type { GroupCensus } from '../../src/broker/group-metrics.ts'
import { renderFamily } from '../../src/broker/metric-family.ts'
import { makeBatch, produceRequest } from './support/batches.ts'
import { SimBroker } from './support/sim-broker.ts'

const place = (groupId: string, offset: number, partition = 0) => ({ groupId, topic: 't', partition, offset })

function render(offsets: GroupCensus['offsets'], end: number | null = 10): string {
  const partition = end === null ? null : { highWatermark: end }
  return groupFamilies({ groups: [], loadingCount: 0, offsets }, () => partition)
    .map(renderFamily)
    .join('')
}

describe('The metrics of groups', () => {
  it('tell the committed offset, and the lag where the end is known', () => {
    const labels = '{consumergroup="g",partition="0",topic="t"}'
    const known = render([place('g', 4)])
    expect(known).toContain(`\nkafka_consumergroup_current_offset${labels} 4\n`)
    expect(known).toContain(`\nkafka_consumergroup_lag${labels} 6\n`)
    const unknown = render([place('g', 4)], null)
    expect(unknown).toContain(`\nkafka_consumergroup_current_offset${labels} 4\n`)
    expect(unknown).not.toContain('\nkafka_consumergroup_lag{')
  })

  it('tell no lag below zero when a log was cut below what was committed', () => {
    expect(render([place('g', 12)])).toMatch(/\nkafka_consumergroup_lag\{[^}]*\} 0\n/)
  })

  it('escape names of groups, so that none forges a label or a line', () => {
    const text = render([place('a"} 1\nforged{x="\\', 1)])
    expect(text).toContain('{consumergroup="a\\"} 1\\nforged{x=\\"\\\\",partition="0",topic="t"}')
    expect(text).not.toMatch(/^forged/m)
  })

  it('stay bounded, and count what they leave out', () => {
    const many = Array.from({ length: GROUP_OFFSETS_MAX + 3 }, (_, partition) => place('g', 0, partition))
    const text = render([place('n'.repeat(GROUP_NAME_LENGTH_MAX + 1), 0), ...many])
    expect(text.match(/^kafka_consumergroup_lag\{/gm)).toHaveLength(GROUP_OFFSETS_MAX)
    expect(text).toContain('\nmillrace_group_offsets_hidden 4\n')
    expect(render(many.slice(3))).toContain('\nmillrace_group_offsets_hidden 0\n')
  })

  it('follow commits and appends of a broker, and forget topics that are deleted', async () => {
    const host = await SimBroker.start({ seed: 'group metrics' })
    await host.createTopic('orders', 2)
    await host.call('FindCoordinator', 1, { keyType: 0, key: 'g' })
    for (let count = 0; count < 3; count++)
      await host.call('Produce', 9, produceRequest({ name: 'orders', partition: 1 }, makeBatch()))
    const partitions = [{ partitionIndex: 1, committedOffset: 1, committedMetadata: null }]
    await host.call('OffsetCommit', 8, { groupId: 'g', topics: [{ name: 'orders', partitions }] })
    const lag = 'kafka_consumergroup_lag{consumergroup="g",partition="1",topic="orders"}'
    expect(host.broker.metrics()).toContain(`${lag} 2\n`)
    await host.call('Produce', 9, produceRequest({ name: 'orders', partition: 1 }, makeBatch()))
    expect(host.broker.metrics()).toContain(`${lag} 3\n`)
    await host.call('DeleteTopics', 1, { topicNames: ['orders'], timeoutMs: 1000 })
    expect(host.broker.metrics()).not.toContain('consumergroup="g"')
  })
})
