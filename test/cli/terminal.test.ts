/** What others wrote can do nothing to a terminal; columns are aligned; nobody gets colour who did not ask for it. */
import { Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { displayWidth, fit, printable, printableJson, Terminal } from '../../cli/terminal.ts'

function capture(isTTY: boolean): {
  stream: Writable & { isTTY: boolean; columns: number }
  text: () => string
} {
  const chunks: string[] = []
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk.toString())
      done()
    },
  })
  return { stream: Object.assign(stream, { isTTY, columns: 40 }), text: () => chunks.join('') }
}

describe('printable()', () => {
  it('escapes everything that could move a cursor, set a title or reorder text', () => {
    const hostile = '\u001b]0;owned\u0007\u009b2J\r\n\t\u202eabc\u2066\u007f\ufeff'
    expect(printable(hostile)).toBe('\\u001b]0;owned\\u0007\\u009b2J\\r\\n\\t\\u202eabc\\u2066\\u007f\\ufeff')
  })

  it('leaves text of any language and whole emoji alone, and escapes halves', () => {
    expect(printable('grüße 日本語 🎉')).toBe('grüße 日本語 🎉')
    expect(printable('\ud83c')).toBe('\\ud83c')
  })

  it('makes JSON harmless without changing what it says', () => {
    const value = { a: '\u009b2J\u202e\u007f' }
    const json = printableJson(JSON.stringify(value, null, 2))
    expect(json).not.toMatch(/[\u007f-\u009f\u202e]/)
    expect(JSON.parse(json)).toEqual(value)
  })
})

describe('displayWidth() and fit()', () => {
  it('count columns, not code units', () => {
    expect(displayWidth('日本')).toBe(4)
    expect(displayWidth('e\u0301')).toBe(1)
    expect(fit('日本語', 5)).toBe('日本…')
    expect(fit('short', 5)).toBe('short')
  })
})

describe('Terminal', () => {
  it.each([
    { isTTY: true, environment: {}, hasColour: true },
    { isTTY: true, environment: { NO_COLOR: '1' }, hasColour: false },
    { isTTY: true, environment: { NO_COLOR: '' }, hasColour: true },
    { isTTY: true, environment: { TERM: 'dumb' }, hasColour: false },
    { isTTY: false, environment: {}, hasColour: false },
  ])('with %j', ({ isTTY, environment, hasColour }) => {
    const terminal = new Terminal(capture(isTTY).stream, environment)
    expect(terminal.style('red', 'x') !== 'x').toBe(hasColour)
  })

  it('shows progress to people only', () => {
    const person = capture(true)
    const pipe = capture(false)
    new Terminal(person.stream, {}).overwrite('x'.repeat(100))
    new Terminal(pipe.stream, {}).overwrite('working')
    expect(person.text()).toBe(`\r\u001b[K${'x'.repeat(38)}…`)
    expect(pipe.text()).toBe('')
  })

  it('waits for a slow reader', async () => {
    let release: () => void = () => undefined
    const stream = new Writable({
      highWaterMark: 1,
      write(_chunk, _encoding, done) {
        release = done
      },
    })
    let isWritten = false
    const writing = new Terminal(stream, {}).write('much').then(() => (isWritten = true))
    await Promise.resolve()
    expect(isWritten).toBe(false)
    release()
    await writing
    expect(isWritten).toBe(true)
  })
})
