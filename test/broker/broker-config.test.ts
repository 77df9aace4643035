import { describe, expect, it } from 'vitest'
import { explainBrokerConfig, loadBrokerConfig } from '../../src/broker/broker-config.ts'

const flag = (name: string, value: string, text: string) => new Map([[name, { value, flag: text }]])

describe('loadBrokerConfig', () => {
  it('has a default for every setting, and listens on loopback only', () => {
    const config = loadBrokerConfig()
    expect(config.listeners).toEqual([{ name: 'any', protocol: 'any', host: '127.0.0.1', port: 9092 }])
    expect(config.autoCreateTopicsEnable).toBe(true)
    expect(config.given.size).toBe(0)
  })

  it('lets flags win over the environment, and that over the file', () => {
    const file = {
      path: 'b.properties',
      text: '# a comment\nlog.dir = from-file\nnode.id=2\nnum.partitions=3\n',
    }
    const environment = new Map([
      ['MILLRACE_LOG_DIR', 'from-environment'],
      ['MILLRACE_NODE_ID', '4'],
      ['PATH', '/bin'],
    ])
    const sources = { file, environment, flags: flag('node.id', '5', '--set node.id') }
    const config = loadBrokerConfig(sources)
    expect([config.nodeId, config.dataDirectory, config.numPartitions]).toEqual([5, 'from-environment', 3])
    const explained = new Map(explainBrokerConfig(sources).map((row) => [row.name, row.source]))
    expect(explained.get('node.id')).toBe('--set node.id')
    expect(explained.get('log.dir')).toBe('MILLRACE_LOG_DIR')
    expect(explained.get('num.partitions')).toBe('b.properties:4')
    expect(explained.get('listeners')).toBe('default')
  })

  it.each([
    [
      { environment: new Map([['MILLRACE_NODE_IDD', '1']]) },
      'there is no such key; the nearest is node.id (from MILLRACE_NODE_IDD)',
    ],
    [
      { file: { path: 'x', text: 'node.id=one' } },
      'Cannot set node.id to "one": it must be a whole number from 0 to 2147483647 (from x:1)',
    ],
    [{ file: { path: 'x', text: 'node.id' } }, 'Cannot read x:1: expected key=value, found "node.id"'],
    [
      { flags: flag('listeners', 'any://nowhere', '--listen') },
      'Cannot set listeners to "any://nowhere": it must be a comma-separated list of any://HOST:PORT',
    ],
  ])('says where a wrong setting came from and what is allowed: %#', (sources, message) => {
    expect(() => loadBrokerConfig(sources)).toThrow(message)
  })

  it('leaves the variables of the command line alone', () => {
    expect(() => loadBrokerConfig({ environment: new Map([['MILLRACE_BOOTSTRAP', 'x:1']]) })).not.toThrow()
  })
})
