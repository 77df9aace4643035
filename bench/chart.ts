/**
 * A report as SVG: bars with the range of the repetitions for rates, lines over percentiles for latencies.
 *
 * The files follow the reader's light or dark scheme by a media query, use only the fonts that are there, and say on
 * what they were measured. Bars start at zero. Latencies are drawn on logarithmic scales in both directions, so that
 * the tail has as much room as the middle.
 */
import { contestsOf, type Contest } from './comparison.ts'
import { formatDuration, formatNumber, formatSpread } from './format.ts'
import { Histogram } from './histogram.ts'
import type { Report } from './report.ts'
import type { CaseResult, MetricResult } from './runner.ts'

export interface Chart {
  /** For the file's name. */
  readonly name: string
  readonly svg: string
}

const WIDTH = 840
const MARGIN = 24
const HEAD_HEIGHT = 64
const FOOT_HEIGHT = 34
const LABEL_WIDTH = 230
const BAR_HEIGHT = 18
const BAR_STEP = 34
const VALUE_WIDTH = 190
const PLOT_HEIGHT = 320
const AXIS_WIDTH = 64
/** More lines than this cannot be told apart; a report's further cases go to charts of their own. */
const LINES_MAX = 6

/** Longest tail drawn: 99.999 %. */
const NINES_MAX = 5
/** Points of a line per power of ten. */
const STEPS = 40

/** Told apart by lightness as well as by hue, on white and on near-black. */
const LIGHT_LINES = ['#1f5fbf', '#c2410c', '#15803d', '#7e22ce', '#a16207', '#be185d']
const DARK_LINES = ['#7ab0ff', '#ff9a62', '#5fd68a', '#cf9bff', '#e3c04b', '#ff8ac0']
const LINES_OF = (colours: readonly string[]) =>
  colours.map((colour, index) => `.l${index}{stroke:${colour}}.f${index}{fill:${colour}}`).join('')

const STYLE = `<style>
text{font-family:system-ui,sans-serif;font-size:13px}
.page{fill:#ffffff}.ink{fill:#1b1f24}.quiet{fill:#5b6470}.title{font-size:17px;font-weight:600}
.small{font-size:11px}.grid{stroke:#d8dde3}.range{stroke:#1b1f24;stroke-width:1.5}.bar{fill:#5b8fd9}
.line{fill:none;stroke-width:2}${LINES_OF(LIGHT_LINES)}
@media (prefers-color-scheme: dark){
.page{fill:#14171c}.ink{fill:#e8ebef}.quiet{fill:#9aa4b0}.grid{stroke:#333a44}.range{stroke:#e8ebef}
.bar{fill:#4674b8}${LINES_OF(DARK_LINES)}}
</style>`

/** Workloads whose throughput is drawn side by side, with the limits of the machine among them. */
const THROUGHPUT_WORKLOADS = ['produce', 'consume-tail', 'consume-cold']

/**
 * The pictures that say most: how much goes through, and how long a record takes; of a comparison, one for each thing that
 * was measured.
 */
export function drawPictures(report: Report): Chart[] {
  const foot = footOf(report)
  const contests = contestsOf(report.cases)
  if (contests.length > 0) return contests.flatMap((contest) => drawContest(contest, foot))
  const rows = report.cases
    .filter(({ workload }) => THROUGHPUT_WORKLOADS.includes(workload))
    .flatMap(({ workload, name, conditions, metrics }) =>
      metrics
        .filter((metric) => metric.name === 'throughput')
        .map((metric) => ({ name: `${conditions.replicas === null ? 'limit' : workload}: ${name}`, metric })),
    )
  const timed = report.cases.filter(({ workload, latency }) => workload === 'end-to-end' && latency !== null)
  const latencies = timed.slice(0, LINES_MAX)
  return [
    ...(rows.length === 0
      ? []
      : [{ name: 'throughput', svg: drawBars('Throughput, MB/s of values', rows, foot) }]),
    ...(latencies.length === 0
      ? []
      : [
          {
            name: 'latency',
            svg: drawLatency('Latency at a fixed rate, from the time due', latencies, foot),
          },
        ]),
  ]
}

function drawContest({ what, results }: Contest, foot: string): Chart[] {
  const rows = results.flatMap(({ system, result }) =>
    result.metrics.filter(({ name }) => name === 'throughput').map((metric) => ({ name: system, metric })),
  )
  const name = slug(`compare ${what}`)
  if (rows.length > 0) return [{ name, svg: drawBars(`${what}: MB/s of values`, rows, foot) }]
  const timed = results.flatMap(({ system, result }) =>
    result.latency === null ? [] : [{ ...result, name: system }],
  )
  return timed.length === 0 ? [] : [{ name, svg: drawLatency(what, timed.slice(0, LINES_MAX), foot) }]
}

/** Every chart that a report gives: one per workload and kind of rate, and the latencies of each workload. */
export function drawCharts(report: Report): Chart[] {
  const foot = footOf(report)
  return [...new Set(report.cases.map(({ workload }) => workload))].flatMap((workload) => {
    const cases = report.cases.filter((each) => each.workload === workload)
    const rates = new Set(
      cases.flatMap(({ metrics }) => metrics.filter(({ better }) => better === 'higher').map(rateKey)),
    )
    const bars = [...rates].map((key) => {
      const rows = cases.flatMap(({ name, metrics }) =>
        metrics.filter((metric) => rateKey(metric) === key).map((metric) => ({ name, metric })),
      )
      return { name: slug(`${workload} ${key}`), svg: drawBars(`${workload}: ${key}`, rows, foot) }
    })
    const timed = cases.filter(({ latency }) => latency !== null)
    const lines = Array.from({ length: Math.ceil(timed.length / LINES_MAX) }, (_, index) => {
      const group = timed.slice(index * LINES_MAX, (index + 1) * LINES_MAX)
      const suffix = index === 0 ? '' : ` ${index + 1}`
      return {
        name: slug(`${workload} latency${suffix}`),
        svg: drawLatency(`${workload}: latency${suffix}`, group, foot),
      }
    })
    return [...bars, ...lines]
  })
}

function footOf({ environment, isToy }: Report): string {
  const { processor, cores, volume, node, packageVersion, commit } = environment
  return `${processor}, ${cores} cores, ${volume}, Node ${node}, Millrace ${packageVersion} (${commit ?? 'no commit'})${isToy ? ', toy sizes' : ''}`
}

/** Horizontal bars: the median, and a line from the least to the greatest repetition. */
export function drawBars(
  title: string,
  rows: readonly { readonly name: string; readonly metric: MetricResult }[],
  foot: string,
): string {
  const left = MARGIN + LABEL_WIDTH
  const room = WIDTH - left - VALUE_WIDTH
  const top = Math.max(...rows.map(({ metric }) => metric.max))
  const x = (value: number) => left + (top === 0 ? 0 : (value / top) * room)
  const drawn = rows.map(({ name, metric }, index) => {
    const y = HEAD_HEIGHT + index * BAR_STEP
    const middle = y + BAR_HEIGHT / 2
    return [
      text(left - 10, middle + 4, name, 'ink', 'end'),
      `<rect class="bar" x="${left}" y="${y}" width="${round(x(metric.median) - left)}" height="${BAR_HEIGHT}" rx="2"/>`,
      metric.max > metric.min ? line('range', x(metric.min), middle, x(metric.max), middle) : '',
      text(round(x(metric.max)) + 8, middle + 4, formatSpread(metric), 'ink', 'start'),
    ].join('')
  })
  const height = HEAD_HEIGHT + rows.length * BAR_STEP + FOOT_HEIGHT
  return page(height, title, 'median, with the range of the repetitions; from zero', drawn.join('\n'), foot)
}

/** One line per case over the share of operations that were as fast or faster. */
export function drawLatency(title: string, cases: readonly CaseResult[], foot: string): string {
  const series = cases.map(({ name, latency }) => {
    const histogram = Histogram.fromData(latency!)
    // A tail is drawn as far as there are operations in it.
    const own = Math.max(1, Math.min(NINES_MAX, Math.floor(Math.log10(histogram.count))))
    return { name, histogram, nines: own }
  })
  const nines = Math.max(...series.map((each) => each.nines))
  const least = decadeBelow(Math.min(...series.map(({ histogram }) => histogram.percentile(1))))
  const most = decadeAbove(
    Math.max(...series.map((each) => each.histogram.percentile(percentAt(each.nines)))),
  )
  const [left, right] = [MARGIN + AXIS_WIDTH, WIDTH - 2 * MARGIN]
  const bottom = HEAD_HEIGHT + PLOT_HEIGHT
  /** 0 at the fastest operation, 1 at the 90th percentile, 2 at the 99th, ... */
  const x = (nine: number) => left + (nine / nines) * (right - left)
  const y = (ns: number) => bottom - (Math.log(ns / least) / Math.log(most / least)) * PLOT_HEIGHT

  const grid: string[] = []
  for (let ns = least; ns <= most * 1.001; ns *= 10) {
    grid.push(
      line('grid', left, y(ns), right, y(ns)),
      text(left - 8, y(ns) + 4, formatDuration(ns).replace(/\.0+(?= )/, ''), 'quiet', 'end'),
    )
  }
  const marks = [
    [0, '0'],
    [Math.log10(2), '50'],
    ...Array.from({ length: nines }, (_, index) => [index + 1, formatPercent(index + 1)]),
  ] as [number, string][]
  for (const [nine, label] of marks) {
    grid.push(
      line('grid', x(nine), HEAD_HEIGHT, x(nine), bottom),
      text(x(nine), bottom + 18, `${label} %`, 'quiet', 'middle'),
    )
  }
  const lines = series.map(({ histogram, nines: own }, index) => {
    const steps = Array.from({ length: own * STEPS + 1 }, (_, step) => step / STEPS)
    const points = steps.map((nine) => {
      const percent = Math.max(percentAt(nine), 1e-6)
      return `${round(x(nine))},${round(y(Math.max(histogram.percentile(percent), least)))}`
    })
    return `<polyline class="line l${index}" points="${points.join(' ')}"/>`
  })
  const keyTop = bottom + 44
  const keys = series.map(({ name, histogram }, index) => {
    const at = keyTop + index * 20
    const figures = `p50 ${formatDuration(histogram.percentile(50))}, p99 ${formatDuration(histogram.percentile(99))}, max ${formatDuration(histogram.maxNs)}, ${formatNumber(histogram.count)} operations`
    return `<rect class="f${index}" x="${left}" y="${at - 9}" width="18" height="6" rx="2"/>${text(left + 26, at - 1, `${name}: ${figures}`, 'ink', 'start')}`
  })
  const height = keyTop + series.length * 20 + FOOT_HEIGHT - 6
  const subtitle = 'share of operations that took this long or less; all repetitions pooled, logarithmic'
  return page(height, title, subtitle, [...grid, ...lines, ...keys].join('\n'), foot)
}

function page(height: number, title: string, subtitle: string, body: string, foot: string): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escape(title)}">`,
    STYLE,
    `<rect class="page" width="${WIDTH}" height="${height}" rx="6"/>`,
    text(MARGIN, 28, title, 'ink title', 'start'),
    text(MARGIN, 47, subtitle, 'quiet small', 'start'),
    body,
    text(MARGIN, height - 12, foot, 'quiet small', 'start'),
    '</svg>\n',
  ].join('\n')
}

const rateKey = ({ name, unit }: MetricResult): string => `${name}, ${unit}`
const percentAt = (nine: number): number => 100 * (1 - 10 ** -nine)
const formatPercent = (nines: number): string =>
  nines === 1 ? '90' : nines === 2 ? '99' : `99.${'9'.repeat(nines - 2)}`
const decadeBelow = (ns: number): number => 10 ** Math.floor(Math.log10(Math.max(ns, 1)))
const decadeAbove = (ns: number): number => 10 ** Math.ceil(Math.log10(Math.max(ns, 10)))
const round = (value: number): number => Math.round(value * 10) / 10
const slug = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
const escape = (value: string): string =>
  value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')

function text(x: number, y: number, value: string, kind: string, anchor: 'start' | 'middle' | 'end'): string {
  return `<text class="${kind}" x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${escape(value)}</text>`
}

function line(kind: string, x1: number, y1: number, x2: number, y2: number): string {
  return `<line class="${kind}" x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}"/>`
}
