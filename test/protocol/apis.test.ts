/** The table of APIs. */
import { describe, expect, test } from 'vitest'
import { apiList, apis, clientApiList, findApi, isServed } from '../../src/protocol/apis.ts'

describe('apis', () => {
  test('are listed by ascending number, each under its own name', () => {
    const keys = apiList.map((api) => api.key)
    expect(keys).toEqual([
      0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 32, 33, 35, 37, 42, 43, 44, 45,
      46, 47, 55, 56, 60, 62, 63, 64, 67, 68, 69, 74, 75, 80, 81, 1000, 1001, 1002, 1003,
    ])
    for (const [name, api] of Object.entries(apis)) expect(api.name).toBe(name)
  })

  test('messages are named after their API', () => {
    for (const api of apiList) {
      expect(api.request.name).toBe(`${api.name}Request`)
      expect(api.response.name).toBe(`${api.name}Response`)
    }
  })

  test('Produce is announced from version 0 and served from 3, every other API as it is served', () => {
    expect(apis.Produce.advertised).toEqual({ first: 0, last: 13 })
    expect(apis.Produce.versions).toEqual({ first: 3, last: 13 })
    for (const api of clientApiList) if (api !== apis.Produce) expect(api.advertised).toEqual(api.versions)
  })

  test('X4: what is for peers is announced in no version, and served to peers only', () => {
    const peerApis = apiList.filter((api) => api.audience === 'peer')
    expect(peerApis.map(({ key }) => key)).toEqual(expect.arrayContaining([56, 62, 63, 67]))
    for (const { key, advertised, versions } of peerApis) {
      expect(advertised.first).toBeGreaterThan(advertised.last)
      expect(isServed(key, versions.last)).toBe(false)
      expect(isServed(key, versions.last, 'peer')).toBe(true)
    }
    expect(clientApiList.length + peerApis.length).toBe(apiList.length)
  })

  test('X28: a number or version that nobody declared is found nowhere', () => {
    for (const key of [-1, -32768, 4, 17, 76, 32767, 0.5, NaN]) expect(findApi(key) ?? null).toBeNull()
    expect(isServed(0, 2)).toBe(false)
    expect(isServed(0, 3)).toBe(true)
    expect(isServed(1, 18)).toBe(true)
    expect(isServed(1, 19)).toBe(false)
    expect(isServed(18, -1)).toBe(false)
    expect(isServed(4, 0)).toBe(false)
  })
})
