import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { SKELETON_SOCKET, skeletonNode } from '../../../bench/limits/skeleton-node.ts'

describe('skeletonNode()', () => {
  it.each(['os', 'disk'] as const)(
    'acknowledges what all nodes have written, and all write the same (%s)',
    async (durability) => {
      const directory = mkdtempSync(join(tmpdir(), 'bench-skeleton-'))
      const nodes = await Promise.all([skeletonNode(), skeletonNode(), skeletonNode()])
      const [leader, ...followers] = nodes
      await leader.follow(followers.map((node) => node.port()))
      for (const [index, node] of nodes.entries())
        node.begin({ path: join(directory, String(index)), durability })
      const producer = new WebSocket(`ws://127.0.0.1:${leader.port()}`, SKELETON_SOCKET)
      await once(producer, 'open')

      const batches = Array.from({ length: 20 }, (_, index) => Buffer.alloc(1000, index))
      const acknowledged: number[] = []
      const all = new Promise<void>((resolve) => {
        producer.on('message', (message: Buffer) => {
          acknowledged.push(message.readDoubleLE())
          if (acknowledged.at(-1) === batches.length) resolve()
        })
      })
      for (const batch of batches) producer.send(batch)
      await all
      const receipts = nodes.map((node) => node.end())

      expect(acknowledged).toEqual(acknowledged.toSorted((a, b) => a - b))
      expect(receipts.map(({ bytes }) => bytes)).toEqual([20_000, 20_000, 20_000])
      expect(new Set(receipts.map(({ crc }) => crc)).size).toBe(1)
      expect(readdirSync(directory)).toEqual([])
      producer.terminate()
      rmSync(directory, { recursive: true })
    },
  )
})
