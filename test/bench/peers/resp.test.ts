import { describe, expect, it } from 'vitest'
import { encodeCommand, RespReader, type RespToken } from '../../../bench/peers/resp.ts'

/** Tokens as text, since their bytes are borrowed. */
function tokensOf(chunks: readonly Buffer[]): string[] {
  const reader = new RespReader()
  const tokens: string[] = []
  const onToken = (token: RespToken): void => {
    const told = 'bytes' in token ? token.bytes.toString() : 'value' in token ? token.value : token.text
    tokens.push(`${token.kind} ${told}`)
  }
  for (const chunk of chunks) reader.read(chunk, onToken)
  return tokens
}

describe('RespReader', () => {
  const reply = Buffer.from('*2\r\n$3\r\na\r\n\r\n:15\r\n+OK\r\n-ERR no\r\n$0\r\n\r\n')
  const tokens = ['array 2', 'bytes a\r\n', 'number 15', 'text OK', 'error ERR no', 'bytes ']

  it('gives every token once, wherever the reply is cut', () => {
    expect(tokensOf([reply])).toEqual(tokens)
    for (let cut = 0; cut <= reply.length; cut++) {
      expect(tokensOf([reply.subarray(0, cut), reply.subarray(cut)])).toEqual(tokens)
    }
    expect(tokensOf(Array.from(reply, (byte) => Buffer.of(byte)))).toEqual(tokens)
  })
})

describe('encodeCommand()', () => {
  it('counts bytes, not characters', () => {
    expect(encodeCommand(['SET', 'ä', Buffer.of(13, 10)]).toString()).toBe(
      '*3\r\n$3\r\nSET\r\n$2\r\nä\r\n$2\r\n\r\n\r\n',
    )
  })
})
