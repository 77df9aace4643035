/** What consumers are given of a log with batches that hold no record. */
import { expect, it } from 'vitest'
import { readPastEmpty } from '../../src/log/read-past-empty.ts'
import { fillerBatch } from '../../src/records/batch-filter.ts'
import { makeBatch, openLog, simulate } from './support.ts'

function placed(baseOffset: number): Uint8Array {
  const batch = makeBatch()
  const view = new DataView(batch.buffer, batch.byteOffset)
  view.setBigInt64(0, BigInt(baseOffset))
  view.setInt32(12, 0)
  return batch
}

it('goes past answers without any record, however small they must be, and gives the last where nothing else is left', async () => {
  const { simulation, env } = simulate('past empty')
  const log = await simulation.runUntil(openLog(env))
  const batches = [
    fillerBatch(0, 5, 0),
    fillerBatch(5, 6, 0),
    placed(6),
    fillerBatch(7, 9, 0),
    placed(9),
    fillerBatch(10, 12, 0),
  ]
  log.appendAsFollower(Buffer.concat(batches))
  const read = (offset: number, end = 12, bytesMax = 1) =>
    simulation.runUntil(Promise.resolve(readPastEmpty(log, offset, end, bytesMax, true)))
  expect(await read(0)).toMatchObject({ startOffset: 6, endOffset: 7 })
  expect(await read(3)).toMatchObject({ startOffset: 6, endOffset: 7 })
  expect(await read(3, 12, 1e6)).toMatchObject({ startOffset: 0, endOffset: 12 })
  expect(await read(7)).toMatchObject({ startOffset: 9, endOffset: 10 })
  expect(await read(10)).toMatchObject({ startOffset: 10, endOffset: 12 })
  expect(await read(0, 6)).toMatchObject({ bytes: 61, startOffset: 0 })
  expect(await read(12)).toMatchObject({ bytes: 0 })
})
