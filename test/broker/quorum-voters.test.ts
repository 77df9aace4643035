import { describe, expect, it } from 'vitest'
import { parseQuorumVoters, peerUrl } from '../../src/broker/quorum-voters.ts'
import { staticConfigShape } from '../../src/broker/static-config.ts'

describe('parseQuorumVoters', () => {
  it('reads nodes with their addresses, in the order given', () => {
    expect(parseQuorumVoters('3@a.example:9092, 1@127.0.0.1:1,0@[::1]:65535')).toEqual([
      { nodeId: 3, host: 'a.example', port: 9092 },
      { nodeId: 1, host: '127.0.0.1', port: 1 },
      { nodeId: 0, host: '::1', port: 65_535 },
    ])
    expect(parseQuorumVoters('')).toEqual([])
  })

  it.each([
    ...['1', '1@', '@a:1', 'a:1', '1@a', '1@a:0', '1@a:65536', '1@::1:9', '-1@a:1', '2147483648@a:1'],
    ...['1@a:1,', '1@a:1,1@b:1', '1@a:1,2@a:1', '1@ws://a:1', '1@a:1/x'],
    Array.from({ length: 16 }, (_, id) => `${id}@a:${id + 1}`).join(),
  ])('refuses %j', (text) => expect(parseQuorumVoters(text)).toBeUndefined())

  it('gives the URL at which nodes are dialled', () => {
    expect(parseQuorumVoters('1@a:9092,2@[::1]:9093')!.map(peerUrl)).toEqual([
      'ws://a:9092/',
      'ws://[::1]:9093/',
    ])
  })
})

describe('settings of a cluster', () => {
  it('X27: the secret is sensitive, and one that can be guessed is refused', () => {
    const { clusterSecret } = staticConfigShape
    expect(clusterSecret.isSensitive).toBe(true)
    expect(clusterSecret.parse('')).toBeNull()
    expect(clusterSecret.parse('fifteen letters')).toBeUndefined()
    expect(clusterSecret.parse('sixteen letters!')).toBe('sixteen letters!')
  })

  it('a rack is a name, or none', () => {
    const { rack } = staticConfigShape
    expect(rack.parse('')).toBeNull()
    expect(rack.parse('eu-1a')).toBe('eu-1a')
    expect(rack.parse('x'.repeat(256))).toBeUndefined()
  })
})
