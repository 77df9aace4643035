/** docs/protocol.md says what the declarations say. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { apiList } from '../../src/protocol/apis.ts'
import { protocolDocument } from '../support/protocol-doc.ts'

const ROOT = join(import.meta.dirname, '../..')

test('docs/protocol.md is what the declarations generate (UPDATE_DOCS=1 writes it)', () => {
  const path = join(ROOT, 'docs/protocol.md')
  const generated = protocolDocument()
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(path, generated)
  expect(readFileSync(path, 'utf8')).toBe(generated)
})

test('the document names every API, and each file that it links is there', () => {
  const generated = protocolDocument()
  for (const api of apiList) expect(generated).toContain(`| ${api.name} `)
  for (const [, file] of generated.matchAll(/\]\(\.\.\/(src[^)]+)\)/g))
    expect(existsSync(join(ROOT, file!)), file).toBe(true)
})
