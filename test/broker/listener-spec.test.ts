import { describe, expect, it } from 'vitest'
import { formatListenerSpec, parseListenerSpec, parseListenerSpecs } from '../../src/broker/listener-spec.ts'

describe('parseListenerSpec', () => {
  it.each([
    ['any://127.0.0.1:9092', { name: 'any', protocol: 'any', host: '127.0.0.1', port: 9092 }],
    ['kafka://localhost:0', { name: 'kafka', protocol: 'kafka', host: 'localhost', port: 0 }],
    ['inner=http://[::1]:65535', { name: 'inner', protocol: 'http', host: '::1', port: 65_535 }],
  ])('reads %s, and writes it back', (text, spec) => {
    expect(parseListenerSpec(text)).toEqual(spec)
    expect(formatListenerSpec(parseListenerSpec(text)!)).toBe(text)
  })

  it.each([
    '',
    'localhost:9092',
    'any://localhost',
    'any://:9092',
    'any://h:65536',
    'tls://h:1',
    'a b=any://h:1',
  ])('refuses %j', (text) => expect(parseListenerSpec(text)).toBeUndefined())

  it('refuses a list in which two listeners have one name', () => {
    expect(parseListenerSpecs('any://a:1,any://b:2')).toBeUndefined()
    expect(parseListenerSpecs('any://a:1, other=any://b:2')).toHaveLength(2)
  })
})
