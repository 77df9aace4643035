import { describe, expect, it } from 'vitest'
import { brokerAddress, parseBootstrap } from '../../src/client/address.ts'

const urls = (bootstrap: string | string[]) => parseBootstrap(bootstrap).map(({ url }) => url)

describe('parseBootstrap', () => {
  it('reads hosts, WebSocket addresses and names in the process', () => {
    expect(urls('localhost:9092, other')).toEqual(['tcp://localhost:9092', 'tcp://other:9092'])
    expect(urls(['ws://host:1/log', 'wss://host'])).toEqual(['ws://host:1/log', 'wss://host'])
    expect(urls('in-process://a')).toEqual(['in-process://a'])
    expect(urls('[::1]:9092')).toEqual(['tcp://[::1]:9092'])
  })

  it.each(['', 'http://host:1', 'host:0', 'host:70000', 'host:x', 'tcp://host:1/path', 'a b'])(
    'refuses %j',
    (text) => {
      expect(() => parseBootstrap(text)).toThrow('Cannot read the bootstrap list')
    },
  )
})

describe('brokerAddress', () => {
  const via = (bootstrap: string) => brokerAddress(parseBootstrap(bootstrap)[0]!, 'b2', 7).url

  it('reaches a broker the way the bootstrap address was reached', () => {
    expect(via('host:1')).toBe('tcp://b2:7')
    expect(via('ws://host:1/log')).toBe('ws://b2:7/log')
    expect(via('wss://host')).toBe('wss://b2:7')
    expect(via('in-process://x')).toBe('in-process://b2')
    expect(brokerAddress(parseBootstrap('host:1')[0]!, '::1', 7).url).toBe('tcp://[::1]:7')
  })
})
