/** docs/configuration.md lists exactly the settings that the code defines; UPDATE_DOCS=1 writes it anew. */
import { readFileSync, writeFileSync } from 'node:fs'
import { format, resolveConfig } from 'prettier'
import { expect, it } from 'vitest'
import { brokerTable } from '../../src/broker/broker-config.ts'
import type { ConfigDefinition } from '../../src/metadata/config-table.ts'
import { topicConfigs } from '../../src/metadata/topic-config.ts'

const PATH = new URL('../../docs/configuration.md', import.meta.url)

const INTRODUCTION = `# Configuration

This file is made from the definitions in the code (\`src/metadata/topic-config.ts\`, \`src/metadata/broker-config.ts\`,
\`src/broker/static-config.ts\`); a test compares the two. To write it anew: \`UPDATE_DOCS=1 npx vitest run test/metadata\`.

A topic’s setting comes from the first of these that has it:

1. the topic itself (CreateTopics, AlterConfigs);
2. the broker, changed while it runs (AlterConfigs of a broker);
3. all brokers, changed while they run (AlterConfigs of the broker with the empty name);
4. the broker’s own configuration;
5. the built-in default.

On levels 2 to 4 the setting goes by its broker key. A key that is not listed here is refused, and so is a value outside
its range; \`DescribeConfigs\` shows what is in force and why. Sizes are in bytes and times in milliseconds. Values above
2^53 - 1 are kept as given and work as 2^53 - 1.

`

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

function table(
  definitions: readonly ConfigDefinition<unknown>[],
  column: string,
  last: (each: ConfigDefinition<unknown>) => string,
): string {
  const rows = definitions.map((each) => {
    const fallback = each.fallback === '' ? '' : `\`${each.fallback}\``
    return `| \`${each.name}\` | ${cell(each.documentation)} | ${cell(each.allowed)} | ${fallback} | ${last(each)} |`
  })
  return [
    `| key | meaning | allowed | default | ${column} |`,
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n')
}

it('docs/configuration.md is what the definitions say', async () => {
  const topics = table(topicConfigs.definitions, 'broker key', ({ synonyms }) =>
    synonyms.map(({ name }) => `\`${name}\``).join(', '),
  )
  const brokers = table(brokerTable.definitions, 'changes', ({ update }) =>
    update === 'dynamic' ? 'while it runs' : 'at a restart',
  )
  const style = await resolveConfig(PATH)
  const text = await format(`${INTRODUCTION}## Topics\n\n${topics}\n## Brokers\n\n${brokers}`, {
    ...style,
    parser: 'markdown',
  })
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(PATH, text)
  expect(readFileSync(PATH, 'utf8')).toBe(text)
})
