/** A family of metrics in Prometheus' text format 0.0.4: what it is, and its samples. */

export interface MetricFamily {
  readonly name: string
  readonly type: 'gauge' | 'counter'
  readonly help: string
  readonly samples: readonly MetricSample[]
}

export interface MetricSample {
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

export function renderFamily({ name, type, help, samples }: MetricFamily): string {
  const lines = samples.map(({ labels, value }) => {
    const text = Object.entries(labels).map(([label, of]) => `${label}="${escapeLabel(of)}"`)
    return `${name}${text.length === 0 ? '' : `{${text.join(',')}}`} ${value}\n`
  })
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

/** Names of groups hold any character: none of them may end a label, or a line. */
function escapeLabel(value: string | number): string {
  if (typeof value === 'number') return String(value)
  return value.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`))
}
