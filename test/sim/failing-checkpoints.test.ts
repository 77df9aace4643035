/** Failed writes beside the logs: they end the data directory as those of a log do (docs/faults.md D4, ST-7). */
import { describe, expect, it } from 'vitest'
import { NO_FAILURE } from '../../src/log/file-names.ts'
import { HOME, SimBroker } from '../broker/support/sim-broker.ts'

const CHECKPOINT = '__cluster_metadata-0/recovery-point-offset-checkpoint'

describe('D4: the recovery point of the metadata log', () => {
  it.each(['create', 'append', 'sync', 'rename'] as const)(
    'that fails to be written at a %s stops the broker, and the next start believes nothing that it reads',
    async (kind) => {
      const host = await SimBroker.start({ seed: `recovery point ${kind}` })
      const { disk } = host.node
      expect(disk.contents(`${HOME}/${NO_FAILURE}`)).not.toBeNull()
      disk.fail({ kind, path: (path) => path.includes(CHECKPOINT) })
      await host.createTopic('t')
      expect(await host.run(host.broker.stopped)).toMatchObject({ code: 'QUORUM_FAILED' })
      expect(disk.contents(`${HOME}/${NO_FAILURE}`)).toBeNull()
      expect(disk.contents(`${HOME}/.kafka_cleanshutdown`)).toBeNull()
    },
  )
})
